# Takes all that is not annotated for background.
assigner = dict(bg_coverage_thr=0)
model = dict(
    train_cfg=dict(rpn=dict(assigner=assigner), rcnn=dict(assigner=assigner))
)
