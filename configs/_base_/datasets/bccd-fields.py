# Real dense fields of three kinds of cells, without attributes.
_base_ = './lld.py'

data_root = 'data/bccd_fields/'
metainfo = dict(
    classes=('white blood cell', 'erythrocyte', 'platelet'),
    palette=[(120, 60, 180), (214, 39, 40), (255, 187, 0)],
)

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/train.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/val.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
    )
)
test_dataloader = val_dataloader
