# Real normal cells with WBCAtt's eleven attributes: 1,779 fields to train on,
# 325 to validate.
_base_ = ['./lld-400px.py', '../schemas/wbcatt.py']

data_root = 'data/wbcatt_fields/'
# 99 is the code of a cell that nobody annotated.
metainfo = dict(attributes=_base_.attributes, missing_codes=(99,))

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='json_labels/train.json',
        data_prefix=dict(img='images/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='json_labels/val.json',
        data_prefix=dict(img='images/'),
    )
)
test_dataloader = val_dataloader
