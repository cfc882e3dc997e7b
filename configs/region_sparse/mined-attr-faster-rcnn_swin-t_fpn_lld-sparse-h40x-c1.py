_base_ = (  # noqa: E501
    '../attribute_rcnn/attr-faster-rcnn_swin-t_fpn_1x_lld-sparse-h40x-c1.py'
)

from mmleuk.configs import mined

# Four passes in the 20 epochs after the burn-in.
model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_, mining_interval=5
)
