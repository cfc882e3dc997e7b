# Frequently modified parameters: from which share of the training on the model
# is good enough to believe its own scores, and which.
warmup = 0.4
score_thr = 0.9

model = dict(
    # Boxes are learnt from labels alone.
    roi_head=dict(bbox_head=dict(type='mmleuk.RegionShared2FCBBoxHead')),
    train_cfg=dict(
        rcnn=dict(
            sampler=dict(
                type='mmleuk.SparseRegionSampler',
                warmup=warmup,
                self_mining=dict(score_thr=score_thr),
            )
        )
    ),
)
