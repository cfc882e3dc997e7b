# Copyright (c) mmleuk authors. All rights reserved.
"""Time training steps with and without attributes, regions and mining.

Steps of all variants alternate in one process, on the same batches, and the
shortest of a few repetitions counts, so that the ratios hold on a machine that
others use::

    python tools/dev/benchmarks/step_time.py CHECKPOINT --steps 15

CHECKPOINT is of the mined config, from ``tools/train.py``: all models start
from its student. A teacher that was not trained names cells all over, so that
its pass takes longer than any in a training, and mines none for the student.

The pass of the teacher is timed apart and shared out among the steps of the
epochs that it serves.
"""

import argparse
import copy
import math
import statistics
import time
from typing import Callable, Dict, List

import torch
from inference import PREFIX, without_attributes
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
from mmleuk.engine.hooks import RegionMiningHook
from mmleuk.engine.run_config import add_cfg_options
from mmleuk.structures import is_held_out

CONFIG = (
    ROOT / 'configs/region_sparse'
    '/mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
STUDENT = 'student'
PLAIN = 'MMDetection'
ATTRIBUTES = 'attributes'
REGIONS = 'attributes, regions'
SAMPLED = 'attributes, regions, region sampler'
SELF_MINED = 'self-mined'
MINED = 'mined'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'checkpoint', help='of the mined config: weights to start from'
    )
    parser.add_argument(
        '--config', default=CONFIG, help='a mined config; default: %(default)s'
    )
    add_cfg_options(parser, 'train_dataloader.batch_size=2')
    parser.add_argument('--steps', type=int, default=15)
    parser.add_argument('--warm-up', type=int, default=2)
    parser.add_argument('--repetitions', type=int, default=3)
    return parser.parse_args()


def model_configs(mined: ConfigDict) -> Dict[str, ConfigDict]:
    """List the models to time, all with the detector of a mined model."""
    regions = copy.deepcopy(mined.detector)
    for part in sampling_parts(regions):
        part.sampler.type = 'RandomSampler'
    attributes = copy.deepcopy(regions)
    for part in sampling_parts(attributes):
        part.assigner.type = 'MaxIoUAssigner'
    self_mined = copy.deepcopy(mined.detector)
    for part in sampling_parts(self_mined)[1:]:
        part.sampler.self_mining = dict(score_thr=0.9)
    return {
        PLAIN: without_attributes(attributes),
        ATTRIBUTES: attributes,
        REGIONS: regions,
        SAMPLED: mined.detector,
        SELF_MINED: self_mined,
        MINED: mined,
    }


def sampling_parts(detector: ConfigDict) -> List[ConfigDict]:
    """List the parts of ``train_cfg`` with a sampler, that of the RPN first.

    A cascade has one for each stage.
    """
    rcnn = detector.train_cfg.rcnn
    return [
        detector.train_cfg.rpn,
        *([rcnn] if hasattr(rcnn, 'sampler') else rcnn),
    ]


def load_weights(model: BaseModel, weights: Dict[str, Tensor]) -> None:
    """Load the weights of a mined model into any of the models."""
    if not hasattr(model, STUDENT):
        start = f'{STUDENT}.'
        weights = {
            name.removeprefix(start): value
            for name, value in weights.items()
            if name.startswith(start)
        }
    if not hasattr(model, STUDENT) and not hasattr(
        model.roi_head, 'attribute_head'
    ):
        weights = {
            name: value
            for name, value in weights.items()
            if not name.startswith(f'roi_head.{PREFIX}')
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
    """Find the config of the last custom hook whose type ends so."""
    return [h for h in cfg.custom_hooks if h.type.endswith(name)][-1]


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


def count_passes(
    hook: RegionMiningHook, num_epochs: int, held_out: float
) -> float:
    """Count the mining passes of a training.

    Args:
        hook (RegionMiningHook): The hook that runs them.
        num_epochs (int): Epochs of the training.
        held_out (float): Share of the held-out fields. A pass before mining
            begins is over these alone, and counts so much.

    Returns:
        float: The number of passes over all fields.
    """
    return sum(
        1 if epoch >= hook.begin else held_out
        for epoch in range(num_epochs)
        if hook.is_due(epoch)
    )


def main() -> None:
    """Time all models and print the ratios."""
    args = parse_args()
    register_all_modules()
    load_checkpoints_safely()
    weights = CheckpointLoader.load_checkpoint(
        args.checkpoint, map_location='cpu'
    )['state_dict']
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    MessageHub.get_instance('step_time')
    with DefaultScope.overwrite_default_scope('mmdet'):
        steps = {
            name: make_step(model_cfg, cfg.optim_wrapper, weights)
            for name, model_cfg in model_configs(cfg.model).items()
        }
        seconds_a_field = mine(steps[MINED], cfg)
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
            seconds = dict.fromkeys(steps, math.inf)
            for _ in range(args.repetitions):
                for name, step in steps.items():
                    copied = copy.deepcopy(batch)
                    start = time.perf_counter()
                    step(copied)
                    passed = time.perf_counter() - start
                    seconds[name] = min(seconds[name], passed)
            if index >= args.warm_up:
                for name in steps:
                    times[name].append(seconds[name])

    for ours, theirs in (
        (ATTRIBUTES, PLAIN),
        (REGIONS, ATTRIBUTES),
        (SAMPLED, ATTRIBUTES),
        (SELF_MINED, REGIONS),
        (MINED, REGIONS),
    ):
        ratios = [a / b for a, b in zip(times[ours], times[theirs])]
        print(
            f'{ours} / {theirs}: median {statistics.median(ratios):.3f}, '
            f'mean {spread(ratios)}'
        )
    step = statistics.median(times[REGIONS])
    hook = HOOKS.build(find_hook(cfg, 'RegionMiningHook'))
    num_epochs = cfg.train_cfg.max_epochs
    passes = count_passes(hook, num_epochs, cfg.model.miner.hold_out.share)
    share = seconds_a_field * cfg.train_dataloader.batch_size / step
    print(
        f'a pass of the teacher costs {share:.3f} of a step a batch; '
        f'{passes:.1f} passes in {num_epochs} epochs add '
        f'{share * passes / num_epochs:.3f} to the ratio'
    )


if __name__ == '__main__':
    main()
