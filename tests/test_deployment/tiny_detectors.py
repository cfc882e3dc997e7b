# Copyright (c) mmleuk authors. All rights reserved.
"""The smallest detectors with all that ours have, and images for them."""

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

CLASSES = ('blast', 'lymphocyte', 'monocyte')
SCHEMA = [
    dict(name='size', values=('small', 'medium', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
CHANNELS = 16
STRIDES = [4, 8]


def extractor(size=7, channels=CHANNELS, kind='Single', **kwargs):
    return dict(
        type=f'mmleuk.Robust{kind}RoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=channels,
        **{'featmap_strides': STRIDES, 'finest_scale': 16, **kwargs},
    )


def bbox_head(agnostic, stds=(0.1, 0.1, 0.2, 0.2)):
    return dict(
        type='Shared2FCBBoxHead',
        in_channels=CHANNELS,
        fc_out_channels=32,
        roi_feat_size=7,
        num_classes=len(CLASSES),
        reg_class_agnostic=agnostic,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0] * 4,
            target_stds=list(stds),
        ),
    )


def detector_cfg(cascade=False):
    """The smallest detectors with all that ours have.

    One has EfficientNet-Lite0's odd padding, early features and a box for
    each type, the other is a cascade on a ResNet with shared RoI features.
    """
    fpn = dict(type='FPN', out_channels=CHANNELS, num_outs=2)
    nms = dict(type='nms', iou_threshold=0.5)
    cfg = dict(
        type='FasterRCNN',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[120.0, 110, 130],
            std=[60.0, 50, 70],
            bgr_to_rgb=True,
            pad_size_divisor=32,
        ),
        rpn_head=dict(
            type='mmleuk.BF16RPNHead',
            in_channels=CHANNELS,
            feat_channels=CHANNELS,
            anchor_generator=dict(
                type='AnchorGenerator',
                scales=[4],
                ratios=[0.5, 1.0, 2.0],
                strides=STRIDES,
            ),
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0] * 4,
                target_stds=[1.0] * 4,
            ),
        ),
        train_cfg=None,
        test_cfg=dict(
            rpn=dict(
                nms_pre=60,
                max_per_img=40,
                nms=dict(type='nms', iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(score_thr=0.65, nms=nms, max_per_img=20),
        ),
    )
    attribute_head = dict(
        type='mmleuk.AttributeHead',
        attributes=SCHEMA,
        in_channels=CHANNELS,
        num_convs=1,
        conv_channels=8,
        fc_channels=16,
    )
    if cascade:
        cfg.update(
            backbone=dict(
                type='ResNet',
                depth=18,
                base_channels=8,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(0, 1),
            ),
            neck=dict(fpn, in_channels=[8, 16]),
            roi_head=dict(
                type='mmleuk.CascadeAttributeRoIHead',
                num_stages=2,
                stage_loss_weights=[1, 0.5],
                bbox_roi_extractor=extractor(),
                bbox_head=[
                    bbox_head(True),
                    bbox_head(True, (0.05, 0.05, 0.1, 0.1)),
                ],
                attribute_head=attribute_head,
            ),
        )
        return ConfigDict(cfg)
    cfg.update(
        backbone=dict(type='mmleuk.EfficientNetLite', out_indices=(0, 1)),
        neck=dict(
            type='mmleuk.EarlyFeatureNeck',
            num_early=1,
            neck=dict(fpn, in_channels=[24, 40]),
        ),
        roi_head=dict(
            type='mmleuk.AttributeRoIHead',
            bbox_roi_extractor=extractor(),
            bbox_head=bbox_head(False),
            attribute_source='early+neck',
            attribute_roi_extractor=dict(
                type='mmleuk.RobustGenericRoIExtractor',
                aggregation='concat',
                roi_layer=dict(
                    type='RoIAlign', output_size=14, sampling_ratio=2
                ),
                out_channels=24 + CHANNELS,
                featmap_strides=[4, 4],
            ),
            attribute_head=dict(attribute_head, in_channels=24 + CHANNELS),
        ),
    )
    return ConfigDict(cfg)


def spread(detector, layers, std):
    """Scale random layers until their outputs differ from place to place."""
    outputs = []

    def keep(module, inputs, output):
        outputs.append(output)

    for layer in layers:
        outputs.clear()
        handle = layer.register_forward_hook(keep)
        with torch.no_grad():
            detector.test_step(make_batch(130, 160))
            handle.remove()
            rows = torch.cat([o.transpose(0, 1).flatten(1).T for o in outputs])
            layer.weight.mul_(std / rows.std(dim=0).mean())


def build_detector(cfg):
    """Build a detector of random weights that finds more here than there."""
    register_all_modules()
    torch.manual_seed(0)
    detector = MODELS.build(cfg)
    detector.init_weights()
    detector.eval()
    rpn_head, roi_head = detector.rpn_head, detector.roi_head
    heads = roi_head.bbox_head
    heads = heads if isinstance(heads, torch.nn.ModuleList) else [heads]
    spread(detector, [rpn_head.rpn_cls], 2.0)
    spread(detector, [rpn_head.rpn_reg], 0.3)
    for head in heads:
        spread(detector, [head.fc_reg], 1.0)
        spread(detector, [head.fc_cls], 2.0)
    if hasattr(roi_head, 'attribute_head'):
        spread(detector, [roi_head.attribute_head.fc_attribute], 2.0)
    return detector


def make_batch(height, width, scale_factor=(1.0, 1.0), blank=False):
    """A batch of one image, as a dataloader gives it."""
    seed = torch.Generator().manual_seed(height * width)
    coarse = torch.randint(0, 256, (1, 3, 9, 9), generator=seed).float()
    image = torch.nn.functional.interpolate(
        coarse, (height, width), mode='bilinear'
    )[0]
    if blank:
        image[:] = 128
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(height, width),
            ori_shape=(
                round(height / scale_factor[1]),
                round(width / scale_factor[0]),
            ),
            scale_factor=scale_factor,
        )
    )
    return dict(inputs=[image.byte()], data_samples=[sample])
