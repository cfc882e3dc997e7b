# Copyright (c) mmleuk authors. All rights reserved.
"""Classes, colours and attributes of the Large Leukemia Dataset."""

from itertools import cycle
from typing import List, Mapping, Sequence, Tuple

from .attribute_schema import (
    CLASSES_WITHOUT_ATTRIBUTES,
    LLD_ATTRIBUTES,
    AttributeSchema,
)
from .record import normalise_name

# Names and order are those of the released JSON categories.
LLD_CLASSES = (
    'none',
    'myeloblast',
    'lymphoblast',
    'neutrophil',
    'atypical lymphocyte',
    'promonocyte',
    'monoblast',
    'lymphocyte',
    'myelocyte',
    'abnormal promyelocyte',
    'monocyte',
    'metamyelocyte',
    'eosinophil',
    'basophil',
)

# 14 colours at large distances for normal and for colour-blind eyes: the
# smallest distance of a pair is 16.8 (CIEDE2000), under simulated deuteranopia
# 9.9 and protanopia 11.9 (Machado et al., 2009, severity 1). Drawings also
# label the class, since colours less than about 10 apart are hard to tell.
LLD_PALETTE = [
    (145, 145, 145),
    (249, 45, 119),
    (147, 13, 92),
    (162, 152, 49),
    (59, 131, 85),
    (94, 203, 203),
    (202, 85, 190),
    (110, 211, 0),
    (255, 150, 127),
    (131, 33, 39),
    (117, 184, 246),
    (158, 58, 0),
    (168, 104, 0),
    (68, 18, 206),
]

LLD_METAINFO = dict(
    classes=LLD_CLASSES,
    palette=LLD_PALETTE,
    attributes=LLD_ATTRIBUTES,
    classes_without_attributes=CLASSES_WITHOUT_ATTRIBUTES,
)

# Colours of other classes, used in turn.
_OTHER_COLOURS = [
    (31, 119, 180),
    (214, 39, 40),
    (255, 187, 0),
    (44, 160, 44),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (23, 190, 207),
]

# Predefined class maps, by the name that `LLDDataset(class_map=...)` takes. In
# `blast`, "none" is ignored: such a cell may be a blast or not.
CLASS_MAPS = dict(
    wbc=dict.fromkeys(LLD_CLASSES, 'wbc'),
    blast={
        **dict.fromkeys(LLD_CLASSES, 'non-blast'),
        **dict.fromkeys(('myeloblast', 'lymphoblast', 'monoblast'), 'blast'),
        'none': 'ignore',
    },
)


def make_schema(metainfo: Mapping) -> AttributeSchema:
    """Make the schema of a metainfo.

    Args:
        metainfo (Mapping): ``attributes`` and, unless they are LLD's,
            ``classes_without_attributes`` and ``missing_codes``.
    """
    classes = metainfo.get(
        'classes_without_attributes', CLASSES_WITHOUT_ATTRIBUTES
    )
    return AttributeSchema(
        metainfo['attributes'],
        [normalise_name(name) for name in classes],
        metainfo.get('missing_codes', ()),
    )


def make_palette(classes: Sequence[str]) -> List[Tuple[int, int, int]]:
    """Choose a colour for each class.

    Args:
        classes (Sequence[str]): Class names.

    Returns:
        list[tuple[int]]: One RGB colour a class: LLD's own for its classes,
        others in turn.
    """
    own = dict(zip(LLD_CLASSES, LLD_PALETTE))
    others = cycle(_OTHER_COLOURS)
    return [own[name] if name in own else next(others) for name in classes]
