# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_schema import (
    LLD_ATTRIBUTES,
    LLD_SCHEMA,
    MISSING,
    Attribute,
    AttributeSchema,
)
from .f1_score import macro_f1
from .hold_out import is_held_out
from .ignored_instances import (
    CANDIDATE,
    UNANNOTATED,
    covered_share,
    highest_iof,
    highest_probability,
    ignored_boxes,
    split_ignored,
)
from .labelled_cells import split_cells
from .matching import (
    best_detections,
    center_in_regions,
    covered_fraction,
    group_boxes,
    in_unknown_area,
    match_detections,
    one_box_per_cell,
)
from .packed_labels import pack_labels, unpack_labels
from .predictions import (
    AttributePrediction,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
)
from .region_boxes import RegionBoxes
from .regions import check_regions, cover_rectangles, unannotated_area
from .type_profile import Evidence, TypeProfile

__all__ = [
    'CANDIDATE',
    'LLD_ATTRIBUTES',
    'LLD_SCHEMA',
    'MISSING',
    'UNANNOTATED',
    'Attribute',
    'AttributePrediction',
    'AttributeSchema',
    'CellPrediction',
    'Evidence',
    'ImagePrediction',
    'PredictionHeader',
    'RegionBoxes',
    'TypeProfile',
    'best_detections',
    'center_in_regions',
    'check_regions',
    'cover_rectangles',
    'covered_fraction',
    'covered_share',
    'unpack_labels',
    'pack_labels',
    'highest_iof',
    'highest_probability',
    'group_boxes',
    'ignored_boxes',
    'in_unknown_area',
    'is_held_out',
    'macro_f1',
    'match_detections',
    'one_box_per_cell',
    'split_cells',
    'split_ignored',
    'unannotated_area',
]
