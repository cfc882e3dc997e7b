# The train fields of pbc_fields, each annotated in one rectangle of a fifth of
# its area.
_base_ = './pbc-fields.py'

train_dataloader = dict(
    dataset=dict(
        ann_file='json_labels/train_sparse.json',
        # A rectangle without cells is true background, and there may be cells
        # to mine outside.
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
