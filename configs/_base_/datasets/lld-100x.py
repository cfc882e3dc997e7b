# Both microscopes and both cameras at 100x.
_base_ = './lld.py'

subset = ['H_100X_C1', 'H_100X_C2', 'L_100X_C1', 'L_100X_C2']

train_dataloader = dict(dataset=dict(subset=subset))
val_dataloader = dict(dataset=dict(subset=subset))
test_dataloader = val_dataloader
