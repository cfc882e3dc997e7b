# Frequently modified parameters.
# Epochs that learn from labels alone, on mosaics of annotated regions: a
# teacher has to be worth something before it is asked.
burn_in_epochs = round(_base_.max_epochs * 4 / 12)
# Epochs between two looks of the teacher at all fields.
mining_interval = 1
# First epoch that learns from the held-out labels too; the teacher, which they
# can't judge any more, has had its last look.
release_epoch = round(_base_.max_epochs * 10 / 12)
# Share of fields whose labels judge the teacher until then.
hold_out = dict(share=0.2, seed=0)
target_precision = 0.95

sampler = dict(type='mmleuk.SparseRegionSampler')
detector = _base_.model
detector.train_cfg.rpn.sampler.update(sampler)
detector.train_cfg.rcnn.sampler.update(sampler)
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

load, annotate, photometric, resize, flip, pack = _base_.train_pipeline
keep_back = dict(type='mmleuk.HoldOutRegions', **hold_out)
mosaic = dict(type='mmleuk.CachedRegionMosaic', img_scale=_base_.scale)
train_pipeline = [
    load,
    annotate,
    keep_back,
    photometric,
    resize,
    flip,
    mosaic,
    pack,
]
mining_pipeline = [load, annotate, keep_back, photometric, resize, flip, pack]
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

custom_hooks = [
    dict(type='MeanTeacherHook', momentum=0.05, skip_buffer=False),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=burn_in_epochs,
        switch_pipeline=mining_pipeline,
    ),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=release_epoch,
        switch_pipeline=_base_.train_pipeline,
    ),
    dict(
        type='mmleuk.RegionMiningHook',
        dataloader=mining_dataloader,
        begin=burn_in_epochs,
        interval=mining_interval,
        end=release_epoch,
    ),
]
