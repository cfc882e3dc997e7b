# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_scores import (
    average_scores,
    best_overlap_f1,
    matched_scores,
)
from .box_ap import evaluate_boxes, without_classes
from .calibration import (
    Calibration,
    ReliabilityCurve,
    TemperatureError,
    confidence_and_correct,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
)
from .cell_recall import CellRecall, recall_cells
from .confusion import (
    attribute_confusion,
    attribute_frequencies,
    table_macro_f1,
    type_confusion,
)
from .fit_calibration import TemperatureFit, fit_calibration
from .intervals import wilson_interval
from .matched_results import MatchedResults, make_result, match_results
from .precision_recall import PrecisionRecallCurve, precision_recall_curves

__all__ = [
    'Calibration',
    'CellRecall',
    'MatchedResults',
    'PrecisionRecallCurve',
    'ReliabilityCurve',
    'TemperatureError',
    'TemperatureFit',
    'attribute_confusion',
    'attribute_frequencies',
    'average_scores',
    'best_overlap_f1',
    'confidence_and_correct',
    'evaluate_boxes',
    'fit_calibration',
    'fit_temperature',
    'match_results',
    'make_result',
    'matched_scores',
    'negative_log_likelihood',
    'precision_recall_curves',
    'recall_cells',
    'reliability_curve',
    'table_macro_f1',
    'type_confusion',
    'wilson_interval',
    'without_classes',
]
