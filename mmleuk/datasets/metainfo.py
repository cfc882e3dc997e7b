# Copyright (c) mmleuk authors. All rights reserved.
"""Classes, colours and attributes of the Large Leukemia Dataset."""

from itertools import cycle
from typing import List, Sequence, Tuple

from mmleuk.structures import LLD_ATTRIBUTES

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

# One colour family a lineage, so that a field reads at a glance: reds for
# blasts, greens for lymphoid, blues for monocytic, warm tones for granulocytic
# cells, grey for what nobody could name.
LLD_PALETTE = [
    (128, 128, 128),
    (214, 39, 40),
    (255, 87, 120),
    (255, 187, 0),
    (44, 160, 44),
    (31, 119, 180),
    (160, 20, 90),
    (120, 200, 80),
    (255, 152, 90),
    (170, 60, 0),
    (23, 190, 207),
    (200, 130, 40),
    (240, 98, 16),
    (92, 60, 180),
]

LLD_METAINFO = dict(
    classes=LLD_CLASSES, palette=LLD_PALETTE, attributes=LLD_ATTRIBUTES
)

# For other classes, in turn.
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

# Ready-made maps of classes, by the name that `LLDDataset(class_map=...)`
# takes. In `blast`, "none" is ignored: nobody could tell whether such a cell
# is one.
CLASS_MAPS = dict(
    wbc=dict.fromkeys(LLD_CLASSES, 'wbc'),
    blast={
        **dict.fromkeys(LLD_CLASSES, 'non-blast'),
        **dict.fromkeys(('myeloblast', 'lymphoblast', 'monoblast'), 'blast'),
        'none': 'ignore',
    },
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
