_base_ = [
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld.py',
    '../_base_/default_runtime.py',
]

from mmleuk.configs import mmdet_detector

model, optim_wrapper, param_scheduler, train_cfg, auto_scale_lr = (
    mmdet_detector(
        _base_,
        'mmdet::atss/atss_r50_fpn_1x_coco.py',
        regions=dict(),
    )
)
