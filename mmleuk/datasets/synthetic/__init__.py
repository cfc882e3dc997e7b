# Copyright (c) mmleuk authors. All rights reserved.
"""Synthetic blood films for the demo, the tests and the documentation.

They are labelled like the Large Leukemia Dataset, but every cell is drawn by
our own rules. Scores on them say nothing about real blood.
"""

from .cells import Sprite, draw_cell
from .films import (
    PRESETS,
    DrawnField,
    FilmPlan,
    Patient,
    draw_field,
    fields_of,
    write_films,
)
from .morphology import CLASS_MIX, MORPHOLOGY, sample_codes
from .optics import photograph

__all__ = [
    'CLASS_MIX',
    'DrawnField',
    'FilmPlan',
    'MORPHOLOGY',
    'PRESETS',
    'Patient',
    'Sprite',
    'draw_cell',
    'draw_field',
    'fields_of',
    'photograph',
    'sample_codes',
    'write_films',
]
