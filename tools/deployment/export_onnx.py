# Copyright (c) mmleuk authors. All rights reserved.
"""Export a trained detector to ONNX, from pixels to cells and attributes.

With --check it also runs the file in onnxruntime over the validation images
of the config, and holds what it finds against what PyTorch finds. A file that
differs by more than rounding does not get its name::

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT detector.onnx \
        --check
"""

import argparse
import copy
import hashlib
import logging
import os
import os.path as osp
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint

from mmleuk.deployment import Agreement, OnnxDetector
from mmleuk.deployment.export import export_onnx
from mmleuk.engine import load_checkpoints_safely
from mmleuk.version import __version__

# What in a pipeline leaves the pixels as they are.
_NOT_PIXELS = ('Load', 'Pack')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the weights')
    parser.add_argument('out', help='file to write, ending in .onnx')
    parser.add_argument(
        '--check',
        nargs='?',
        const='val',
        choices=['val', 'test'],
        help='compare with PyTorch on the images of this dataloader of the '
        'config; default: val',
    )
    parser.add_argument(
        '--num-images',
        type=int,
        help='compare on the first so many alone; default: all',
    )
    parser.add_argument(
        '--box-tol',
        type=float,
        default=0.01,
        help='largest difference of a coordinate in pixels of the original '
        'image; default: %(default)s',
    )
    parser.add_argument(
        '--score-tol',
        type=float,
        default=1e-4,
        help='largest difference of a score and of an attribute probability; '
        'default: %(default)s',
    )
    parser.add_argument(
        '--min-size',
        type=int,
        default=96,
        help="least height and width of an image as the network's input, in "
        'pixels; default: %(default)s',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as '
        'model.test_cfg.rcnn.score_thr=0.3',
    )
    args = parser.parse_args()
    for what in ('config', 'checkpoint'):
        if not osp.isfile(getattr(args, what)):
            parser.error(f'there is no {what} {getattr(args, what)}')
    if not args.out.endswith('.onnx'):
        parser.error(f'OUT is {args.out}, expected a name ending in .onnx')
    return args


def load_detector(cfg: Config, file: str) -> Tuple[BaseDetector, dict]:
    """Build the detector of a config and load its weights.

    Args:
        cfg (Config): The config.
        file (str): Path of the checkpoint.

    Returns:
        tuple[BaseDetector, dict]: The detector on the CPU, in evaluation
        mode, and ``meta`` of the checkpoint.
    """
    detector = MODELS.build(cfg.model)
    # Strict: a weight that is missing would be a random one.
    checkpoint = load_checkpoint(
        detector, file, 'cpu', strict=True, logger='silent'
    )
    return detector.eval(), checkpoint.get('meta', {})


def find_resize(dataset: ConfigDict) -> Optional[dict]:
    """Find how images are resized in testing.

    Args:
        dataset (ConfigDict): Config of the test dataset, or of a wrapper.

    Returns:
        dict | None: Config of the transform, None if there is none.

    Raises:
        SystemExit: If the pipeline does more to the pixels.
    """
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    found = []
    for transform in dataset.get('pipeline', ()):
        kind = transform['type'].rpartition('.')[2]
        if kind == 'Resize':
            found.append(dict(transform, type='mmdet.Resize'))
        elif not kind.startswith(_NOT_PIXELS):
            raise SystemExit(
                f'the test pipeline has {transform["type"]}, expected to '
                'load, resize and pack: who runs the file could not do the '
                'same to an image'
            )
    if len(found) > 1:
        raise SystemExit(
            f'the test pipeline resizes {len(found)} times, expected once'
        )
    return found[0] if found else None


def collect_metadata(
    cfg: Config, args: argparse.Namespace, meta: Mapping[str, Any]
) -> Dict[str, Any]:
    """Collect what the file has to say of its origin.

    Args:
        cfg (Config): The config.
        args (argparse.Namespace): The command line.
        meta (Mapping[str, Any]): ``meta`` of the checkpoint. What mmleuk put
            there, such as a calibration, is copied.

    Returns:
        dict[str, Any]: Entries by name.
    """
    return {
        **{key: meta[key] for key in meta if key.startswith('mmleuk_')},
        'test_cfg': cfg_of_tests(cfg.model),
        'config': osp.basename(args.config),
        'checkpoint': osp.basename(args.checkpoint),
        'checkpoint_sha256': hashlib.sha256(
            Path(args.checkpoint).read_bytes()
        ).hexdigest(),
        'mmleuk_version': __version__,
    }


def cfg_of_tests(model: ConfigDict) -> dict:
    """Find the thresholds that the graph has.

    Args:
        model (ConfigDict): Config of the model.

    Returns:
        dict: ``test_cfg`` of the detector, inside any wrapper.
    """
    return model.get('detector', model).test_cfg.to_dict()


def compare(
    detector: BaseDetector,
    exported: OnnxDetector,
    batches: Iterable[dict],
    score_thr: float,
) -> Agreement:
    """Run both over the same images.

    Args:
        detector (BaseDetector): The detector in PyTorch.
        exported (OnnxDetector): The exported one.
        batches (Iterable[dict]): Batches of a dataloader.
        score_thr (float): Score above which the detector gives cells.

    Returns:
        Agreement: How far they differ.
    """
    agreement = Agreement(score_thr)
    for batch in batches:
        with torch.no_grad():
            ours = detector.test_step(copy.deepcopy(batch))
        theirs = exported.test_step(batch)
        for one, other in zip(ours, theirs):
            agreement.add(one.pred_instances, other.pred_instances)
    return agreement


def check(
    cfg: Config,
    args: argparse.Namespace,
    detector: BaseDetector,
    file: Path,
) -> None:
    """Compare the file with the detector and print how far they differ.

    Args:
        cfg (Config): The config.
        args (argparse.Namespace): The command line.
        detector (BaseDetector): The detector in PyTorch.
        file (Path): The exported file.

    Raises:
        SystemExit: If they differ by more than they may, or found nothing
            that could differ.
    """
    loader_cfg = cfg[f'{args.check}_dataloader']
    loader_cfg.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(loader_cfg)
    agreement = compare(
        detector,
        OnnxDetector(file),
        islice(loader, args.num_images),
        cfg_of_tests(cfg.model)['rcnn']['score_thr'],
    )
    print(agreement)
    if not agreement.num_cells:
        raise SystemExit(
            'no cell was found by both, so that nothing is shown: expected '
            'images with cells and a trained detector'
        )
    violations = agreement.violations(args.box_tol, args.score_tol)
    if violations:
        raise SystemExit(
            f'{"; ".join(violations)}. The file is kept as {file}'
        )


def main() -> None:
    """Export, check and name the file."""
    args = parse_args()
    register_all_modules()
    load_checkpoints_safely()
    # It warns of packages that nothing here needs.
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    detector, meta = load_detector(cfg, args.checkpoint)
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if classes is None:
        raise SystemExit(
            f'{args.checkpoint} does not name its cell types, expected '
            'meta.dataset_meta.classes, as every checkpoint of MMEngine has'
        )
    out = Path(args.out)
    # An unchecked file does not pass for a checked one.
    file = out if args.check is None else out.with_suffix('.unchecked.onnx')
    export_onnx(
        detector,
        file,
        classes,
        resize=find_resize(cfg.test_dataloader.dataset),
        metadata=collect_metadata(cfg, args, meta),
        min_size=args.min_size,
    )
    if args.check is not None:
        check(cfg, args, detector, file)
        os.replace(file, out)
    print(f'Exported: {out}')


if __name__ == '__main__':
    main()
