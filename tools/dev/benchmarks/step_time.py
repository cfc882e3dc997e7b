# Copyright (c) mmleuk authors. All rights reserved.
"""Time training steps of detectors with and without regions and mining.

Steps of all variants alternate in one process, on the same batches, so that
the ratios hold however fast the machine is at the moment::

    python tools/dev/benchmarks/step_time.py CHECKPOINT --steps 15

CHECKPOINT is of the mined config, from ``tools/train.py``: all models start
from its student. A teacher that was not trained names cells all over, so that
its pass takes longer than any in a training, and mines none for the student.

The pass of the teacher is timed apart and shared out among the steps of the
epochs that it serves.
"""

import argparse
import copy
import statistics
import time
from typing import Callable, Dict, List

import torch
from mmdet.registry import HOOKS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from runs import ROOT, spread
from torch import Tensor

from mmleuk.engine.checkpoint_loaders import load_checkpoints_safely
from mmleuk.structures import is_held_out

IGNORE = (
    'configs/baselines/ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
SELF_MINED = (
    'configs/region_sparse/'
    'self-mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
MINED = (
    'configs/region_sparse/'
    'mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
STUDENT = 'student'
PLAIN = 'MMDetection'
REGIONS = 'regions'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'checkpoint', help='of the mined config: weights to start from'
    )
    parser.add_argument('--steps', type=int, default=15)
    parser.add_argument('--warm-up', type=int, default=2)
    return parser.parse_args()


def model_configs() -> Dict[str, ConfigDict]:
    """List the models to time, all with the same detector."""
    regions = Config.fromfile(ROOT / IGNORE).model
    plain = copy.deepcopy(regions)
    for part in (plain.train_cfg.rpn, plain.train_cfg.rcnn):
        part.assigner.type = 'MaxIoUAssigner'
    sampled = copy.deepcopy(regions)
    for part in (sampled.train_cfg.rpn, sampled.train_cfg.rcnn):
        part.sampler.type = 'mmleuk.SparseRegionSampler'
    self_mined = Config.fromfile(ROOT / SELF_MINED).model
    # As it is after its warm-up.
    self_mined.train_cfg.rcnn.sampler.warmup = 0
    return {
        PLAIN: plain,
        REGIONS: regions,
        'regions, region sampler': sampled,
        'self-mined': self_mined,
        'mined': Config.fromfile(ROOT / MINED).model,
    }


def load_weights(model: BaseModel, weights: Dict[str, Tensor]) -> None:
    """Load the weights of a mined model into any of the models."""
    if not hasattr(model, STUDENT):
        start = f'{STUDENT}.'
        weights = {
            name.removeprefix(start): value
            for name, value in weights.items()
            if name.startswith(start)
        }
    load_state_dict(model, weights, strict=True)


def make_step(
    cfg: ConfigDict, optim_cfg: ConfigDict, weights: Dict[str, Tensor]
) -> Callable:
    """Build a model; return a function that trains it by one batch."""
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    load_weights(model, weights)
    model.train()
    optim_wrapper = build_optim_wrapper(model, optim_cfg)

    def step(batch: dict) -> None:
        model.train_step(batch, optim_wrapper)

    step.model = model
    return step


def find_hook(cfg: Config, name: str) -> ConfigDict:
    """Find the config of the last custom hook of this type."""
    return [h for h in cfg.custom_hooks if h.type.split('.')[-1] == name][-1]


def mine(step: Callable, cfg: Config) -> float:
    """Run one mining pass; return seconds a field, without loading."""
    model, hold_out = step.model, step.model.miner.hold_out
    hook = HOOKS.build(find_hook(cfg, 'RegionMiningHook'))
    loader = Runner.build_dataloader(
        dict(hook.dataloader_cfg, num_workers=0, persistent_workers=False),
        seed=0,
    )
    seconds, num_fields = 0.0, 0
    for batch in loader:
        start = time.perf_counter()
        with torch.no_grad():
            data = model.data_preprocessor(batch, training=False)
            for sample in hook.detect(model, data):
                held_out = is_held_out(sample.img_path, **hold_out)
                model.miner.store(sample, held_out)
                num_fields += 1
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    model.miner.calibrate()
    seconds += time.perf_counter() - start
    return seconds / num_fields


def main() -> None:
    """Time all models and print the ratios."""
    args = parse_args()
    register_all_modules()
    load_checkpoints_safely()
    weights = CheckpointLoader.load_checkpoint(
        args.checkpoint, map_location='cpu'
    )['state_dict']
    cfg = Config.fromfile(ROOT / MINED)
    MessageHub.get_instance('step_time')
    with DefaultScope.overwrite_default_scope('mmdet'):
        steps = {
            name: make_step(model_cfg, cfg.optim_wrapper, weights)
            for name, model_cfg in model_configs().items()
        }
        seconds_a_field = mine(steps['mined'], cfg)
        # Fields as the student sees them once the burn-in is over.
        dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        switch = find_hook(cfg, 'InnerPipelineSwitchHook')
        dataset.pipeline = switch.switch_pipeline
        loader = Runner.build_dataloader(
            dict(
                batch_size=cfg.train_dataloader.batch_size,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dataset,
            ),
            seed=0,
        )
        times: Dict[str, List[float]] = {name: [] for name in steps}
        batches = iter(loader)
        for index in range(args.warm_up + args.steps):
            batch = next(batches, None)
            if batch is None:
                batches = iter(loader)
                batch = next(batches)
            for name, step in steps.items():
                start = time.perf_counter()
                step(copy.deepcopy(batch))
                if index >= args.warm_up:
                    times[name].append(time.perf_counter() - start)

    rows = [
        ('regions / MMDetection', times[REGIONS], times[PLAIN]),
        (
            'region sampler / MMDetection',
            times['regions, region sampler'],
            times[PLAIN],
        ),
        ('self-mined / regions', times['self-mined'], times[REGIONS]),
        ('mined / regions', times['mined'], times[REGIONS]),
    ]
    for name, ours, theirs in rows:
        ratios = [a / b for a, b in zip(ours, theirs)]
        print(
            f'{name:30s} median {statistics.median(ratios):.3f}, '
            f'mean {spread(ratios)}'
        )
    step = statistics.median(times[REGIONS])
    # Passes in the config's schedule, those of the held-out fields counted by
    # their share.
    hook = HOOKS.build(find_hook(cfg, 'RegionMiningHook'))
    num_epochs = cfg.train_cfg.max_epochs
    passes = sum(
        1 if hook.is_of_all_fields(epoch) else cfg.model.miner.hold_out.share
        for epoch in filter(hook.is_due, range(num_epochs))
    )
    share = seconds_a_field * cfg.train_dataloader.batch_size / step
    print(
        f'a pass of the teacher costs {share:.3f} of a step a batch; '
        f'{passes:.1f} passes in {num_epochs} epochs add '
        f'{share * passes / num_epochs:.3f} to the ratio'
    )


if __name__ == '__main__':
    main()
