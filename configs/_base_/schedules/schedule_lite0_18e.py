_base_ = './schedule_lite0.py'

# 270 steps on the 60 train fields of synthetic films, as many as on
# pbc_fields.
train_cfg = dict(max_epochs=18, val_interval=18)
