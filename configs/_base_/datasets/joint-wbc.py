# Four data sets as one: white cells as a single class. Each states by its
# class map what its cells are.
_base_ = './lld-400px.py'

metainfo = dict(classes=('wbc',))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmleuk.JointDataset',
        datasets=[
            dict(_base_.train_dataloader.dataset, metainfo=metainfo, **part)
            for part in (
                # LLD's "none" are artefacts and cells that nobody could name.
                # Other data leave such unlabelled: they are ignored.
                dict(
                    data_root='data/lld_40x/',
                    subset='H_40X_C2',
                    class_map={'none': 'ignore', '*': 'wbc'},
                ),
                dict(
                    data_root='data/wbcatt_fields/',
                    ann_file='json_labels/train.json',
                    data_prefix=dict(img='images/'),
                    class_map={'*': 'wbc'},
                ),
                # Erythrocytes and platelets are background.
                dict(
                    data_root='data/bccd_fields/',
                    ann_file='json_labels/train.json',
                    data_prefix=dict(img='images/'),
                    class_map={'white blood cell': 'wbc', '*': None},
                ),
                dict(
                    data_root='data/pig_wbc/',
                    ann_file='json_labels/train.json',
                    data_prefix=dict(img='images/'),
                ),
            )
        ],
    )
)
# The same data sets, each with scores of its own.
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmleuk.JointDataset',
        datasets=[
            dict(
                part,
                split='test',
                ann_file=part.get('ann_file', '').replace('train', 'val'),
                test_mode=True,
                pipeline=_base_.test_pipeline,
            )
            for part in train_dataloader['dataset']['datasets']
        ],
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True,
    type='MultiDatasetsEvaluator',
    dataset_prefixes=['lld_40x', 'wbcatt_fields', 'bccd_fields', 'pig_wbc'],
    metrics=[dict(type='mmleuk.LLDMetric')] * 4,
)
test_evaluator = val_evaluator
