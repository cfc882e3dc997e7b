# The train fields of lld-40x.py, each annotated in one rectangle of a fifth of
# its area.
_base_ = './lld-40x.py'

train_dataloader = dict(
    dataset=dict(
        ann_file='lld_40x_json/train_sparse.json',
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
