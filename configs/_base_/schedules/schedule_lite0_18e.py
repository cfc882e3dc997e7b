_base_ = './schedule_lite0_12e.py'

# 270 steps on the 60 train fields of synthetic films, as many as on
# pbc_fields.
train_cfg = dict(max_epochs=18, val_interval=18)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=18,
        T_max=18,
        convert_to_iter_based=True,
    ),
]
