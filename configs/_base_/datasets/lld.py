# The Large Leukemia Dataset. Children of this file choose subsets.
dataset_type = 'mmleuk.LLDDataset'
data_root = 'data/lld/'
backend_args = None

# Fields are stored at 640 x 640, squeezed horizontally from a wider frame.
# `unsqueeze = 0.6` undoes it in all pipelines (docs/dataset.md).
scale = (640, 640)

# `instances` and `annotated_regions` are the ground truth of LLDMetric.
eval_meta_keys = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'patient',
    'field',
    'magnification',
    'diagnosis',
    'subset',
    'instances',
    'annotated_regions',
)

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    # Mild, since basophilia and granules are colours. Not
    # PhotoMetricDistortion, which permutes the channels of every other image.
    dict(
        type='YOLOXHSVRandomAug',
        hue_delta=4,
        saturation_delta=30,
        value_delta=30,
    ),
    # Mild, since the size of a cell is an attribute and evidence of its type.
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.9, 1.1),
        keep_ratio=True,
    ),
    # Cells have no upright position: all eight orientations are equal. Fields
    # are squeezed horizontally, so that a transposed one shows cells of other
    # proportions, too.
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmleuk.RandomTranspose'),
    dict(type='mmleuk.PackLLDInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys=eval_meta_keys),
]

tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
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
            [dict(type='mmleuk.PackLLDInputs', meta_keys=eval_meta_keys)],
        ],
    ),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
# LLD has no third split: as its authors do, we validate on the test split.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='mmleuk.LLDMetric')
test_evaluator = val_evaluator
