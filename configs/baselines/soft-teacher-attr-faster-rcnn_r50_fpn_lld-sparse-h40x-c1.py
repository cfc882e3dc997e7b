_base_ = './ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import soft_teacher

model, train_dataloader, auto_scale_lr, custom_hooks = soft_teacher(_base_)
