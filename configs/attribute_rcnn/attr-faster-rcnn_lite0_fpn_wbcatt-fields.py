_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn.py',
    '../_base_/datasets/wbcatt-fields.py',
    '../_base_/schedules/schedule_lite0.py',
    '../_base_/default_runtime.py',
]

# The head and the merging of test-time augmentations have the attributes of
# the data.
model = dict(roi_head=dict(attribute_head=dict(attributes=_base_.attributes)))
tta_model = dict(attributes=_base_.attributes)

# 2225 steps of 4 fields: about an hour on two CPU cores.
train_cfg = dict(max_epochs=5, val_interval=5)
