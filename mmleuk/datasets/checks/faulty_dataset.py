# Copyright (c) mmleuk authors. All rights reserved.
"""A small faultless data set, to put one fault into and see what happens."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from PIL import Image

from mmleuk.structures import LLD_ATTRIBUTES
from mmleuk.structures.metainfo import LLD_CLASSES

SIZE = (64, 48)
NUM_IMAGES = 6
REGION = (4, 2, 60, 30)
# Boxes (x, y, width, height) of the two cells of each image, whose centres
# lie in the region, and of the cell that gets the fault.
BOXES = ((8, 6, 12, 14), (30, 8, 16, 12))
SPARE_BOX = (48, 16, 10, 11)
CODES = (2, 1, 0, 1, 0, 1, 0)
KEYS = tuple(item.get('json_key', item['name']) for item in LLD_ATTRIBUTES)

JSON_LAYOUTS = ('json', 'sparse_json')
TEXT_LAYOUTS = ('text', 'sparse_text')


class FaultyDataset:
    """Six images with two cells each, in one of the four formats.

    The lists of the JSON layouts and the rows of the text layouts may be
    changed until :meth:`write`.

    Args:
        folder (str | Path): An empty folder to write into.
        layout (str): ``'json'``, ``'sparse_json'``, ``'text'`` or
            ``'sparse_text'``. Defaults to 'json'.

    Attributes:
        images, annotations, categories (list): Of the JSON.
        rows (dict[str, list[str]]): Rows of each label file, by its stem.
        raw (bytes | None): Stands for the JSON, if it is set.
        options (dict): Arguments of :class:`LLDDataset` that read it.
    """

    def __init__(self, folder: Path, layout: str = 'json') -> None:
        self.folder = Path(folder)
        self.layout = layout
        self.is_text = layout in TEXT_LAYOUTS
        self.images: List[Any] = []
        self.annotations: List[Any] = []
        self.categories: List[Any] = [
            dict(id=i, name=name) for i, name in enumerate(LLD_CLASSES)
        ]
        self.rows: Dict[str, List[str]] = {}
        self.raw = None
        self.options = dict(
            ann_file='labels' if self.is_text else 'train.json',
            data_root=str(self.folder),
            data_prefix=dict(img='images'),
        )
        (self.folder / 'images').mkdir(parents=True)
        for number in range(NUM_IMAGES):
            self.add_image(f'{number}_1_1000_ALL.png')
            for box in BOXES:
                self.add_cell(bbox=box)

    @property
    def json_path(self) -> Path:
        """Path: Where the JSON is written to."""
        return self.folder / 'train.json'

    def image_path(self, name: str) -> Path:
        """Path of an image.

        Args:
            name (str): Its file name.

        Returns:
            Path: The path.
        """
        return self.folder / 'images' / name

    def draw(self, name: str, size: Sequence[int] = SIZE, **kwargs) -> Path:
        """Draw an image that no other is like.

        Args:
            name (str): Its file name.
            size (Sequence[int]): (width, height) in pixels. Defaults to
                (64, 48).
            kwargs (dict): Arguments of ``PIL.Image.Image.save``.

        Returns:
            Path: The file.
        """
        path = self.image_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.picture(name, size).save(path, **kwargs)
        return path

    @staticmethod
    def picture(name: str, size: Sequence[int] = SIZE) -> Image.Image:
        """Make a picture of coloured noise.

        Args:
            name (str): What makes it differ from others.
            size (Sequence[int]): (width, height) in pixels. Defaults to
                (64, 48).

        Returns:
            PIL.Image.Image: The picture.
        """
        rng = np.random.default_rng(list(name.encode()))
        noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        return Image.fromarray(noise)

    def add_image(self, name: str, draw: bool = True, **changes: Any) -> dict:
        """Add an image without a cell.

        Args:
            name (str): Its file name.
            draw (bool): Whether to draw it. Defaults to True.
            changes (dict): Keys of its JSON entry.

        Returns:
            dict: The entry.
        """
        if draw:
            self.draw(name)
        entry = dict(
            id=100 + len(self.images),
            file_name=name,
            width=SIZE[0],
            height=SIZE[1],
        )
        if self.layout == 'sparse_json':
            entry['annotated_regions'] = [list(REGION)]
        entry.update(changes)
        self.images.append(entry)
        self.rows[Path(name).stem] = []
        return entry

    def add_cell(self, bbox: Any = SPARE_BOX, **changes: Any) -> dict:
        """Add a cell to the last image.

        Args:
            bbox (Sequence[float]): (x, y, width, height) in pixels.
            changes (dict): Keys of its annotation.

        Returns:
            dict: The annotation.
        """
        annotation = dict(
            id=len(self.annotations),
            image_id=self.images[-1]['id'],
            category_id=1,
            bbox=bbox,
            iscrowd=0,
            **dict(zip(KEYS, CODES)),
        )
        annotation.update(changes)
        self.annotations.append(annotation)
        if self.is_text:
            self.add_row(self.row(bbox))
        return annotation

    def add_row(self, row: str) -> None:
        """Add a row to the label file of the last image.

        Args:
            row (str): The row.
        """
        self.rows[Path(self.images[-1]['file_name']).stem].append(row)

    def row(self, bbox: Sequence[float] = SPARE_BOX, **columns: Any) -> str:
        """Write a row.

        Args:
            bbox (Sequence[float]): (x, y, width, height) in pixels.
            columns (dict): ``category``, ``box`` (4), ``region`` (4) or
                ``codes`` (7), to stand for those of a good row.

        Returns:
            str: The row.
        """
        x, y, w, h = bbox
        box = (
            (x + w / 2) / SIZE[0],
            (y + h / 2) / SIZE[1],
            w / SIZE[0],
            h / SIZE[1],
        )
        region = REGION if self.layout == 'sparse_text' else ()
        parts = [
            columns.get('category', 1),
            *columns.get('box', [f'{value:.8f}' for value in box]),
            *columns.get('region', region),
            *columns.get('codes', CODES),
        ]
        return ' '.join(map(str, parts))

    def write(self) -> None:
        """Write the labels."""
        if self.is_text:
            labels = self.folder / 'labels'
            labels.mkdir(exist_ok=True)
            for stem, rows in self.rows.items():
                text = ''.join(f'{row}\n' for row in rows)
                (labels / f'{stem}.txt').write_text(text, encoding='utf-8')
        elif self.raw is not None:
            self.json_path.write_bytes(self.raw)
        else:
            self.json_path.write_bytes(self.to_json())

    def to_json(self) -> bytes:
        """Write the lists as JSON.

        Returns:
            bytes: The JSON.
        """
        content = dict(
            images=self.images,
            annotations=self.annotations,
            categories=self.categories,
        )
        return json.dumps(content).encode()


def signatures(dataset: Any) -> List[Tuple]:
    """Name every cell of a dataset by all that it states.

    Args:
        dataset (LLDDataset): The dataset, not serialised.

    Returns:
        list[tuple]: File name, rounded box, label, ignore flag, codes.
    """
    return [
        (
            Path(info['img_path']).name,
            tuple(round(value, 3) for value in instance['bbox']),
            instance['bbox_label'],
            instance['ignore_flag'],
            tuple(instance['attributes']),
        )
        for info in dataset.data_list
        for instance in info['instances']
    ]
