_base_ = './schedule_lite0.py'

# The schedule of all methods of the sparse benchmark: 264 steps of 4 fields on
# the 87 train fields of pbc_fields.
max_epochs = 12

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        convert_to_iter_based=True,
    ),
]
