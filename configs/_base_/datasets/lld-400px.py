# Fields at 400 px, for training on a CPU.
_base_ = './lld.py'

from mmleuk.configs import resized

scale = (400, 400)

# As in lld.py, without its random scale.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(
        type='YOLOXHSVRandomAug',
        hue_delta=4,
        saturation_delta=30,
        value_delta=30,
    ),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmleuk.RandomTranspose'),
    dict(type='mmleuk.PackLLDInputs'),
]
test_pipeline = resized(_base_.test_pipeline, scale)
tta_pipeline = resized(_base_.tta_pipeline, scale)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
