_base_ = './schedule_lite0.py'

# The schedule of all methods of the sparse benchmark: 264 steps of 4 fields on
# the 87 train fields of pbc_fields.
train_cfg = dict(max_epochs=12, val_interval=12)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=12,
        T_max=12,
        convert_to_iter_based=True,
    ),
]
