_base_ = ['mmdet::_base_/schedules/schedule_1x.py']

# For a subset of LLD, 1.5k to 2.4k images, on one to eight GPUs with four
# images each. All times are in epochs, of 390 to 600 steps on one GPU and of
# 50 to 75 on eight. 60 epochs show 90k to 150k images; MMDetection's 1x shows
# 190k of Cityscapes, a set of as many images (64 epochs).
train_cfg = dict(max_epochs=60, val_interval=5)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    # To the end of the training.
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        convert_to_iter_based=True,
    ),
]

optim_wrapper = dict(
    type='mmleuk.FiniteOptimWrapper', clip_grad=dict(max_norm=35)
)

# The learning rate of MMDetection is for 16 images in a step; it is scaled to
# the number that there are.
auto_scale_lr = dict(enable=True, base_batch_size=16)
