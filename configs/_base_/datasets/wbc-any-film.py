# The four data sets of joint-wbc.py for films of a microscope that none of
# them shows. Of each about as many fields: none decides what a cell is.
_base_ = './joint-wbc.py'

scale = (400, 400)

# A white cell of 15 px or of 200 px, in any stain, through any camera.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.4, 1.6),
        keep_ratio=True,
    ),
    # No image is larger than that of a test, for time and memory.
    dict(type='RandomCrop', crop_size=scale, allow_negative_crop=True),
    dict(type='mmleuk.StainJitter'),
    dict(
        type='YOLOXHSVRandomAug',
        hue_delta=10,
        saturation_delta=50,
        value_delta=50,
    ),
    dict(type='mmleuk.CameraJitter'),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmleuk.RandomTranspose'),
    dict(type='mmleuk.PackLLDInputs'),
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmleuk.JointDataset',
        datasets=[
            dict(part, pipeline=train_pipeline, indices=list(fields))
            for part, fields in zip(
                _base_.train_dataloader.dataset.datasets,
                (
                    range(178),  # lld_40x
                    range(0, 1779, 11),  # wbcatt_fields
                    range(150),  # bccd_fields
                    range(0, 459, 3),  # pig_wbc
                ),
            )
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmleuk.JointDataset',
        datasets=[
            dict(part, indices=list(fields))
            for part, fields in zip(
                _base_.val_dataloader.dataset.datasets,
                (range(47), range(0, 325, 5), range(44), range(98)),
            )
        ],
    )
)
test_dataloader = val_dataloader
