# Copyright (c) mmleuk authors. All rights reserved.
"""Say what this environment consists of, and try the parts that often fail.

All modules of MMDetection and mmleuk are imported, the compiled ops of mmcv
run on the CPU and on the accelerator that torch sees, and a config of the
package is read. What fails raises its error.
"""

import argparse
import platform

import torch
from mmcv.ops import nms, roi_align
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import Registry

from mmleuk import registry as mmleuk_registry
from mmleuk.config_files import CONFIGS
from mmleuk.environment import find_module

MODULES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmleuk')


def run_ops(device: str) -> None:
    """Run two compiled ops of mmcv.

    Args:
        device (str): Such as ``'cpu'``.

    Raises:
        RuntimeError: If one is not compiled for the device, or miscounts.
    """
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]], device=device)
    kept = nms(boxes, boxes.new_tensor([0.9, 0.8]), 0.5)[1]
    rois = torch.cat([boxes.new_zeros(2, 1), boxes], dim=1)
    aligned = roi_align(boxes.new_ones(1, 1, 8, 8), rois, (2, 2))
    if kept.tolist() != [0] or not aligned.eq(1).all():
        raise RuntimeError(
            f'the ops of mmcv on {device} gave {kept.tolist()} and '
            f'{aligned.flatten().tolist()}, expected [0] and ones: build '
            'mmcv anew for this torch, see docs/installation.md'
        )


def main() -> None:
    """Check."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f'Python {platform.python_version()}')
    for name in MODULES:
        print(find_module(name))
    register_all_modules()
    for registry in vars(mmleuk_registry).values():
        if isinstance(registry, Registry):
            registry.import_from_location()
    print('all modules can be imported')
    for device in dict.fromkeys(['cpu', get_device()]):
        run_ops(device)
        print(f'the ops of mmcv run on {device}')
    configs = sorted(CONFIGS.glob('[!_]*/*.py'))
    if not configs:
        raise FileNotFoundError(
            f'there is no config in {CONFIGS}: install mmleuk anew'
        )
    Config.fromfile(configs[0])
    print(f'{len(configs)} configs in {CONFIGS}')


if __name__ == '__main__':
    main()
