_base_ = './ignore-attr-dino_lite0_lld-40x-sparse.py'

from mmleuk.configs import mined

model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_
)
