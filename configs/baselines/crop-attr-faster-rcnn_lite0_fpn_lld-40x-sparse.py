_base_ = './ignore-attr-faster-rcnn_lite0_fpn_lld-40x-sparse.py'

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
