_base_ = [
    '../_base_/models/faster-rcnn_lite0_fpn.py',
    '../_base_/datasets/wbcatt-fields.py',
    '../_base_/schedules/schedule_lite0.py',
    '../_base_/default_runtime.py',
]

# As attr-faster-rcnn_lite0_fpn_wbcatt-fields.py.
train_cfg = dict(max_epochs=5, val_interval=5)
