# Copyright (c) mmleuk authors. All rights reserved.
"""Draw the images that a config trains on, or a contact sheet of its cells.

Boxes, attributes, ignored cells and annotated regions, by default as the
pipeline leaves them::

    python tools/analysis_tools/browse_dataset.py CONFIG --out work_dirs/browse
    python tools/analysis_tools/browse_dataset.py CONFIG --mode contact-sheet \
        --out work_dirs/browse

Modes:

    transformed    images as the pipeline gives them to the data preprocessor,
                   mosaics and all branches of a semi-supervised one included
    original       images and annotations as they were read
    contact-sheet  examples of cells: a row a class, a column an attribute
                   value, with counts
"""

import argparse
import os.path as osp
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple

import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadAnnotations, Resize
from mmdet.registry import DATASETS, VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import register_all_modules
from mmdet.visualization import get_palette
from mmengine.config import Config
from mmengine.fileio import get
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData
from mmengine.utils import ProgressBar
from torch.utils.data import Dataset

from mmleuk.config_files import config_path
from mmleuk.engine.dataset_wrappers import iter_data_infos, unwrap_dataset
from mmleuk.engine.run_config import add_cfg_options
from mmleuk.engine.unsqueeze import apply_unsqueeze
from mmleuk.structures import (
    MISSING,
    UNANNOTATED,
    AttributeSchema,
    cover_rectangles,
    unannotated_area,
)
from mmleuk.visualization.contact_sheet import ContactSheet, Example, cut_out
from mmleuk.visualization.picture_names import PictureNames, common_folder

