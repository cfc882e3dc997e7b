# Rival: MMDetection's Soft Teacher on our detector. The labelled images are
# the sparse fields, the un-labelled ones the same fields without labels. Its
# sampler is infinite, so that steps are counted: configs state `max_iters`.

# In each step the student learns from 4 images, as that of every other method:
# in burn-in from 4 labelled ones, then from 2 labelled ones and 2 others.
# A batch holds what either needs.
batch_size = 6
num_unsup = 2

detector = _base_.model
model = dict(
    _delete_=True,
    type='mmleuk.AttributeSoftTeacher',
    detector=detector,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        data_preprocessor=detector.data_preprocessor,
    ),
    semi_train_cfg=dict(
        freeze_teacher=True,
        # A third of the training: before, the teacher finds next to nothing.
        burn_in=1 / 3,
        num_sup=2,
        sup_weight=1.0,
        # That of Soft Teacher where a batch has as many labelled images as
        # others; MMDetection's 4 is for one to four.
        unsup_weight=2.0,
        # The rest is MMDetection's.
        pseudo_label_initial_score_thr=0.5,
        rpn_pseudo_thr=0.9,
        cls_pseudo_thr=0.9,
        reg_pseudo_thr=0.02,
        jitter_times=10,
        jitter_scale=0.06,
        min_pseudo_bbox_wh=(1e-2, 1e-2),
    ),
    semi_test_cfg=dict(predict_on='teacher'),
)

branch_field = ['sup', 'unsup_teacher', 'unsup_student']
sup_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(
        type='MultiBranch',
        branch_field=branch_field,
        sup=dict(type='mmleuk.PackLLDInputs'),
    ),
]

# The views are MMDetection's, at the one scale of all methods and with the
# orientations of all.
geometric_view = [
    dict(type='Resize', scale=_base_.scale, keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmleuk.RandomTranspose'),
]
pack_view = dict(
    type='PackDetInputs',
    meta_keys=(
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
        'flip',
        'flip_direction',
        'homography_matrix',
    ),
)
color_space = [
    [dict(type='ColorTransform')],
    [dict(type='AutoContrast')],
    [dict(type='Equalize')],
    [dict(type='Sharpness')],
    [dict(type='Posterize')],
    [dict(type='Solarize')],
    [dict(type='Color')],
    [dict(type='Contrast')],
    [dict(type='Brightness')],
]
geometric = [
    [dict(type='Rotate')],
    [dict(type='ShearX')],
    [dict(type='ShearY')],
    [dict(type='TranslateX')],
    [dict(type='TranslateY')],
]
weak_pipeline = [*geometric_view, pack_view]
strong_pipeline = [
    *geometric_view,
    dict(
        type='RandomOrder',
        transforms=[
            dict(type='RandAugment', aug_space=color_space, aug_num=1),
            dict(type='RandAugment', aug_space=geometric, aug_num=1),
        ],
    ),
    dict(type='RandomErasing', n_patches=(1, 5), ratio=(0, 0.2)),
    pack_view,
]
unsup_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='LoadEmptyAnnotations'),
    dict(
        type='MultiBranch',
        branch_field=branch_field,
        unsup_teacher=weak_pipeline,
        unsup_student=strong_pipeline,
    ),
]

train_dataloader = dict(
    _delete_=True,
    batch_size=batch_size,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(
        type='GroupMultiSourceSampler',
        batch_size=batch_size,
        source_ratio=[batch_size - num_unsup, num_unsup],
    ),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(_base_.train_dataloader.dataset, pipeline=sup_pipeline),
            dict(_base_.train_dataloader.dataset, pipeline=unsup_pipeline),
        ],
    ),
)

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters,
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=0,
        end=max_iters,
        T_max=max_iters,
    ),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)

# MMDetection's momentum of 0.001 suits 180,000 steps; here three quarters of
# the last teacher would still be the first one. This one forgets within 5 % of
# the training, and no score was looked at to choose it.
custom_hooks = [dict(type='MeanTeacherHook', momentum=0.05, skip_buffer=False)]
