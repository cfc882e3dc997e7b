_base_ = './ignore-attr-faster-rcnn_lite0_fpn_lld-40x-sparse.py'

from mmleuk.configs import soft_teacher

# 12 epochs of 45 steps.
(
    model,
    train_dataloader,
    train_cfg,
    param_scheduler,
    default_hooks,
    log_processor,
    custom_hooks,
) = soft_teacher(_base_, max_iters=540)