MODES = ('transformed', 'original', 'contact-sheet')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config', type=config_path, help='path or name of the config'
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='which dataloader of the config (default: %(default)s)',
    )
    parser.add_argument(
        '--mode',
        choices=MODES,
        default='transformed',
        help='what is drawn (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        help='folder for the pictures; without it they are shown in a window',
    )
    parser.add_argument(
        '--number',
        type=int,
        help='how many images, spread evenly over the dataset (default: all)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='same seed, same pictures (default: %(default)s)',
    )
    parser.add_argument(
        '--attributes',
        choices=['codes', 'words', 'none'],
        default='codes',
        help='attributes as codes of few letters or written out '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--examples',
        type=int,
        default=4,
        help='cells in each block of a contact sheet (default: %(default)s)',
    )
    parser.add_argument(
        '--cell-size',
        type=int,
        default=56,
        help='side of such a cell in pixels (default: %(default)s)',
    )
    parser.add_argument(
        '--show-interval',
        type=float,
        default=2,
        help='seconds for which a picture is shown (default: %(default)s)',
    )
    add_cfg_options(parser, 'train_dataloader.dataset.ann_file=other.json')
    args = parser.parse_args()
    for name in ('number', 'examples', 'cell_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            flag = name.replace('_', '-')
            parser.error(f'--{flag} is {value}, expected 1 or more')
    return args


def build_visualizer(cfg: Config, attributes: str, metainfo: dict) -> Any:
    """Build the visualizer, with the settings of the config if it has one."""
    settings = dict(cfg.get('visualizer', {}))
    if settings.get('type') != 'mmleuk.LLDLocalVisualizer':
        settings = dict(type='mmleuk.LLDLocalVisualizer')
    settings.update(attributes=attributes, vis_backends=None, name='browse')
    visualizer = VISUALIZERS.build(settings)
    visualizer.dataset_meta = metainfo
    return visualizer


def spread(count: int, number: Optional[int]) -> np.ndarray:
    """Choose indices evenly over a dataset, all if ``number`` is None."""
    if number is None or number >= count:
        return np.arange(count)
    return np.arange(number) * count // number


def read_image(path: str) -> np.ndarray:
    """Read an image as RGB of shape (h, w, 3), uint8."""
    return mmcv.imfrombytes(get(path), channel_order='rgb')


def to_sample(info: dict, num_attributes: int) -> DetDataSample:
    """Pack the annotations of an image as they were read."""
    sample = DetDataSample(metainfo=dict(img_path=info['img_path']))
    cells = info['instances']
    for key, flag in (('gt_instances', 0), ('ignored_instances', 1)):
        some = [c for c in cells if c.get('ignore_flag', 0) == flag]
        missing = (MISSING,) * num_attributes
        codes = [tuple(c.get('attributes') or missing) for c in some]
        fields = dict(
            bboxes=torch.tensor([c['bbox'] for c in some]).reshape(-1, 4),
            labels=torch.tensor(
                [c['bbox_label'] for c in some], dtype=torch.int64
            ),
            attributes=torch.tensor(codes, dtype=torch.int64).reshape(
                -1, num_attributes
            ),
        )
        if num_attributes == 0:
            del fields['attributes']
        setattr(sample, key, InstanceData(**fields))
    area = unannotated_area(
        info.get('annotated_regions'), (info['height'], info['width'])
    )
    rectangles = torch.from_numpy(cover_rectangles(area, 1.0))
    ignored = sample.ignored_instances
    sample.ignored_instances = InstanceData(
        bboxes=torch.cat([ignored.bboxes, rectangles]),
        labels=torch.cat(
            [ignored.labels, torch.full((len(rectangles),), UNANNOTATED)]
        ),
    )
    return sample


def branches(item: dict) -> Iterator[Tuple[str, torch.Tensor, DetDataSample]]:
    """Take the views of one item apart.

    Args:
        item (dict): ``inputs`` and ``data_samples``, or dicts of both by
            branch, None for a branch that the item does not have.

    Yields:
        tuple: Name of the branch ('' for the only one), image, sample.
    """
    inputs, samples = item['inputs'], item['data_samples']
    if not isinstance(inputs, dict):
        yield '', inputs, samples
        return
    for branch, image in inputs.items():
        if image is not None:
            yield branch, image, samples[branch]


def loads_after_resize(dataset: Dataset) -> bool:
    """Tell whether a pipeline loads annotations after ``Resize``.

    Test pipelines do. Their boxes are in pixels of the original image.
    """
    pipeline = getattr(next(unwrap_dataset(dataset)), 'pipeline', None)
    is_resized = False
    for transform in getattr(pipeline, 'transforms', ()):
        is_resized = is_resized or isinstance(transform, Resize)
        if isinstance(transform, LoadAnnotations):
            return is_resized
    return False


def resize_boxes(sample: DetDataSample) -> None:
    """Scale the boxes of a sample to its resized image, in place."""
    factor = torch.tensor([*sample.scale_factor, *sample.scale_factor])
    for key in ('gt_instances', 'ignored_instances'):
        instances = sample.get(key)
        if instances is not None and 'bboxes' in instances:
            boxes = get_box_tensor(instances.bboxes)
            instances.bboxes = boxes * factor.to(boxes)


def browse(
    dataset: Dataset, args: argparse.Namespace, visualizer: Any
) -> None:
    """Draw images."""
    infos = list(iter_data_infos(dataset))
    names = PictureNames(common_folder(info['img_path'] for info in infos))
    attributes = dataset.metainfo.get('attributes', ())
    is_original = args.mode == 'original'
    indices = spread(len(infos if is_original else dataset), args.number)
    must_resize = not is_original and loads_after_resize(dataset)
    progress = ProgressBar(len(indices))
    for index in indices:
        views = []
        if is_original:
            info = infos[index]
            sample = to_sample(info, len(attributes))
            views.append(('', read_image(info['img_path']), sample))
        else:
            for branch, image, sample in branches(dataset[index]):
                # The pipelines load in OpenCV's order; the preprocessor of
                # the model turns it.
                image = image.permute(1, 2, 0).numpy()[..., ::-1]
                if must_resize:
                    resize_boxes(sample)
                views.append((branch, image, sample))
        for branch, image, sample in views:
            file = None
            name = names.key(sample.img_path)
            if args.out is not None:
                stem, suffix = osp.splitext(
                    names.file(args.out, sample.img_path)
                )
                # Mosaics and repeated images share a path.
                number = '' if is_original else f'_{index:04d}'
                file = f'{stem}{number}{branch and "_" + branch}{suffix}'
            visualizer.add_datasample(
                f'{name} {branch}'.strip(),
                image,
                sample,
                draw_pred=False,
                show=args.out is None,
                wait_time=args.show_interval,
                out_file=file,
            )
        progress.update()
    print()
    if args.out is not None:
        print(f'Drawn: {len(indices)} images of {args.split} to {args.out}')


def draw_contact_sheet(
    dataset: Dataset, args: argparse.Namespace, visualizer: Any
) -> None:
    """Draw examples of all cells that are not ignored."""
    meta = dataset.metainfo
    classes = meta.get('classes', ())
    schema = None
    if meta.get('attributes'):
        schema = AttributeSchema(meta['attributes'])
    sheet = ContactSheet(
        classes,
        get_palette(meta.get('palette'), max(1, len(classes))),
        schema,
        args.examples,
        args.cell_size,
        args.seed,
    )
    infos = list(iter_data_infos(dataset))
    for index in spread(len(infos), args.number):
        info = infos[index]
        for cell in info['instances']:
            if not cell.get('ignore_flag', 0):
                sheet.add(
                    cell['bbox_label'],
                    cell.get('attributes'),
                    Example(info['img_path'], tuple(cell['bbox'])),
                )
    examples = sheet.examples()
    progress = ProgressBar(len(examples))
    crops = {}
    for img_path, some in examples.items():
        image = read_image(img_path)
        for example in some:
            crops[example] = cut_out(image, example.bbox, args.cell_size)
        progress.update()
    drawn = sheet.draw(crops)
    print()
    if args.out is None:
        visualizer.show(drawn, 'contact sheet', wait_time=args.show_interval)
        return
    file = Path(args.out) / 'contact_sheet.png'
    mmcv.imwrite(drawn[..., ::-1], str(file))
    print(f'Drawn: {file}')


def main() -> None:
    """Draw what the command line asks for."""
    args = parse_args()
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    apply_unsqueeze(cfg)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    set_random_seed(args.seed)
    dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    visualizer = build_visualizer(cfg, args.attributes, dataset.metainfo)
    if args.mode == 'contact-sheet':
        draw_contact_sheet(dataset, args, visualizer)
    else:
        browse(dataset, args, visualizer)


if __name__ == '__main__':
    main()
