# Copyright (c) mmleuk authors. All rights reserved.
"""What each process of a group does, with other data than the others."""

import copy
import logging
from types import SimpleNamespace

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader, Dataset

from mmleuk.engine.hooks import LossGuardHook, RegionMiningHook
from mmleuk.engine.optimizers import FiniteOptimWrapper
from mmleuk.engine.run_config import check_same_start
from mmleuk.models.mining import RegionMiner
from mmleuk.structures import UNANNOTATED

SIZE = 64
NUM_CLASSES = 3
NUM_FIELDS = 4


class Fields(Dataset):
    """Fields that are annotated in their left half."""

    def __len__(self):
        return NUM_FIELDS

    def get_data_info(self, index):
        return self[index].metainfo

    def __getitem__(self, index):
        return DetDataSample(
            metainfo=dict(
                img_path=f'{index}.png',
                ori_shape=(100, 100),
                annotated_regions=[[0, 0, 50, 100]],
                instances=[
                    dict(bbox=[10.0, 10, 30, 30], bbox_label=1, ignore_flag=0)
                ],
            )
        )


class Teacher:
    """One that finds another score in each pass and on each rank."""

    def __init__(self, rank):
        self.rank = rank
        self.mining_pass = 0

    def predict(self, inputs, data_samples, rescale):
        score = 0.5 + self.mining_pass / 10 + self.rank / 100
        for sample in data_samples:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[10.0, 10, 30, 30], [60, 60, 80, 80]]),
                labels=torch.tensor([1, 2]),
                scores=torch.tensor([score, score]),
            )
        return data_samples


def as_batch(samples):
    return dict(inputs=[None] * len(samples), data_samples=samples)


def mine(rank):
    """Mine in two passes, resume and mine once more.

    Returns the scores in the bank and the state of the miner after each.
    """
    model = SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        teacher=Teacher(rank),
        miner=RegionMiner(NUM_CLASSES, hold_out=dict(share=0.5)),
    )
    runner = SimpleNamespace(
        model=model,
        train_loop=None,
        train_dataloader=DataLoader(Fields()),
        seed=0,
        epoch=0,
        logger=logging.getLogger('unequal_ranks'),
        message_hub=MessageHub.get_instance('unequal_ranks'),
        build_dataloader=Runner.build_dataloader,
    )
    hook = RegionMiningHook(
        dict(
            dataset=Fields(),
            # It gives the first fields to two ranks if they can't be divided.
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=as_batch,
            batch_size=1,
            num_workers=0,
        ),
        begin=0,
    )
    hook.before_train(runner)
    results = []
    for mining_pass in range(1, 4):
        if mining_pass == 3:
            state = model.miner.state_dict()
            model.miner = RegionMiner(NUM_CLASSES, hold_out=dict(share=0.5))
            model.miner.load_state_dict(state)
        model.teacher.mining_pass = mining_pass
        hook.mine(runner)
        scores = {
            path: found.scores.tolist()
            for path, found in model.miner.bank.items()
        }
        results.append((scores, copy.deepcopy(model.miner.state_dict())))
    return results


def build_detector(method):
    """A tiny detector with attributes that knows un-annotated area.

    Args:
        method (str): 'faster-rcnn', 'cascade-rcnn' or 'sla-det'.
    """
    register_all_modules()
    family = 'cascade-rcnn' if method == 'cascade-rcnn' else 'faster-rcnn'
    folder = family.replace('-', '_')
    base = get_config(f'mmdet::{folder}/{family}_r50_fpn_1x_coco.py').model
    cfg = Config(dict(model=copy.deepcopy(base)))
    head = dict(in_channels=16, fc_out_channels=16, num_classes=NUM_CLASSES)
    is_cascade = family == 'cascade-rcnn'
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                depth=18, base_channels=8, frozen_stages=-1, init_cfg=None
            ),
            'model.neck': dict(in_channels=[8, 16, 32, 64], out_channels=16),
            'model.rpn_head': dict(in_channels=16, feat_channels=16),
            'model.train_cfg.rpn.assigner.type': (
                'mmleuk.RegionMaxIoUAssigner'
            ),
            'model.roi_head': dict(
                type='mmleuk.CascadeAttributeRoIHead'
                if is_cascade
                else 'mmleuk.AttributeRoIHead',
                bbox_roi_extractor=dict(out_channels=16),
                attribute_head=dict(
                    type='mmleuk.AttributeHead', in_channels=16
                ),
            ),
        }
    )
    for stage in range(3 if is_cascade else 1):
        suffix = f'.{stage}' if is_cascade else ''
        cfg.merge_from_dict(
            {
                f'model.roi_head.bbox_head{suffix}': head,
                f'model.train_cfg.rcnn{suffix}.assigner.type': (
                    'mmleuk.RegionMaxIoUAssigner'
                ),
            }
        )
    if method == 'sla-det':
        cfg.model.update(
            type='mmleuk.SLADet',
            similarity_roi_extractor=dict(
                type='mmleuk.RobustSingleRoIExtractor',
                roi_layer=dict(
                    type='RoIAlign', output_size=4, sampling_ratio=0
                ),
                out_channels=16,
                featmap_strides=[4],
            ),
        )
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    return model.train()


