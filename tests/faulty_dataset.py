# Copyright (c) mmleuk authors. All rights reserved.
"""A small faultless data set to put faults into."""

import json
from pathlib import Path

import numpy as np
from lld_files import CATEGORIES, JSON_KEYS
from PIL import Image

SIZE = (64, 48)
NUM_IMAGES = 6
REGION = (4, 2, 60, 30)
# Boxes (x, y, width, height) of the two cells of each image and of the cell
# that gets the fault. Their centres lie in the region.
BOXES = ((8, 6, 12, 14), (30, 8, 16, 12))
SPARE_BOX = (48, 16, 10, 11)
CODES = (2, 1, 0, 1, 0, 1, 0)


class FaultyDataset:
    """Six images with two cells each, in one of the four formats.

    The lists of the JSON layouts and the rows of the text layouts may be
    changed until :meth:`write`.

    Args:
        folder (str | Path): An empty folder to write into.
        layout (str): 'json', 'sparse_json', 'text' or 'sparse_text'.

    Attributes:
        images, annotations, categories (list): Of the JSON.
        rows (dict[str, list[str]]): Rows of each label file, by its stem.
        raw (bytes | None): Written in place of the JSON, if it is set.
        options (dict): Arguments of LLDDataset that read it.
    """

    def __init__(self, folder, layout='json'):
        self.folder = Path(folder)
        self.layout = layout
        self.is_text = layout in ('text', 'sparse_text')
        self.images = []
        self.annotations = []
        self.categories = [dict(category) for category in CATEGORIES]
        self.rows = {}
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
    def json_path(self):
        return self.folder / 'train.json'

    def image_path(self, name):
        return self.folder / 'images' / name

    @staticmethod
    def picture(name, size=SIZE):
        """Coloured noise that depends on the name."""
        rng = np.random.default_rng(list(name.encode()))
        noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        return Image.fromarray(noise)

    def draw(self, name, size=SIZE, **kwargs):
        """Save the picture of a name."""
        path = self.image_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.picture(name, size).save(path, **kwargs)

    def add_image(self, name, draw=True, **changes):
        """Add an image without a cell."""
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

    def add_cell(self, bbox=SPARE_BOX, **changes):
        """Add a cell to the last image."""
        annotation = dict(
            id=len(self.annotations),
            image_id=self.images[-1]['id'],
            category_id=1,
            bbox=bbox,
            iscrowd=0,
            **dict(zip(JSON_KEYS, CODES)),
        )
        annotation.update(changes)
        self.annotations.append(annotation)
        if self.is_text:
            self.add_row(self.row(bbox))

    def add_row(self, row):
        """Add a row to the label file of the last image."""
        self.rows[Path(self.images[-1]['file_name']).stem].append(row)

    def row(self, bbox=SPARE_BOX, **columns):
        """A row with columns of a good one replaced.

        These are category, box (4), region (4) and codes (7).
        """
        x, y, w, h = bbox
        box = np.array([x + w / 2, y + h / 2, w, h]) / (SIZE * 2)
        parts = [
            columns.get('category', 1),
            *columns.get('box', [f'{value:.8f}' for value in box]),
            *columns.get(
                'region', REGION if self.layout == 'sparse_text' else ()
            ),
            *columns.get('codes', CODES),
        ]
        return ' '.join(map(str, parts))

    def write(self):
        """Write the labels."""
        if not self.is_text:
            raw = self.to_json() if self.raw is None else self.raw
            self.json_path.write_bytes(raw)
            return
        (self.folder / 'labels').mkdir(exist_ok=True)
        for stem, rows in self.rows.items():
            text = ''.join(f'{row}\n' for row in rows)
            path = self.folder / 'labels' / f'{stem}.txt'
            path.write_text(text, encoding='utf-8')

    def to_json(self):
        content = dict(
            images=self.images,
            annotations=self.annotations,
            categories=self.categories,
        )
        return json.dumps(content).encode()
