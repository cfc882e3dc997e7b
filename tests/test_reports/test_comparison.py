# Copyright (c) mmleuk authors. All rights reserved.
import json
import math

import numpy as np
import pytest
from film_predictions import (
    PROFILE,
    SCHEMA,
    TYPES,
    make_cell,
    make_image,
    write_predictions,
)

from mmleuk.reports import Reference, load_reference, share_by_cells
from mmleuk.reports.comparison import compare
from mmleuk.structures import AttributeSchema, TypeProfile


def patient(size=(0, 10, 10), cytoplasm=(10, 10), few=5):
    table = dict(
        cell_size=[[0] * 3, size, [few, 0, 0], [0] * 3, [0] * 3],
        cytoplasm=[[0] * 2, cytoplasm, [few, 0], [0] * 2, [0] * 2],
    )
    return TypeProfile(TYPES, SCHEMA, table)


def test_rows_of_a_type():
    rows, too_few = compare(patient(), Reference(PROFILE, 'x'), SCHEMA)
    assert list(rows) == ['myeloblast']
    assert too_few == ['promonocyte']
    told = [(row.attribute, row.value) for row in rows['myeloblast']]
    # Of two values the second says all.
    assert told == [
        ('Cell Size', 'small'),
        ('Cell Size', 'medium'),
        ('Cell Size', 'large'),
        ('Cytoplasm', 'abundant'),
    ]
    last = rows['myeloblast'][-1]
    assert last.share == share_by_cells(10, 20)
    assert last.reference == pytest.approx(0.03)
    assert last.num_reference == 100


def fisher_by_hand(count, total, hits, num):
    """Sum of the probabilities of all tables no likelier than this one."""
    marked, everyone = count + hits, total + num

    def probability(k):
        return (
            math.comb(marked, k)
            * math.comb(everyone - marked, total - k)
            / math.comb(everyone, total)
        )

    possible = range(max(0, marked - num), min(total, marked) + 1)
    limit = probability(count) * (1 + 1e-9)
    return sum(probability(k) for k in possible if probability(k) <= limit)


def test_marks_are_those_of_fishers_exact_test():
    marks = set()
    for count in range(21):
        rows, _ = compare(
            patient(cytoplasm=(20 - count, count)),
            Reference(PROFILE, 'x'),
            SCHEMA,
        )
        differs = rows['myeloblast'][-1].differs
        assert (differs is not None) == (
            fisher_by_hand(count, 20, 3, 100) < 0.05
        )
        marks.add(differs)
    assert marks == {None, 'more'}


def test_a_difference_beyond_chance():
    rows, _ = compare(patient(), Reference(PROFILE, 'x'), SCHEMA)
    differs = {row.value: row.differs for row in rows['myeloblast']}
    assert differs['abundant'] == 'more'
    assert differs['medium'] is None
    fewer = patient(size=(0, 2, 18))
    rows, _ = compare(fewer, Reference(PROFILE, 'x'), SCHEMA)
    differs = {row.value: row.differs for row in rows['myeloblast']}
    assert differs['medium'] == 'less'
    assert differs['large'] == 'more'


def test_a_small_reference_proves_little():
    counts = {name: table.copy() for name, table in PROFILE.counts.items()}
    counts['cytoplasm'][1] = [3, 0]
    small = TypeProfile(TYPES, SCHEMA, counts)
    rows, _ = compare(patient(), Reference(small, 'x'), SCHEMA)
    last = rows['myeloblast'][-1]
    assert last.share.low > last.reference == 0
    assert last.differs is None


def test_without_a_reference():
    rows, _ = compare(patient(), None, SCHEMA)
    assert {row.reference for row in rows['myeloblast']} == {None}
    assert {row.differs for row in rows['myeloblast']} == {None}


def test_a_reference_of_other_names():
    schema = AttributeSchema([dict(name='cytoplasm', values=('a', 'b'))])
    other = TypeProfile(['x'], schema, dict(cytoplasm=[[1, 2]]))
    rows, _ = compare(patient(), Reference(other, 'x'), SCHEMA)
    assert {row.reference for row in rows['myeloblast']} == {None}
    other = TypeProfile(['myeloblast'], schema, dict(cytoplasm=[[1, 2]]))
    rows, _ = compare(patient(), Reference(other, 'x'), SCHEMA)
    assert {row.reference for row in rows['myeloblast']} == {None}


def test_attributes_to_compare():
    rows, _ = compare(patient(), None, [SCHEMA[1]])
    assert [row.value for row in rows['myeloblast']] == ['abundant']
    assert compare(patient(), None, []) == ({}, [])


def test_load_a_type_profile(tmp_path):
    path = tmp_path / 'profile.json'
    path.write_text(json.dumps(PROFILE.to_dict()))
    reference = load_reference(path)
    assert reference.profile.to_dict() == PROFILE.to_dict()
    assert (reference.source, reference.predicted) == ('profile.json', False)


def test_load_predictions(tmp_path):
    path = tmp_path / 'normal.json'
    cells = [make_cell(), make_cell(size='large'), make_cell('monocyte')]
    write_predictions(path, [make_image(cells=cells), make_image('b.png')])
    reference = load_reference(path)
    assert reference.predicted
    counts = reference.profile.counts
    np.testing.assert_array_equal(counts['cell_size'][1], [0, 1, 1])
    np.testing.assert_array_equal(counts['cytoplasm'][3], [1, 0])


@pytest.mark.parametrize(
    'text', ['', '[]', '{}', '{"types": []}', '{"images": []}']
)
def test_what_is_no_reference_is_refused(tmp_path, text):
    path = tmp_path / 'x.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='x.json: is no reference; expected'):
        load_reference(path)


def test_predictions_without_attributes_are_no_reference(tmp_path):
    path = tmp_path / 'x.json'
    write_predictions(path, [], schema=None, type_profile=None)
    with pytest.raises(ValueError, match='x.json: its model names no attr'):
        load_reference(path)
