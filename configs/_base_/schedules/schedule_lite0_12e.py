_base_ = './schedule_lite0.py'

# What the comparisons of sparse annotation give to every method: on the 87
# train fields of pbc_fields 264 steps of 4 fields.
max_epochs = 12

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
