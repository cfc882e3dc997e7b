# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_scores import (
    average_scores,
    best_overlap_f1,
    end_to_end_macro_f1,
    macro_f1,
    matched_scores,
)
from .box_ap import evaluate_boxes
from .excuse import covered_fraction, excused_detections

__all__ = [
    'average_scores',
    'best_overlap_f1',
    'covered_fraction',
    'end_to_end_macro_f1',
    'evaluate_boxes',
    'excused_detections',
    'macro_f1',
    'matched_scores',
]
