# Copyright (c) mmleuk authors. All rights reserved.
import csv
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, List, Optional, Sequence, TextIO, Union

from mmleuk.structures import (
    AttributeSchema,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
    PredictionWriter,
)

# A text that starts so is a formula to a spreadsheet, full-width signs
# included (OWASP, "CSV Injection").
_FORMULA_SIGNS = ('=', '+', '-', '@', '＝', '＋', '－', '＠')
UNCALIBRATED = 'uncalibrated'


class CsvWriter:
    """Writes a table with one row a cell, for spreadsheets.

    ``confidence`` is a number, or ``uncalibrated`` where there is none. Text
    that a spreadsheet would run as a formula gets an apostrophe in front. The
    file starts with a byte order mark, by which Excel knows UTF-8.

    Args:
        path (Path): The file.
        schema (AttributeSchema, optional): The attributes.
    """

    def __init__(self, path: Path, schema: Optional[AttributeSchema]) -> None:
        self.path = path
        self.names = () if schema is None else schema.names

    def __enter__(self) -> 'CsvWriter':
        self._stream = _open_partial(self.path, 'utf-8-sig')
        self._writer = csv.writer(self._stream)
        columns = ['file', 'patient', 'field', 'x1', 'y1', 'x2', 'y2']
        columns += ['type', 'score', 'confidence']
        for name in self.names:
            columns += [name, f'{name}_probability', f'{name}_confidence']
        self._writer.writerow(columns)
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add the cells of an image.

        Args:
            image (ImagePrediction): The image.
        """
        for cell in image.cells:
            row: List[Any] = [image.file, image.patient, image.field]
            row += [*cell.bbox, cell.type, cell.score]
            row.append(_known(cell.confidence))
            for name in self.names:
                item = cell.attributes[name]
                row += [item.value, item.probability, _known(item.confidence)]
            self._writer.writerow(map(_defuse, row))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        _close_partial(self._stream, self.path, is_whole=kind is None)


class CocoWriter:
    """Writes detections for pycocotools.

    Two files: the results, a list, and what the numbers in it mean, a COCO
    dataset without annotations. Images are numbered from 1 in the order of
    writing, categories from 1 in the order of the types::

        results = COCO('predictions.coco_images.json').loadRes(
            'predictions.coco.json'
        )

    Each result also has ``attributes``, the names of the values by attribute,
    which pycocotools hands through.

    Args:
        results_path (Path): File of the results.
        images_path (Path): File of the images and categories.
        types (Sequence[str]): The cell types.
    """

    def __init__(
        self, results_path: Path, images_path: Path, types: Sequence[str]
    ) -> None:
        self.results_path = results_path
        self.images_path = images_path
        self.category_ids = {name: i for i, name in enumerate(types, 1)}
        self._num_images = self._num_results = 0

    def __enter__(self) -> 'CocoWriter':
        categories = [
            dict(id=number, name=name)
            for name, number in self.category_ids.items()
        ]
        self._results = _open_partial(self.results_path)
        self._results.write('[')
        self._images = _open_partial(self.images_path)
        self._images.write(
            f'{{"categories": {json.dumps(categories)}, "annotations": [], '
            '"images": ['
        )
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add an image and its cells.

        Args:
            image (ImagePrediction): The image.
        """
        comma = ',' if self._num_images else ''
        self._num_images += 1
        record = dict(
            id=self._num_images,
            file_name=image.file,
            width=image.width,
            height=image.height,
        )
        self._images.write(f'{comma}\n{json.dumps(record)}')
        for cell in image.cells:
            comma = ',' if self._num_results else ''
            self._num_results += 1
            result = json.dumps(self._to_result(cell))
            self._results.write(f'{comma}\n{result}')

    def _to_result(self, cell: CellPrediction) -> dict:
        x1, y1, x2, y2 = cell.bbox
        return dict(
            image_id=self._num_images,
            category_id=self.category_ids[cell.type],
            bbox=[x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)],
            score=cell.score,
            attributes={k: a.value for k, a in cell.attributes.items()},
        )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._results.write('\n]\n')
        self._images.write('\n]}\n')
        is_whole = kind is None
        _close_partial(self._results, self.results_path, is_whole)
        _close_partial(self._images, self.images_path, is_whole)


class ResultFiles:
    """Writes predictions in all formats, image by image.

    ``predictions.json`` (see :class:`mmleuk.structures.PredictionWriter`),
    ``predictions.csv``, ``predictions.coco.json`` and
    ``predictions.coco_images.json`` come to be under their names when all is
    written. What was cut short stays as ``*.partial``.

    Args:
        folder (str | Path): Their folder. It is made.
        header (PredictionHeader): What holds for all images.
    """

    def __init__(
        self, folder: Union[str, Path], header: PredictionHeader
    ) -> None:
        folder = Path(folder)
        self.folder = folder
        self.writers = (
            PredictionWriter(folder / 'predictions.json', header),
            CsvWriter(folder / 'predictions.csv', header.schema),
            CocoWriter(
                folder / 'predictions.coco.json',
                folder / 'predictions.coco_images.json',
                header.types,
            ),
        )
        self._stack = ExitStack()

    def __enter__(self) -> 'ResultFiles':
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            for writer in self.writers:
                stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add an image.

        Args:
            image (ImagePrediction): The image.
        """
        for writer in self.writers:
            writer.write(image)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._stack.__exit__(kind, error, trace)


def _partial(path: Path) -> Path:
    return path.with_name(f'{path.name}.partial')


def _open_partial(path: Path, encoding: str = 'utf-8') -> TextIO:
    return _partial(path).open('w', encoding=encoding, newline='')


def _close_partial(stream: TextIO, path: Path, is_whole: bool) -> None:
    stream.close()
    if is_whole:
        os.replace(_partial(path), path)


def _known(confidence: Optional[float]) -> Union[float, str]:
    return UNCALIBRATED if confidence is None else confidence


def _defuse(value: Any) -> Any:
    """Make text of what a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    # A spreadsheet skips blanks and control characters in front.
    bare = value.lstrip()
    starts_odd = value != bare or not value[:1].isprintable()
    if bare.startswith(_FORMULA_SIGNS) or (starts_odd and value):
        return f"'{value}"
    return value
