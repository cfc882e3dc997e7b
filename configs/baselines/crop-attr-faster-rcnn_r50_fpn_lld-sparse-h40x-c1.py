_base_ = './ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import crop

(
    model,
    train_pipeline,
    train_dataloader,
    train_cfg,
    param_scheduler,
    default_hooks,
    auto_scale_lr,
) = crop(_base_)
