# The train fields of synthetic-40x.py, each annotated in one rectangle of a
# fifth of its area.
_base_ = './synthetic-40x.py'

train_dataloader = dict(
    dataset=dict(
        ann_file='json_labels/train_sparse.json',
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
