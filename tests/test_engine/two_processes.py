# Copyright (c) mmleuk authors. All rights reserved.
"""One training step and one evaluation, by one process or by two."""

import copy

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import MMDistributedDataParallel
from mmengine.structures import InstanceData

from mmleuk.evaluation import LLDMetric
from mmleuk.structures import LLD_ATTRIBUTES

SIZE = 64
NUM_CLASSES = 3


def build_model():
    """A small detector that leaves nothing to chance or to averages.

    Every prior is sampled, and their number does not depend on the labels:
    MMDetection divides most losses by a count of its own process, so that
    they are those of the whole batch only where these counts are equal.
    """
    register_all_modules()
    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model
    cfg = Config(dict(model=copy.deepcopy(cfg)))
    every = dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.5,
            match_low_quality=False,
        ),
        sampler=dict(
            type='RandomSampler',
            num=100000,
            pos_fraction=1.0,
            add_gt_as_proposals=False,
        ),
    )
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                depth=18, base_channels=8, norm_eval=True, init_cfg=None
            ),
            'model.neck': dict(in_channels=[8, 16, 32, 64], out_channels=16),
            'model.rpn_head': dict(in_channels=16, feat_channels=16),
            'model.roi_head': dict(
                type='mmleuk.AttributeRoIHead',
                bbox_roi_extractor=dict(out_channels=16),
                bbox_head=dict(
                    in_channels=16, fc_out_channels=16, num_classes=NUM_CLASSES
                ),
                attribute_head=dict(
                    type='mmleuk.AttributeHead', in_channels=16
                ),
                attribute_rois='gt',
            ),
            'model.train_cfg': dict(
                rpn=every,
                rcnn=every,
                # Proposals that do not suppress each other: 30 an image.
                rpn_proposal=dict(
                    nms=dict(type='nms', iou_threshold=1.0), max_per_img=30
                ),
            ),
        }
    )
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def make_batch(num_cells):
    """Images with so many labelled cells each."""
    generator = torch.Generator().manual_seed(1)
    images, samples = [], []
    for number, cells in enumerate(num_cells):
        images.append(torch.rand(3, SIZE, SIZE, generator=generator))
        corners = torch.rand(cells, 2, generator=generator) * SIZE / 2
        sides = 16 + torch.rand(cells, 2, generator=generator) * 16
        attributes = torch.randint(-1, 2, (cells, 7), generator=generator)
        sample = DetDataSample(
            metainfo=dict(
                img_id=number,
                img_path=f'{number}.png',
                img_shape=(SIZE, SIZE),
                ori_shape=(SIZE, SIZE),
                pad_shape=(SIZE, SIZE),
                batch_input_shape=(SIZE, SIZE),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + sides], dim=1),
            labels=torch.randint(NUM_CLASSES, (cells,), generator=generator),
            attributes=attributes,
        )
        samples.append(sample)
    return torch.stack(images), samples


def gradients(num_cells, rank=0, world_size=1):
    """Gradients of one step, of each parameter by name."""
    model = build_model()
    model.train()
    step = model
    if world_size > 1:
        step = MMDistributedDataParallel(
            model, find_unused_parameters=True, broadcast_buffers=False
        )
    inputs, samples = make_batch(num_cells)
    share = len(samples) // world_size
    own = slice(rank * share, (rank + 1) * share)
    losses = step(inputs[own], samples[own], mode='loss')
    model.parse_losses(losses)[0].backward()
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def evaluate(num_cells, rank=0, world_size=1):
    """Scores of made-up predictions of all images."""
    metric = LLDMetric()
    metric.dataset_meta = dict(classes=tuple('abc'), attributes=LLD_ATTRIBUTES)
    _, samples = make_batch(num_cells)
    # As DefaultSampler deals them out.
    for sample in samples[rank::world_size]:
        truth = sample.gt_instances
        count = len(truth)
        sample.pred_instances = InstanceData(
            bboxes=truth.bboxes + 1,
            labels=truth.labels,
            scores=torch.linspace(0.9, 0.5, count),
            attribute_labels=torch.zeros(count, 7, dtype=torch.long),
            attribute_scores=torch.full((count, 7), 0.8),
            attribute_probs=torch.full((count, 15), 0.5),
        )
        sample.set_metainfo(
            dict(
                instances=[
                    dict(
                        bbox=box.tolist(),
                        bbox_label=int(label),
                        ignore_flag=0,
                        attributes=tuple(codes.tolist()),
                    )
                    for box, label, codes in zip(
                        truth.bboxes, truth.labels, truth.attributes
                    )
                ],
                annotated_regions=None,
            )
        )
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(samples))


def work(rank, num_cells):
    """What each of two processes does."""
    return dict(
        gradients=gradients(num_cells, rank, 2),
        scores=evaluate([*num_cells, 3], rank, 2),
    )
