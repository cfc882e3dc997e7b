_base_ = './schedule_lite0.py'

# The schedule of all methods of the sparse benchmark: 264 steps of 4 fields on
# the 87 train fields of pbc_fields.
train_cfg = dict(max_epochs=12, val_interval=12)
