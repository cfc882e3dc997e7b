# Copyright (c) mmleuk authors. All rights reserved.
from .functional import (
    average_scores,
    best_overlap_f1,
    covered_fraction,
    end_to_end_macro_f1,
    evaluate_boxes,
    excused_detections,
    macro_f1,
    matched_scores,
)
from .metrics import LLDMetric

__all__ = [
    'LLDMetric',
    'average_scores',
    'best_overlap_f1',
    'covered_fraction',
    'end_to_end_macro_f1',
    'evaluate_boxes',
    'excused_detections',
    'macro_f1',
    'matched_scores',
]
