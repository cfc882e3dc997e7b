_base_ = './ignore-attr-faster-rcnn_lite0_fpn_synthetic-sparse.py'

from mmleuk.configs import soft_teacher

# 18 epochs of 15 steps.
(
    model,
    train_dataloader,
    train_cfg,
    param_scheduler,
    default_hooks,
    log_processor,
    custom_hooks,
) = soft_teacher(_base_, max_iters=270)