def make_sample(cells, unannotated):
    """An image with cells and un-annotated area, both boxes."""
    sample = DetDataSample(
        metainfo=dict(
            img_path='field.png',
            img_shape=(SIZE, SIZE),
            ori_shape=(SIZE, SIZE),
            pad_shape=(SIZE, SIZE),
            batch_input_shape=(SIZE, SIZE),
            scale_factor=(1.0, 1.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(cells).reshape(-1, 4),
        labels=torch.ones(len(cells), dtype=torch.long),
        attributes=torch.ones(len(cells), 7, dtype=torch.long),
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.tensor(unannotated).reshape(-1, 4),
        labels=torch.full((len(unannotated),), UNANNOTATED),
    )
    return sample


def train(rank, method, samples, detections=None):
    """Do two steps under DDP, each rank with its own image.

    Args:
        rank (int): Rank of the process.
        method (str): As for :func:`build_detector`.
        samples (list[:obj:`DetDataSample`]): One image a rank.
        detections (list[:obj:`InstanceData`], optional): Detections of each,
            in place of SLA-Det's own; the training is where it learns from
            them.

    Returns:
        tuple: Losses and gradients of the second step, by name.
    """
    model = build_detector(method)
    if detections is not None:
        model._detect = lambda *args: [detections[rank]]
        hub = MessageHub.get_instance('unequal_ranks')
        for key, value in dict(
            loop_stage='train', max_iters=100, iter=80
        ).items():
            hub.update_info(key, value)
    # Each parameter must get a gradient on each rank.
    step = MMDistributedDataParallel(model, find_unused_parameters=False)
    generator = torch.Generator().manual_seed(rank)
    inputs = torch.rand(1, 3, SIZE, SIZE, generator=generator)
    for _ in range(2):
        model.zero_grad()
        losses = step(inputs, [copy.deepcopy(samples[rank])], mode='loss')
        loss, values = model.parse_losses(losses)
        loss.backward()
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    return dict(values), gradients


def start(rank, checkpoints):
    """Start from a checkpoint of one's own; return the error."""
    cfg = Config(
        dict(load_from=checkpoints[rank], resume=True, work_dir='work_dirs/a')
    )
    try:
        check_same_start(cfg)
    except SystemExit as error:
        return str(error)
    return None


def work_of_engine(rank, bad_inputs):
    """What of the engine is tested in one group."""
    return (
        guard(rank, bad_inputs),
        start(rank, ['a/epoch_3.pth', 'b/epoch_3.pth']),
        start(rank, ['a/epoch_3.pth', None]),
    )


def guard(rank, bad_inputs):
    """Train with losses that aren't finite on one process.

    Args:
        rank (int): Rank of the process.
        bad_inputs (list[tuple]): For each step, what the network gets on each
            process.

    Returns:
        list[str]: What the guard logs, and the error that it ends with.
    """
    messages = []
    logger = SimpleNamespace(
        info=messages.append, log=lambda _, text: messages.append(text)
    )
    network = MMDistributedDataParallel(torch.nn.Linear(1, 1))
    runner = SimpleNamespace(
        optim_wrapper=FiniteOptimWrapper(
            torch.optim.SGD(network.parameters(), lr=0.1)
        ),
        logger=logger,
    )
    hook = LossGuardHook(max_skipped=1)
    hook.before_train(runner)
    for step, values in enumerate(bad_inputs):
        runner.iter = step
        loss = network(torch.tensor([[values[rank]]])).sum()
        runner.optim_wrapper.update_params(loss)
        name = f'process_{rank}_step_{step}.png'
        batch = [DetDataSample(metainfo=dict(img_path=name))]
        try:
            hook.after_train_iter(runner, step, batch, dict(loss=loss))
        except FloatingPointError as error:
            messages.append(str(error))
    return messages
