# Copyright (c) mmleuk authors. All rights reserved.
import csv
from pathlib import Path
from types import TracebackType
from typing import Iterable, Optional, Type

from mmleuk.structures import ImagePrediction, PredictionHeader

from .found_cells import FoundCell, confidence_of

# What makes a spreadsheet take text for a formula.
_FORMULA_STARTS = ('=', '+', '-', '@', '\t', '\r')


class CellTable:
    """Writes all cells of a patient as CSV, for spreadsheets.

    Text from files that a spreadsheet would run as a formula gets a leading
    apostrophe. Confidences are empty where the model is not calibrated.

    Args:
        path (str | Path): The file.
        header (PredictionHeader): What holds for all images.
    """

    def __init__(self, path: Path, header: PredictionHeader) -> None:
        self.path = Path(path)
        self._partial = self.path.with_name(f'{self.path.name}.partial')
        self._schema = header.schema or ()
        self._stream = None
        self._writer = None

    def __enter__(self) -> 'CellTable':
        # With a mark of its encoding, which spreadsheets need.
        self._stream = self._partial.open(
            'w', encoding='utf-8-sig', errors='replace', newline=''
        )
        self._writer = csv.writer(self._stream)
        head = 'patient file field cell x1 y1 x2 y2 type score confidence'
        columns = head.split()
        for attribute in self._schema:
            name = attribute.name
            columns += [name, f'{name}_probability', f'{name}_confidence']
        self._writer.writerow([*columns, 'surprising', 'or'])
        return self

    def write(
        self,
        patient: Optional[str],
        image: ImagePrediction,
        cells: Iterable[FoundCell],
    ) -> None:
        """Add the cells of an image.

        Args:
            patient (str, optional): The patient.
            image (ImagePrediction): The image.
            cells (Iterable[FoundCell]): Its cells.
        """
        where = [_as_text(text) for text in (patient, image.file, image.field)]
        for found in cells:
            cell = found.cell
            row = [*where, found.place]
            row += [f'{value:.1f}' for value in cell.bbox]
            row += [_as_text(cell.type), _round(cell.score)]
            row.append(_round(cell.confidence))
            for attribute in self._schema:
                named = cell.attributes.get(attribute.name)
                if named is None:
                    row += ['', '', '']
                    continue
                row.append(_as_text(named.value))
                row += [_round(named.probability), _round(named.confidence)]
            surprises = (
                f'{item.attribute}={item.value}' for item in found.surprises
            )
            rivals = (
                f'{rival.type} {confidence_of(rival):.4f}'
                for rival in found.rivals
            )
            row += [
                _as_text('; '.join(surprises)),
                _as_text('; '.join(rivals)),
            ]
            self._writer.writerow(row)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._stream.close()
        if error is None:
            self._partial.replace(self.path)
        else:
            self._partial.unlink()


def _as_text(text: Optional[str]) -> str:
    text = text or ''
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _round(value: Optional[float]) -> str:
    return '' if value is None else f'{value:.4f}'
