_base_ = './ignore-attr-faster-rcnn_lite0_fpn_bccd-fields-sparse.py'

from mmleuk.configs import soft_teacher

# The teacher averages over 20 steps, as on pbc_fields.
model, train_dataloader, auto_scale_lr, custom_hooks = soft_teacher(
    _base_, teacher_epochs=20 / 38
)
