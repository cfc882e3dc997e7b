# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

# Types counted as blasts by default.
BLAST_TYPES = ('myeloblast', 'lymphoblast', 'monoblast')

# Types that WHO counts as blasts in some leukaemias only: promonocytes where
# there is monocytic differentiation, abnormal promyelocytes in acute
# promyelocytic leukaemia. The report also states the share with them.
BLAST_EQUIVALENTS = ('promonocyte', 'abnormal promyelocyte')

# With a lower same_cell_iou, neighbours would be one cell.
_MINIMA = dict(
    **dict(min_fields=2, num_resamples=100, focus_ratio=0, same_cell_iou=0.1),
    **dict(max_pictures=0, picture_size=64, max_gallery=0, crop_size=32),
    max_cells=0,
)


@dataclass(frozen=True)
class ReportSettings:
    """Settings of a report.

    Args:
        blast_types (tuple[str], optional): Types counted as blasts. None:
            those of :data:`BLAST_TYPES` that the model knows.
        blast_mark (float): Share that the share of blasts is compared with.
        unnamed_type (str): The type of unclear cells. They are left out of
            every share.
        same_cell_iou (float): IoU from which boxes are one cell, of which the
            one of the highest confidence counts. Above 1: each box counts.
        level (float): Probability that an interval contains the true share.
        min_fields (int): Minimum number of fields for a bootstrap over
            fields.
        num_resamples (int): Number of draws of the bootstrap.
        seed (int): Seed of the bootstrap.
        focus_ratio (float): A field is less sharp if its focus is below this
            share of the median of the patient's fields.
        min_focus (float, optional): Or if its focus is below this value.
        max_pictures (int): Maximum number of fields shown as pictures.
        picture_size (int): Longer side of such a picture in pixels.
        max_gallery (int): Maximum number of cells of a type in each row of
            the gallery.
        crop_size (int): Side of a picture of a cell in pixels.
        max_cells (int): Maximum number of rows of the table of cells.
        patient_from_folder (bool): Whether the folder of an image names its
            patient.
        magnification (str, optional): Only use images of this one.

    Raises:
        ValueError: If a number makes no sense.
    """

    blast_types: Optional[Tuple[str, ...]] = None
    blast_mark: float = 0.2
    unnamed_type: str = 'none'
    same_cell_iou: float = 0.5
    level: float = 0.95
    min_fields: int = 5
    num_resamples: int = 4000
    seed: int = 0
    focus_ratio: float = 0.5
    min_focus: Optional[float] = None
    max_pictures: int = 30
    picture_size: int = 800
    max_gallery: int = 5
    crop_size: int = 192
    max_cells: int = 500
    patient_from_folder: bool = False
    magnification: Optional[str] = None

    def __post_init__(self) -> None:
        for name in ('blast_mark', 'level'):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f'got {name}={getattr(self, name)}, expected it between '
                    '0 and 1'
                )
        for name, least in _MINIMA.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f'got {name}={getattr(self, name)}, expected at least '
                    f'{least}'
                )

    def find_blasts(self, types: Sequence[str]) -> Tuple[str, ...]:
        """List those of a model's types that are counted as blasts.

        Raises:
            ValueError: If the user named a type that the model lacks.
        """
        if self.blast_types is None:
            return tuple(name for name in BLAST_TYPES if name in types)
        for name in self.blast_types:
            if name not in types:
                raise ValueError(
                    f'got the blast type {name!r}, expected one of '
                    f'{", ".join(types)}'
                )
        return self.blast_types
