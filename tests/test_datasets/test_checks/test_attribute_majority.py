# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.datasets.checks.attribute_majority import score_majorities
from mmleuk.structures import AttributeSchema

SCHEMA = AttributeSchema(
    [
        dict(name='size', title='Size', values=('small', 'large')),
        dict(name='shape', title='Shape', values=('round', 'other')),
    ]
)


def image(patient, *cells):
    """An image with cells of a type and a size."""
    return dict(
        patient=patient,
        instances=[
            dict(bbox_label=label, attributes=(size, -1), ignore_flag=0)
            for label, size in cells
        ],
    )


FIELDS = [
    image('1', (0, 0), (0, 0), (0, 0), (1, 0), (1, 1)),
    image('02', (0, 1), (1, 1), (1, -1)),
    image('2', (1, 1)),
]


def test_by_hand():
    scores = score_majorities(FIELDS, SCHEMA)
    # Sizes: 4 small, 4 large.
    assert scores['Size'] == {
        'all': dict(accuracy=0.5, macro_f1=pytest.approx(1 / 3)),
        # Type 0 small but one, type 1 large but one.
        'type': dict(accuracy=0.75, macro_f1=0.75),
        # Patient 1 small but one, patient 2 large.
        'patient': dict(
            accuracy=7 / 8, macro_f1=pytest.approx((8 / 9 + 6 / 7) / 2)
        ),
        # The one tie gives small.
        'type in patient': dict(
            accuracy=7 / 8, macro_f1=pytest.approx((8 / 9 + 6 / 7) / 2)
        ),
    }
    nothing = dict(accuracy=None, macro_f1=None)
    assert scores['Shape'] == dict.fromkeys(scores['Size'], nothing)


def test_ignored_cells_and_unnamed_patients():
    fields = [image(None, (0, 0), (1, 1))]
    fields[0]['instances'].append(
        dict(bbox_label=0, attributes=(1, 0), ignore_flag=1)
    )
    scores = score_majorities(fields, SCHEMA)
    assert scores['Size'] == {
        'all': dict(accuracy=0.5, macro_f1=pytest.approx(1 / 3)),
        'type': dict(accuracy=1, macro_f1=1),
    }
    assert score_majorities([], SCHEMA)['Size']['all']['accuracy'] is None
