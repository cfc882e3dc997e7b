# Copyright (c) mmleuk authors. All rights reserved.
"""Export a trained detector to ONNX, from pixels to cells and attributes.

With --check the file is also run in onnxruntime on the validation images of
the config, and its detections are compared with those of PyTorch. A file that
differs by more than rounding does not get its name::

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT detector.onnx \
        --check
"""

import argparse
import copy
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
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint

from mmleuk.apis.safe_checkpoint import hash_file
from mmleuk.config_files import config_path
from mmleuk.deployment import Agreement, OnnxDetector
from mmleuk.deployment.export import export_onnx
from mmleuk.engine import load_checkpoints_safely
from mmleuk.engine.run_config import add_cfg_options
from mmleuk.engine.unsqueeze import apply_unsqueeze
from mmleuk.version import __version__

# Prefixes of transforms that do not change the pixels.
_NOT_PIXELS = ('Load', 'Pack')
# Those that an ONNX file states, with their scope.
_RESIZES = dict(
    Resize='mmdet.Resize', UnsqueezeResize='mmleuk.UnsqueezeResize'
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'config', type=config_path, help='path or name of the config'
    )
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
    add_cfg_options(parser, 'model.test_cfg.rcnn.score_thr=0.3')
    args = parser.parse_args()
    for what in ('config', 'checkpoint'):
        if not osp.isfile(getattr(args, what)):
            parser.error(f'there is no {what} {getattr(args, what)}')
    if not args.out.endswith('.onnx'):
        parser.error(f'OUT is {args.out}, expected a name ending in .onnx')
    return args


def load_detector(cfg: Config, file: str) -> Tuple[BaseDetector, dict]:
    """Build a detector on the CPU; return it and the checkpoint's ``meta``."""
    detector = MODELS.build(cfg.model)
    # Strict: a weight that is missing would be a random one.
    checkpoint = load_checkpoint(
        detector, file, 'cpu', strict=True, logger='silent'
    )
    return detector.eval(), checkpoint.get('meta', {})


def find_resize(dataset: ConfigDict) -> Optional[dict]:
    """Find the config of ``Resize`` in a test dataset, None without one.

    Raises:
        SystemExit: If the pipeline does more to the pixels.
    """
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    found = []
    for transform in dataset.get('pipeline', ()):
        kind = transform['type'].rpartition('.')[2]
        if kind in _RESIZES:
            found.append(dict(transform, type=_RESIZES[kind]))
        elif not kind.startswith(_NOT_PIXELS):
            raise SystemExit(
                f'the test pipeline has {transform["type"]}, expected to '
                'load, resize and pack: the ONNX file does nothing else to '
                'an image'
            )
    if len(found) > 1:
        raise SystemExit(
            f'the test pipeline resizes {len(found)} times, expected once'
        )
    return found[0] if found else None


def collect_metadata(
    cfg: Config, args: argparse.Namespace, meta: Mapping[str, Any]
) -> Dict[str, Any]:
    """Collect the entries that describe the origin of the file."""
    return {
        **{key: meta[key] for key in meta if key.startswith('mmleuk_')},
        'test_cfg': find_test_cfg(cfg.model),
        'config': osp.basename(args.config),
        'checkpoint': osp.basename(args.checkpoint),
        'checkpoint_sha256': hash_file(args.checkpoint),
        'mmleuk_version': __version__,
    }


def find_test_cfg(model: ConfigDict) -> dict:
    """Find ``test_cfg`` of the detector, inside any wrapper."""
    return model.get('detector', model).test_cfg.to_dict()


def compare(
    detector: BaseDetector,
    exported: OnnxDetector,
    batches: Iterable[dict],
    score_thr: float,
) -> Agreement:
    """Run both detectors on the same batches of a dataloader."""
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
    """Compare the file with the detector and print how much they differ.

    Raises:
        SystemExit: If they differ too much, or found no cells.
    """
    loader_cfg = cfg[f'{args.check}_dataloader']
    loader_cfg.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(loader_cfg)
    test_cfg = find_test_cfg(cfg.model)
    agreement = compare(
        detector,
        OnnxDetector(file),
        islice(loader, args.num_images),
        # That of the second stage, if there are two.
        test_cfg.get('rcnn', test_cfg)['score_thr'],
    )
    print(agreement)
    if not agreement.num_cells:
        raise SystemExit(
            'no cell was found by both, so nothing was compared: expected '
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
    # It warns of packages that are not needed here.
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    apply_unsqueeze(cfg)
    detector, meta = load_detector(cfg, args.checkpoint)
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if classes is None:
        raise SystemExit(
            f'{args.checkpoint} does not name its cell types, expected '
            'meta.dataset_meta.classes, as every checkpoint of MMEngine has'
        )
    out = Path(args.out)
    # A file gets its name when it has been checked.
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
