_base_ = './lld.py'

subset = 'H_40X_C1'

train_dataloader = dict(dataset=dict(subset=subset))
val_dataloader = dict(dataset=dict(subset=subset))
test_dataloader = val_dataloader
