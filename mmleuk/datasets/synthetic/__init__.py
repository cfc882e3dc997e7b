# Copyright (c) mmleuk authors. All rights reserved.
"""Synthetic films for the demo, the tests and the documentation.

They look like stained blood films and are labelled like the Large Leukemia
Dataset, but every cell is drawn by rules of ours. No score on them says
anything about how a model does on real blood.
"""

from .cells import Sprite, draw_cell
from .films import (
    PRESETS,
    Field,
    FieldCell,
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
    'Field',
    'FieldCell',
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
