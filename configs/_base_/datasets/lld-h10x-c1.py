# Cells are a quarter as large as at 40x, which anchors have to fit: see
# ../../attribute_rcnn/attr-faster-rcnn_r50_fpn_1x_lld-h10x-c1.py.
_base_ = './lld.py'

subset = 'H_10X_C1'

train_dataloader = dict(dataset=dict(subset=subset))
val_dataloader = dict(dataset=dict(subset=subset))
test_dataloader = val_dataloader
