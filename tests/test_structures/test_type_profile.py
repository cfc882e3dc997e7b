# Copyright (c) mmleuk authors. All rights reserved.
import json

import numpy as np
import pytest

from mmleuk.structures import AttributeSchema, TypeProfile

SCHEMA = AttributeSchema(
    [
        dict(name='cell_size', values=('small', 'medium', 'large')),
        dict(name='cytoplasm', values=('scanty', 'abundant')),
    ]
)
TYPES = ('lymphoblast', 'monocyte', 'basophil')


def make_profile(**kwargs):
    return TypeProfile(
        TYPES,
        SCHEMA,
        dict(
            cell_size=[[60, 37, 3], [0, 20, 80], [10, 10, 0]],
            cytoplasm=[[97, 3], [1, 9], [0, 0]],
        ),
        **kwargs,
    )


def test_count_leaves_missing_codes_out():
    cells = [(0, (0, 1)), (0, (0, -1)), (2, (-1, 0)), (1, (2, 1))]
    profile = TypeProfile.count(TYPES, SCHEMA, cells)
    np.testing.assert_array_equal(
        profile.counts['cell_size'], [[2, 0, 0], [0, 0, 1], [0, 0, 0]]
    )
    np.testing.assert_array_equal(
        profile.counts['cytoplasm'], [[0, 1], [0, 1], [1, 0]]
    )
    assert profile.num_cells == 4 - 1


def test_the_majority_of_the_type():
    codes = make_profile().majority_codes(np.array([0, 1, 2, 2]))
    # Basophils tie in size, and none has a known cytoplasm.
    assert codes.tolist() == [[0, 0], [2, 1], [0, 0], [0, 0]]
    nothing = TypeProfile.count(TYPES, SCHEMA, [(1, (2, -1))])
    assert nothing.majority_codes(np.array([0, 1])).tolist() == [[2, -1]] * 2
    assert nothing.majority_codes(np.zeros(0, int)).shape == (0, 2)


def test_explain_gives_the_ratio_by_hand():
    size, cytoplasm = make_profile().explain(
        'lymphoblast', dict(cytoplasm='abundant', cell_size='small')
    )
    assert (size.attribute, size.value) == ('cell_size', 'small')
    assert size.share_of_type == pytest.approx(0.6)
    assert size.share_of_others == pytest.approx((0 + 0.5) / 2)
    assert size.num_cells == 100
    assert size.likelihood_ratio == pytest.approx(
        (61 / 103) / ((1 / 103 + 11 / 23) / 2)
    )
    assert not size.surprising
    # Nothing is known of the cytoplasm of basophils.
    assert cytoplasm.share_of_others == pytest.approx(0.9)
    assert cytoplasm.likelihood_ratio == pytest.approx((4 / 102) / (10 / 12))
    assert cytoplasm.share_of_type == pytest.approx(0.03)
    assert cytoplasm.surprising


def test_few_cells_are_no_surprise():
    (evidence,) = make_profile().explain('basophil', dict(cell_size='large'))
    assert evidence.share_of_type == 0
    assert evidence.num_cells == 20
    assert not evidence.surprising
    (evidence,) = make_profile(min_cells=20).explain(
        'basophil', dict(cell_size='large')
    )
    assert evidence.surprising


def test_what_the_data_do_not_know_is_not_explained():
    assert make_profile().explain('basophil', dict(cytoplasm='scanty')) == ()
    alone = TypeProfile.count(TYPES, SCHEMA, [(0, (0, 0))])
    assert alone.explain('lymphoblast', dict(cytoplasm='scanty')) == ()


@pytest.mark.parametrize(
    'cell_type, values, message',
    [
        ('platelet', {}, "type 'platelet', expected one of"),
        ('monocyte', dict(cytoplasm='blue'), "cytoplasm='blue', expected"),
    ],
)
def test_unknown_names_are_refused(cell_type, values, message):
    with pytest.raises(ValueError, match=message):
        make_profile().explain(cell_type, values)


@pytest.mark.parametrize(
    'counts, message',
    [
        (dict(cell_size=np.zeros((3, 3), int)), 'no counts of cytoplasm'),
        (
            dict(cell_size=[[1, 2]], cytoplasm=np.zeros((3, 2), int)),
            r'shape \(1, 2\), expected \(types, values\) = \(3, 3\)',
        ),
        (
            dict(
                cell_size=np.full((3, 3), -1), cytoplasm=np.zeros((3, 2), int)
            ),
            'expected integers from 0',
        ),
        (
            dict(cell_size=np.zeros((3, 3)), cytoplasm=np.zeros((3, 2), int)),
            'expected integers from 0',
        ),
    ],
)
def test_bad_counts_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        TypeProfile(TYPES, SCHEMA, counts)


def test_survives_json():
    profile = make_profile(min_cells=7)
    again = TypeProfile.from_dict(json.loads(json.dumps(profile.to_dict())))
    assert again.to_dict() == profile.to_dict()
    assert again.schema == SCHEMA
    values = dict(cell_size='large')
    assert again.explain('monocyte', values) == profile.explain(
        'monocyte', values
    )
