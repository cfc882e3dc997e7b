# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.structures import covered_fraction, in_unknown_area

from .functional import (
    average_scores,
    best_overlap_f1,
    end_to_end_macro_f1,
    evaluate_boxes,
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
    'in_unknown_area',
    'macro_f1',
    'matched_scores',
]
