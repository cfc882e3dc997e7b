# Copyright (c) mmleuk authors. All rights reserved.
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional

from mmleuk.io.csv_table import csv_table
from mmleuk.structures import ImagePrediction, PredictionHeader

from .found_cells import FoundCell, confidence_of


@contextmanager
def cell_table(
    path: Path, header: PredictionHeader
) -> Iterator[Callable[..., None]]:
    """Write all cells of a patient as CSV, for spreadsheets.

    Confidences are empty where the model is not calibrated.

    Args:
        path (Path): The file.
        header (PredictionHeader): Header of the predictions.

    Yields:
        Callable: Writes cells (Iterable[FoundCell]) of a patient
        (str, optional) in an image (ImagePrediction); arguments in the order
        patient, image, cells.
    """
    names = () if header.schema is None else header.schema.names
    columns = [
        *('patient', 'file', 'field', 'cell', 'x1', 'y1', 'x2', 'y2'),
        *('type', 'score', 'confidence'),
    ]
    for name in names:
        columns += [name, f'{name}_probability', f'{name}_confidence']
    with csv_table(path, [*columns, 'surprising', 'or']) as write_row:

        def write(
            patient: Optional[str],
            image: ImagePrediction,
            cells: Iterable[FoundCell],
        ) -> None:
            for found in cells:
                cell = found.cell
                row: list = [patient, image.file, image.field, found.place]
                row += [round(float(value), 1) for value in cell.bbox]
                row += [cell.type, _round(cell.score)]
                row.append(_round(cell.confidence))
                for name in names:
                    item = cell.attributes.get(name)
                    if item is None:
                        row += ['', '', '']
                        continue
                    row += [item.value, _round(item.probability)]
                    row.append(_round(item.confidence))
                surprises = (
                    f'{item.attribute}={item.value}'
                    for item in found.surprises
                )
                rivals = (
                    f'{rival.type} {confidence_of(rival):.4f}'
                    for rival in found.rivals
                )
                write_row([*row, '; '.join(surprises), '; '.join(rivals)])

        yield write


def _round(value: Optional[float]) -> str:
    return '' if value is None else f'{value:.4f}'
