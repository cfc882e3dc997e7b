_base_ = './ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'

from mmleuk.configs import soft_teacher

model, train_dataloader, auto_scale_lr, custom_hooks = soft_teacher(_base_)
