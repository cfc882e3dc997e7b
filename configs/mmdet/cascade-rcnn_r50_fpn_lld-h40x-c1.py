_base_ = './cascade-rcnn_r50_fpn_lld-h100x-c1.py'

subset = 'H_40X_C1'

train_dataloader = dict(dataset=dict(subset=subset))
val_dataloader = dict(dataset=dict(subset=subset))
test_dataloader = val_dataloader
