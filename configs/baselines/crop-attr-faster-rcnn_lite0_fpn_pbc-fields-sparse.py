_base_ = './ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'

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
