# Copyright (c) mmleuk authors. All rights reserved.
import json
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, Union

from mmleuk.io.atomic_write import atomic_write
from mmleuk.io.csv_table import csv_table
from mmleuk.io.predictions import PredictionWriter
from mmleuk.structures import (
    AttributeSchema,
    ImagePrediction,
    PredictionHeader,
)

_Write = Callable[[ImagePrediction], None]


class ResultFiles:
    """Writes predictions in all formats, image by image.

    The files get their names when all are complete. A run that fails leaves
    what it has written, as ``<name>.partial``:

    - ``predictions.json``, see :class:`.PredictionWriter`;
    - ``predictions.csv``, a table with one row a cell. ``confidence`` is a
      number, or ``uncalibrated`` where there is none;
    - ``predictions.coco.json``, results for pycocotools, and
      ``predictions.coco_images.json``, a COCO dataset without annotations
      that says what the numbers mean. Images are numbered from 1 in the order
      of writing, categories from 1 in the order of the types. Each result
      also has ``attributes``, names of values by attribute::

        results = COCO('predictions.coco_images.json').loadRes(
            'predictions.coco.json'
        )

    Args:
        folder (str | Path): Their folder. It is made.
        header (PredictionHeader): Header of the predictions.
    """

    def __init__(
        self, folder: Union[str, Path], header: PredictionHeader
    ) -> None:
        self.folder = Path(folder)
        self.header = header

    def __enter__(self) -> 'ResultFiles':
        path, header = self.folder / 'predictions', self.header
        with ExitStack() as stack:
            self._writers = [
                stack.enter_context(
                    PredictionWriter(path.with_suffix('.json'), header)
                ).write,
                stack.enter_context(
                    _open_csv(path.with_suffix('.csv'), header.schema)
                ),
                stack.enter_context(_open_coco(path, header.types)),
            ]
            self._stack = stack.pop_all()
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add an image."""
        for write in self._writers:
            write(image)

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


@contextmanager
def _open_csv(
    path: Path, schema: Optional[AttributeSchema]
) -> Iterator[_Write]:
    """Write a table with one row a cell."""
    names = () if schema is None else schema.names
    columns = ['file', 'patient', 'field', 'x1', 'y1', 'x2', 'y2']
    columns += ['type', 'score', 'confidence']
    for name in names:
        columns += [name, f'{name}_probability', f'{name}_confidence']
    with csv_table(path, columns, keep_partial=True) as write_row:

        def write(image: ImagePrediction) -> None:
            for cell in image.cells:
                row = [image.file, image.patient, image.field, *cell.bbox]
                row += [cell.type, cell.score, _known(cell.confidence)]
                for name in names:
                    item = cell.attributes[name]
                    row += [item.value, item.probability]
                    row.append(_known(item.confidence))
                write_row(row)

        yield write


@contextmanager
def _open_coco(path: Path, types: Sequence[str]) -> Iterator[_Write]:
    """Write the two files for pycocotools."""
    ids = {name: number for number, name in enumerate(types, 1)}
    categories = [dict(id=ids[name], name=name) for name in types]
    with (
        atomic_write(
            path.with_suffix('.coco.json'), keep_partial=True
        ) as results,
        atomic_write(
            path.with_suffix('.coco_images.json'), keep_partial=True
        ) as images,
    ):
        results.write('[')
        images.write(
            f'{{"categories": {json.dumps(categories)}, "annotations": [], '
            '"images": ['
        )
        image_id, comma = 0, ''

        def write(image: ImagePrediction) -> None:
            nonlocal image_id, comma
            record = dict(
                id=image_id + 1,
                file_name=image.file,
                width=image.width,
                height=image.height,
            )
            images.write(f'{"," * bool(image_id)}\n{json.dumps(record)}')
            image_id += 1
            for cell in image.cells:
                x1, y1, x2, y2 = cell.bbox
                result = dict(
                    image_id=image_id,
                    category_id=ids[cell.type],
                    bbox=[x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)],
                    score=cell.score,
                    attributes=cell.values,
                )
                results.write(f'{comma}\n{json.dumps(result)}')
                comma = ','

        yield write
        results.write('\n]\n')
        images.write('\n]}\n')


def _known(confidence: Optional[float]) -> Union[float, str]:
    return 'uncalibrated' if confidence is None else confidence
