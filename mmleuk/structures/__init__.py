# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_schema import (
    LLD_ATTRIBUTES,
    MISSING,
    Attribute,
    AttributeSchema,
)
from .ignored_instances import UNANNOTATED, covered_share, split_ignored
from .instance_code import decode_instances, encode_instances
from .region_boxes import RegionBoxes
from .regions import check_regions, cover_rectangles, unannotated_area

__all__ = [
    'LLD_ATTRIBUTES',
    'MISSING',
    'UNANNOTATED',
    'Attribute',
    'AttributeSchema',
    'RegionBoxes',
    'check_regions',
    'cover_rectangles',
    'covered_share',
    'decode_instances',
    'encode_instances',
    'split_ignored',
    'unannotated_area',
]
