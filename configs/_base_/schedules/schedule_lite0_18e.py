_base_ = './schedule_lite0_12e.py'

# 270 steps on the 60 train fields of synthetic films, as many as on
# pbc_fields.
max_epochs = 18

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
