# On the 87 train fields of pbc_fields an epoch is 22 steps.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    # To the end of the training.
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        convert_to_iter_based=True,
    ),
]

# For batches of 4. AdamW, since the outputs of this backbone are not
# normalised and differ in scale from level to level.
optim_wrapper = dict(
    type='mmleuk.FiniteOptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=35),
)

auto_scale_lr = dict(enable=False, base_batch_size=4)
