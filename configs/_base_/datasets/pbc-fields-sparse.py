# The train fields of pbc_fields, each annotated in one rectangle of a fifth of
# its area.
_base_ = './pbc-fields.py'

train_dataloader = dict(
    dataset=dict(
        ann_file='json_labels/train_sparse.json',
        # A rectangle without cells still holds true background, and what lies
        # outside may hold cells to mine.
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
