_base_ = './lld.py'

# The folder of this subset is empty in the release.
subset = 'L_10X_C1'

train_dataloader = dict(dataset=dict(subset=subset))
val_dataloader = dict(dataset=dict(subset=subset))
test_dataloader = val_dataloader
