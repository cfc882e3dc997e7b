# Real dense fields, cells of three types without attributes: 150 fields of 640
# x 480 to train on, 44 to validate.
_base_ = './lld-400px.py'

from mmleuk.configs import resized

data_root = 'data/bccd_fields/'
metainfo = dict(
    classes=('white blood cell', 'erythrocyte', 'platelet'),
    palette=[(120, 60, 180), (214, 39, 40), (255, 187, 0)],
)

# A training step costs 0.9 of one on pbc_fields.
scale = (480, 360)
train_pipeline = resized(_base_.train_pipeline, scale)
test_pipeline = resized(_base_.test_pipeline, scale)
tta_pipeline = resized(_base_.tta_pipeline, scale)

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/train.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='json_labels/val.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
