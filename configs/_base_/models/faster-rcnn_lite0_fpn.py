_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py']

num_classes = 14

# Frequently modified parameters: half of MMDetection's widths, for a CPU.
neck_channels = 128
fc_channels = 512

model = dict(
    data_preprocessor=dict(mean=[127] * 3, std=[128] * 3),
    backbone=dict(
        _delete_=True,
        type='mmleuk.EfficientNetLite',
        arch='lite0',
        # At 400 px a white cell is 50 px wide or more, which anchors from
        # stride 8 on fit; a level at stride 4 costs more than all others.
        out_indices=(1, 2, 3),
        frozen_stages=1,
        init_cfg=dict(
            type='Pretrained', checkpoint='mmleuk://efficientnet-lite0'
        ),
    ),
    neck=dict(
        in_channels=[40, 112, 320], out_channels=neck_channels, num_outs=3
    ),
    rpn_head=dict(
        in_channels=neck_channels,
        feat_channels=neck_channels,
        anchor_generator=dict(strides=[8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=neck_channels, featmap_strides=[8, 16, 32]
        ),
        bbox_head=dict(
            in_channels=neck_channels,
            fc_out_channels=fc_channels,
            num_classes=num_classes,
            # There are few cells of a class, and boxes of all are alike.
            reg_class_agnostic=True,
        ),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(ignore_iof_thr=0.5)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(assigner=dict(ignore_iof_thr=0.5), sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)
