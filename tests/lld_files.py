# Copyright (c) mmleuk authors. All rights reserved.
import json
from pathlib import Path

from PIL import Image

from mmleuk.structures import LLD_ATTRIBUTES
from mmleuk.structures.metainfo import LLD_CLASSES

CATEGORIES = [dict(id=i, name=name) for i, name in enumerate(LLD_CLASSES)]
JSON_KEYS = [item.get('json_key', item['name']) for item in LLD_ATTRIBUTES]


class LLDFiles:
    """Writes annotations in LLD's formats."""

    @staticmethod
    def image(path, size=(64, 48)):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', size).save(path)

    @staticmethod
    def annotation(
        number,
        image_id,
        bbox,
        category_id=1,
        codes=(0, 1, 0, 1, 0, 1, 0),
        keys=JSON_KEYS,
        nested=False,
        **kwargs,
    ):
        """An annotation; bbox is (x, y, width, height)."""
        attributes = dict(zip(keys, codes))
        return dict(
            id=number,
            image_id=image_id,
            category_id=category_id,
            bbox=list(bbox),
            **(dict(attributes=attributes) if nested else attributes),
            **kwargs,
        )

    @staticmethod
    def json(path, images, annotations, categories=CATEGORIES):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = dict(
            images=images, annotations=annotations, categories=categories
        )
        path.write_text(json.dumps(content))
        return str(path)

    @staticmethod
    def row(category_id, bbox, size, codes=(0, 1, 0, 1, 0, 1, 0), region=()):
        """A row of a label file; bbox is (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = bbox
        box = (
            (x1 + x2) / 2 / size[0],
            (y1 + y2) / 2 / size[1],
            (x2 - x1) / size[0],
            (y2 - y1) / size[1],
        )
        return ' '.join(
            [
                str(category_id),
                *(f'{value:.6f}' for value in box),
                *map(str, region),
                *map(str, codes),
            ]
        )

    @staticmethod
    def text(path, *rows):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(f'{row}\n' for row in rows))
        return str(path)
