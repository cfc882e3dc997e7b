_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn.py',
    '../_base_/datasets/pbc-fields-sparse.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]

# Frequently modified parameters.
# Epochs that learn from labels alone, on mosaics of annotated regions: a
# teacher has to be worth something before it is asked.
burn_in_epochs = 5
# Epochs between two looks of the teacher at all fields.
mining_interval = 2
# First epoch that learns from the held-out labels too; the teacher, which they
# can't judge any more, has had its last look.
release_epoch = 10
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
