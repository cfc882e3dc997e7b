# The train fields of bccd_fields, each annotated in one rectangle of a fifth
# of its area.
_base_ = './bccd-fields.py'
# Half of the cells of a field are cut by its edge.
cells_at_edges = True
# People label what is left of a cell down to about this share.
min_visible = 0.2

train_dataloader = dict(
    dataset=dict(
        ann_file='json_labels/train_sparse.json',
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
