# Real dense fields of three kinds of cells, without attributes: 150 fields of
# 640 x 480 to train on, 44 to validate.
_base_ = './lld-400px.py'

data_root = 'data/bccd_fields/'
metainfo = dict(
    classes=('white blood cell', 'erythrocyte', 'platelet'),
    palette=[(120, 60, 180), (214, 39, 40), (255, 187, 0)],
)

# A training step costs about what one on pbc_fields does: 0.9 of it.
scale = (480, 360)
resize = dict(type='Resize', scale=scale, keep_ratio=True)
train_pipeline = [*_base_.train_pipeline]
train_pipeline[3] = resize
test_pipeline = [*_base_.test_pipeline]
test_pipeline[1] = resize
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [resize]

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
