# Fields at 400 px, for training on a CPU.
_base_ = './lld.py'

scale = (400, 400)

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    # Mild, since basophilia and granules are colours. Not
    # PhotoMetricDistortion, which permutes the channels of every other image.
    dict(
        type='YOLOXHSVRandomAug',
        hue_delta=4,
        saturation_delta=30,
        value_delta=30,
    ),
    dict(type='Resize', scale=scale, keep_ratio=True),
    # Cells have no upright position: all eight orientations are equal.
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmleuk.RandomTranspose'),
    dict(type='mmleuk.PackLLDInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys={{_base_.eval_meta_keys}}),
]

tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=scale, keep_ratio=True)],
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
                dict(type='RandomFlip', prob=1.0, direction='diagonal'),
            ],
            [dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True)],
            [
                dict(
                    type='mmleuk.PackLLDInputs',
                    meta_keys={{_base_.eval_meta_keys}},
                )
            ],
        ],
    ),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
