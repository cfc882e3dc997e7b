# Copyright (c) mmleuk authors. All rights reserved.
"""Draw the pictures of the documentation, from real cells.

Runs the project's own tools on pbc_fields: a prediction beside its
annotation, a sparsely labelled field as a mining model sees it, and a contact
sheet::

    python tools/dev/draw_doc_pictures.py CHECKPOINT

CHECKPOINT is one of attr-faster-rcnn_lite0_fpn_pbc-fields.py.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

from PIL import Image

TOOLS = Path(__file__).resolve().parents[1]
CONFIGS = TOOLS.parent / 'configs'
DETECTOR = CONFIGS / 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py'
SPARSE = (
    CONFIGS / 'region_sparse/'
    'mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
# Field of the validation with wrong types and attributes among right ones.
FIELD = 5
# A page with a few pictures should load fast.
MAX_BYTES = 200_000


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='weights of the detector')
    parser.add_argument(
        '--out',
        default='docs/images',
        help='folder of the pictures (default: %(default)s)',
    )
    args = parser.parse_args()
    if not Path(args.checkpoint).is_file():
        parser.error(f'there is no checkpoint {args.checkpoint}')
    return args


def run(tool: str, *args: object) -> None:
    """Run a tool of the project, by its path below ``tools``."""
    paths = [str(TOOLS.parent), os.environ.get('PYTHONPATH', '')]
    environment = dict(
        os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))
    )
    subprocess.run(
        [sys.executable, str(TOOLS / tool), *map(str, args)],
        check=True,
        env=environment,
    )


def compress(drawn: Path, file: Path, sizes: Sequence[int] = ()) -> None:
    """Write a picture as the best JPEG that is small enough.

    Args:
        drawn (Path): The picture.
        file (Path): The file to write.
        sizes (Sequence[int]): Tried instead of the picture's own width, one
            after the other, until one is small enough.

    Raises:
        ValueError: If none is.
    """
    image = Image.open(drawn).convert('RGB')
    for width in (image.width, *sizes):
        height = round(image.height * width / image.width)
        scaled = image.resize((width, height), Image.Resampling.LANCZOS)
        for quality in range(92, 70, -2):
            scaled.save(file, quality=quality, optimize=True)
            if file.stat().st_size < MAX_BYTES:
                print(f'{file}: {width} x {height}, quality {quality}')
                return
    raise ValueError(
        f'{drawn} takes {file.stat().st_size} bytes, expected less than '
        f'{MAX_BYTES} at a quality above 70. Name a smaller width'
    )


def main() -> None:
    """Draw all of them."""
    args = parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        run(
            'test.py',
            DETECTOR,
            args.checkpoint,
            '--work-dir',
            raw / 'run',
            '--show-dir',
            raw / 'prediction',
            '--cfg-options',
            'visualizer.min_side=0',
            f'test_dataloader.dataset.indices=[{FIELD}]',
        )
        (drawn,) = (raw / 'prediction').glob('*')
        compress(drawn, out / 'prediction.jpg', (1300,))

        browse = 'analysis_tools/browse_dataset.py'
        run(browse, SPARSE, '--out', raw / 'sparse', '--number', 6)
        drawn = sorted((raw / 'sparse').glob('*'))[-1]
        compress(drawn, out / 'sparse_browsing.jpg')

        run(
            browse,
            DETECTOR,
            *('--mode', 'contact-sheet', '--out', raw, '--cell-size', 42),
        )
        compress(raw / 'contact_sheet.png', out / 'contact_sheet.jpg', (1300,))


if __name__ == '__main__':
    main()
