# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_frequencies import draw_attribute_frequencies
from .confusion import draw_attribute_confusion, draw_type_confusion
from .precision_recall import draw_precision_recall
from .reliability import draw_reliability
from .style import STYLE, save_figure
from .training_curves import (
    TrainingLog,
    draw_training_curves,
    read_training_log,
)

__all__ = [
    'STYLE',
    'TrainingLog',
    'draw_attribute_confusion',
    'draw_attribute_frequencies',
    'draw_precision_recall',
    'draw_reliability',
    'draw_training_curves',
    'draw_type_confusion',
    'read_training_log',
    'save_figure',
]
