_base_ = '../baselines/ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import mined

# Four passes in the 20 epochs after the burn-in.
model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_, mining_interval=5
)
