_base_ = ['./attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py']

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101'),
    )
)
