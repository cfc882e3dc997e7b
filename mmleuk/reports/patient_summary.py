# Copyright (c) mmleuk authors. All rights reserved.
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import Dict, List, Optional, Tuple

import numpy as np

from mmleuk.structures import (
    Evidence,
    ImagePrediction,
    PredictionHeader,
    TypeProfile,
)

from .found_cells import FoundCell, merge_duplicate_boxes
from .gallery import Gallery, TopK
from .settings import ReportSettings


@dataclass(frozen=True)
class FieldSummary:
    """Counts of a field.

    Args:
        key (int): Key of its record in the :class:`PatientStore`.
        file (str): The image.
        name (str): Its field id, or else the stem of its file.
        size (tuple[int, int]): Width and height in pixels.
        counts (np.ndarray): Cells by type, shape (types, ).
        num_blasts (int): Cells counted as blasts.
        focus (float, optional): Its sharpness.
        scale (tuple): Magnification and subset: fields that agree in both
            have pixels of one size.
        error (str, optional): Why it could not be read.
    """

    key: int
    file: str
    name: str
    size: Tuple[int, int]
    counts: np.ndarray
    num_blasts: int
    focus: Optional[float]
    scale: Tuple[Optional[str], Optional[str]]
    error: Optional[str]

    @property
    def num_cells(self) -> int:
        """int: Cells of any type."""
        return int(self.counts.sum())


class PatientSummary:
    """Counts of the cells of one patient.

    It keeps a few numbers of each image, and only the cells that a page of
    bounded size shows.

    Args:
        header (PredictionHeader): Header of the predictions.
        settings (ReportSettings): Settings of the report.

    Attributes:
        profile (TypeProfile | None): Counts by type and attribute value, None
            of a model without attributes.
    """

    def __init__(
        self, header: PredictionHeader, settings: ReportSettings
    ) -> None:
        self.header = header
        self.settings = settings
        self.blasts = settings.find_blasts(header.types)
        self.fields: List[FieldSummary] = []
        self.gallery = Gallery(settings.max_gallery)
        # Blasts first, then those of the lowest confidence.
        self.table = TopK(settings.max_cells)
        self.diagnoses: Counter = Counter()
        self.confidences: Dict[str, array] = {}
        self.num_uncalibrated = 0
        self.num_rivals = 0
        self.surprises: Dict[Tuple[str, str, str], List] = {}
        self._row = {name: i for i, name in enumerate(header.types)}
        self._sides: Dict[tuple, array] = {}
        self.profile = None
        if header.schema is not None:
            self.profile = TypeProfile.count(header.types, header.schema)
        self._num_found = 0

    def add(self, key: int, image: ImagePrediction) -> List[FoundCell]:
        """Count an image and return its cells, numbered.

        ``key`` is that of its record in the :class:`PatientStore`.
        """
        counts = np.zeros(len(self.header.types), dtype=np.int64)
        scale = (image.magnification, image.subset)
        found_cells = merge_duplicate_boxes(
            image,
            len(self.fields),
            self._num_found,
            self.settings.same_cell_iou,
        )
        self._num_found += len(found_cells)
        for found in found_cells:
            counts[self._row[found.cell.type]] += 1
            self.num_rivals += len(found.rivals)
            self._add_cell(found, scale)
        self.fields.append(
            FieldSummary(
                key=key,
                file=image.file,
                name=image.field or PurePath(image.file).stem,
                size=(image.width, image.height),
                counts=counts,
                num_blasts=int(sum(counts[self._row[b]] for b in self.blasts)),
                focus=image.focus,
                scale=scale,
                error=image.error,
            )
        )
        if image.diagnosis:
            self.diagnoses[image.diagnosis] += 1
        return found_cells

    def _add_cell(self, found: FoundCell, scale: tuple) -> None:
        cell = found.cell
        self.num_uncalibrated += cell.confidence is None
        self.gallery.add(found)
        self.table.add((cell.type in self.blasts, -found.confidence), found)
        self.confidences.setdefault(cell.type, array('d')).append(
            found.confidence
        )
        x1, y1, x2, y2 = cell.bbox
        self._sides.setdefault(scale, array('d')).append(max(x2 - x1, y2 - y1))
        if self.profile is not None:
            self.profile.add(cell.type, cell.values)
        for item in cell.evidence:
            if item.surprising:
                key = (cell.type, item.attribute, item.value)
                self.surprises.setdefault(key, [item, 0])[1] += 1

    @property
    def counted_types(self) -> Tuple[str, ...]:
        """tuple[str]: All types but that of unclear cells."""
        unnamed = self.settings.unnamed_type
        return tuple(name for name in self.header.types if name != unnamed)

    @property
    def readable(self) -> List[FieldSummary]:
        """list[FieldSummary]: The fields that were searched for cells."""
        return [
            field
            for field in self.fields
            if field.error is None or field.num_cells
        ]

    def counts_by_field(self) -> np.ndarray:
        """Count cells of readable fields, int64, shape (fields, types)."""
        none = np.zeros((0, len(self.header.types)), dtype=np.int64)
        return np.vstack([none, *(field.counts for field in self.readable)])

    def num_of(self, cell_type: str) -> int:
        """Count the cells of a type, 0 if the model does not know it."""
        return len(self.confidences.get(cell_type, ()))

    @property
    def num_cells(self) -> int:
        """int: Cells of any type."""
        return self._num_found

    @property
    def num_unnamed(self) -> int:
        """int: Unclear cells."""
        return self.num_of(self.settings.unnamed_type)

    @property
    def num_named(self) -> int:
        """int: Cells of which shares are computed."""
        return self.num_cells - self.num_unnamed

    def surprising_values(self) -> List[Tuple[str, Evidence, int]]:
        """List the surprising attribute values.

        Returns:
            list[tuple[str, Evidence, int]]: Type, evidence, and cells of the
            type that have the value, the most frequent first.
        """
        rows = [
            (cell_type, evidence, count)
            for (cell_type, _, _), (evidence, count) in self.surprises.items()
        ]
        return sorted(rows, key=lambda row: (-row[2], row[1].likelihood_ratio))

    def window(self, scale: tuple) -> float:
        """Side in pixels of the square that shows each cell of a scale.

        It holds nine of ten cells with a margin of a quarter.
        """
        return 1.25 * float(np.quantile(self._sides[scale], 0.9))
