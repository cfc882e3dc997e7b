# Real normal cells in LLD's layout: 87 fields to train on, 25 to validate.
_base_ = './lld-400px.py'

data_root = 'data/pbc_fields/'
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/train.json',
        data_prefix=dict(img='images/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/val.json',
        data_prefix=dict(img='images/'),
    )
)
test_dataloader = val_dataloader
