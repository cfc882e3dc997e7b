# Frequently modified parameters.
# Epochs that learn from labels alone, on mosaics of annotated regions: a
# teacher has to be worth something before it is asked.
burn_in_epochs = round(_base_.max_epochs * 8 / 12)
# Epochs between two passes of the teacher over all fields, and its looks at
# each, turned and mirrored.
mining_interval = 2
num_orientations = 4
# Learning rate after the burn-in, as a share of that before.
restart_weight = 0.7
# Share of fields whose labels judge the teacher, and epochs until then. After
# that the loss learns from them, too: they are too dear to be kept.
judging_epochs = burn_in_epochs // 2
hold_out = dict(share=0.2, seed=0)
# Share of images that are mosaics of annotated regions after the burn-in, too,
# so that true types are seen as often as mined ones.
mosaic_share = 0.5
target_precision = 0.95

detector = _base_.model
if 'rpn' in detector.train_cfg:
    sampler = dict(type='mmleuk.SparseRegionSampler')
    detector.train_cfg.rpn.sampler.update(sampler)
    detector.train_cfg.rcnn.sampler.update(sampler)
    # Boxes are learnt from labels alone.
    detector.roi_head.bbox_head.type = 'mmleuk.RegionShared2FCBBoxHead'
else:
    sampler = dict(type='mmleuk.SparseRegionPseudoSampler')
    detector.train_cfg.sampler.update(sampler)
model = dict(
    _delete_=True,
    type='mmleuk.RegionMiningDetector',
    detector=detector,
    data_preprocessor=detector.data_preprocessor,
    miner=dict(
        type='mmleuk.RegionMiner',
        num_classes=_base_.num_classes,
        hold_out=hold_out,
        target_precision=target_precision,
    ),
)

load, annotate, *view, pack = _base_.train_pipeline
keep_back = dict(type='mmleuk.HoldOutRegions', **hold_out)
mosaic = dict(
    type='mmleuk.CachedRegionMosaic',
    img_scale=_base_.scale,
    cut_at_edges=_base_.cells_at_edges,
    min_visible=_base_.min_visible,
)
train_pipeline = [load, annotate, keep_back, *view, mosaic, pack]
released_pipeline = [load, annotate, *view, mosaic, pack]
mining_pipeline = [
    load,
    annotate,
    *view,
    dict(
        type='RandomChoice',
        transforms=[[mosaic], []],
        prob=[mosaic_share, 1 - mosaic_share],
    ),
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# The fields as the teacher looks at them.
mining_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.train_dataloader.dataset, pipeline=_base_.test_pipeline
    ),
)

# The burn-in ends with a learning rate near zero, so that the teacher looks at
# its best; then the rate goes up once more.
lowest = 0.05
warmup, cosine = _base_.param_scheduler
burn_in_share = burn_in_epochs / _base_.max_epochs
param_scheduler = [
    dict(warmup, end=round(warmup.end * burn_in_share)),
    dict(
        cosine, end=burn_in_epochs, T_max=burn_in_epochs, eta_min_ratio=lowest
    ),
    dict(
        type='MultiStepLR',
        by_epoch=True,
        milestones=[burn_in_epochs],
        gamma=restart_weight / lowest,
    ),
    dict(
        cosine,
        begin=burn_in_epochs,
        T_max=_base_.max_epochs - burn_in_epochs,
    ),
]

custom_hooks = [
    dict(type='MeanTeacherHook', momentum=0.05, skip_buffer=False),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=judging_epochs,
        switch_pipeline=released_pipeline,
    ),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=burn_in_epochs,
        switch_pipeline=mining_pipeline,
    ),
    dict(
        type='mmleuk.RegionMiningHook',
        dataloader=mining_dataloader,
        begin=burn_in_epochs,
        interval=mining_interval,
        release=judging_epochs,
        num_orientations=num_orientations,
    ),
]
