_base_ = [
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld.py',
    '../_base_/default_runtime.py',
]

from mmleuk.configs import mmdet_augmentation, mmdet_detector

detector = 'mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py'
model, optim_wrapper, param_scheduler, train_cfg, auto_scale_lr = (
    mmdet_detector(
        _base_,
        detector,
        epochs=300,
        base_batch_size=256,
        regions=dict(point_size=8),
    )
)
(
    train_pipeline,
    test_pipeline,
    train_dataloader,
    val_dataloader,
    custom_hooks,
) = mmdet_augmentation(_base_, detector, batch_size=8)
test_dataloader = val_dataloader
