# Copyright (c) mmleuk authors. All rights reserved.
"""Find cells in images, name their types and attributes, and write them down.

The model is built from a checkpoint, or from a config and a checkpoint::

    python tools/image_demo.py fields/ epoch_20.pth --out-dir outputs
    python tools/image_demo.py fields/ CONFIG --weights epoch_20.pth

A config file is Python code and is run; a checkpoint is data and is not.

Several processes, on GPUs or machines, share the images out; see
``tools/dist_predict.sh`` and ``tools/slurm_predict.sh``.
"""

import argparse
import os
import sys

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmleuk.apis import LLDInferencer, Tiling, UnreadableImageError
from mmleuk.config_files import config_path
from mmleuk.engine.launchers import (
    add_launcher,
    join_processes,
    leave_processes,
)

# Seconds that processes wait for each other. One that ends is not waited for:
# the launcher ends the others.
TIMEOUT = 24 * 3600


def model_path(name: str) -> str:
    """Find a config; leave the path of a checkpoint as it is."""
    return name if name.endswith('.pth') else config_path(name)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('inputs', help='path of an image or a folder')
    parser.add_argument(
        'model',
        type=model_path,
        metavar='CONFIG|WEIGHTS',
        help='path or name of a config, or path of a checkpoint (.pth) that '
        'holds its own',
    )
    parser.add_argument('--weights', help='path of the checkpoint')
    parser.add_argument(
        '--out-dir',
        default='outputs',
        help='folder for predictions.json, .csv and .coco.json '
        '(default: %(default)s)',
    )
    parser.add_argument('--show-dir', help='also draw into this folder')
    parser.add_argument(
        '--device', help='such as cuda:0 or cpu (default: the best there)'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images or tiles at once (default: %(default)s)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='lowest score of a cell (default: %(default)s)',
    )
    parser.add_argument(
        '--cell-iou-thr',
        type=float,
        # Of the 3825 cells of bccd_fields, many of which touch, 14 overlap
        # another one by more.
        default=0.5,
        help='boxes that overlap by more than this IoU are one cell, whatever '
        'their types, and the best one stays; 1 keeps all boxes, as '
        'tools/test.py does (default: %(default)s)',
    )
    parser.add_argument(
        '--recursive', action='store_true', help='look into folders of folders'
    )
    parser.add_argument(
        '--tile',
        type=int,
        metavar='SIZE',
        help='cut larger images into tiles of this side in pixels; take the '
        'size of the fields that the model was trained on',
    )
    parser.add_argument(
        '--overlap',
        type=int,
        metavar='PIXELS',
        help='smallest overlap of tiles, above the size of the largest cell '
        '(default: a quarter of the tile)',
    )
    parser.add_argument(
        '--region',
        type=int,
        nargs=4,
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='part of the image to cut into tiles',
    )
    parser.add_argument(
        '--patient-from-folder',
        action='store_true',
        help='the folder names the patient where the file name does not',
    )
    parser.add_argument(
        '--strict',
        action='store_true',
        help='stop at an image that can not be read',
    )
    add_launcher(parser)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.launcher != 'none' and args.device is not None:
        if torch.device(args.device).index is not None:
            parser.error(
                f'--device is {args.device}, expected none with several '
                'processes: each takes its own GPU'
            )
    if args.model.endswith('.pth'):
        if args.weights is not None:
            parser.error(
                f'got two checkpoints, {args.model} and {args.weights}: give '
                'a config, or one checkpoint'
            )
        args.model, args.weights = None, args.model
    elif args.weights is None:
        parser.error(f'--weights: got none for the config {args.model}')
    if args.tile is None and (args.overlap is not None or args.region):
        parser.error('--overlap and --region need --tile')
    return args


def main() -> None:
    """Predict, and report images that could not be read."""
    args = parse_args()
    join_processes(args.launcher, timeout=TIMEOUT)
    try:
        tile = args.tile and Tiling(args.tile, args.overlap, args.region)
        inferencer = LLDInferencer(args.model, args.weights, args.device)
        num_images = num_cells = num_failed = 0
        for image in inferencer.stream(
            args.inputs,
            args.batch_size,
            score_thr=args.score_thr,
            cell_iou_thr=args.cell_iou_thr,
            out_dir=args.out_dir,
            show_dir=args.show_dir or '',
            recursive=args.recursive,
            tile=tile,
            patient_from_folder=args.patient_from_folder,
            strict=args.strict,
            distributed=True,
        ):
            num_images += 1
            num_cells += len(image.cells)
            if image.error is not None:
                num_failed += 1
                if is_main_process():
                    print(
                        f'{image.file} was not read: {image.error}',
                        file=sys.stderr,
                    )
    except (UnreadableImageError, FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    print_log(
        f'{num_cells} cells in {num_images - num_failed} of {num_images} '
        f'images: see {args.out_dir}',
        logger='current',
    )
    leave_processes()
    if num_failed == num_images:
        sys.exit('error: no image could be read')


if __name__ == '__main__':
    main()
