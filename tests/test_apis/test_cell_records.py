# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest

from mmleuk.apis.cell_records import CellRecorder, to_instances
from mmleuk.apis.detections import Detections
from mmleuk.evaluation.functional import Calibration
from mmleuk.structures import AttributeSchema, TypeProfile

TYPES = ('blast', 'lymphocyte')
SCHEMA = AttributeSchema(
    [
        dict(name='size', values=('small', 'medium', 'large')),
        dict(name='nucleolus', values=('absent', 'prominent')),
    ]
)
FOUND = Detections(
    np.array([[1.23456, 2, 30, 40], [5, 6, 7.00001, 8]]),
    np.array([0.8, 0.5], np.float32),
    np.array([1, 0]),
    np.array(
        [[0.7, 0.2, 0.1, 0.4, 0.6], [0, 0, 1.0000001, 0.5, 0.5]], np.float32
    ),
)


def test_cells_are_named():
    cells = CellRecorder(TYPES, SCHEMA).record(FOUND)
    assert [cell.type for cell in cells] == ['lymphocyte', 'blast']
    assert cells[0].bbox == (1.235, 2, 30, 40)
    assert (cells[0].score, cells[0].confidence) == (0.8, None)
    size = cells[0].attributes['size']
    assert (size.value, size.probability) == ('small', 0.7)
    assert (size.probs, size.confidence) == ((0.7, 0.2, 0.1), None)
    assert cells[0].attributes['nucleolus'].value == 'prominent'
    assert cells[1].attributes['size'].probability == 1
    assert cells[0].evidence == ()


def test_a_detector_without_attributes():
    found = Detections(FOUND.boxes, FOUND.scores, FOUND.labels)
    cells = CellRecorder(TYPES).record(found)
    assert [cell.attributes for cell in cells] == [{}, {}]


def test_confidences_are_those_of_the_calibration():
    calibration = Calibration(2.0, dict(size=4.0))
    cell = CellRecorder(TYPES, SCHEMA, calibration).record(FOUND)[0]
    # sigmoid(logit(0.8) / 2) and softmax(log(p) / 4), by hand.
    assert cell.confidence == pytest.approx(2 / 3, abs=1e-6)
    parts = np.array([0.7, 0.2, 0.1]) ** 0.25
    size = cell.attributes['size']
    assert size.confidence == pytest.approx(parts[0] / parts.sum(), abs=1e-6)
    assert size.probability == 0.7
    # Too few cells told of this one.
    assert cell.attributes['nucleolus'].confidence is None
    none = CellRecorder(TYPES, SCHEMA, Calibration(None, {})).record(FOUND)
    assert none[0].confidence is None


def make_profile(types=TYPES, schema=SCHEMA):
    cells = [(0, (2, 1))] * 80 + [(1, (0, 0))] * 90
    return TypeProfile.count(types, schema, cells)


def test_evidence_is_that_of_the_profile():
    profile = make_profile()
    cells = CellRecorder(TYPES, SCHEMA, profile=profile).record(FOUND)
    expected = profile.explain(
        'lymphocyte', dict(size='small', nucleolus='prominent')
    )
    assert cells[0].evidence == expected
    assert [item.surprising for item in expected] == [False, True]


def test_a_profile_of_other_data_is_refused():
    with pytest.raises(ValueError, match='type profile is of the types'):
        CellRecorder(('blast', 'other'), SCHEMA, profile=make_profile())
    other = AttributeSchema(
        [dict(name='size', values=('1', '2', '3')), SCHEMA[1]]
    )
    with pytest.raises(ValueError, match="size has the values .*'1'"):
        CellRecorder(TYPES, SCHEMA, profile=make_profile(schema=other))


def test_a_type_without_a_name_is_refused():
    with pytest.raises(ValueError, match='type number 1, expected one of 1'):
        CellRecorder(('blast',), SCHEMA).record(FOUND)


def test_a_box_too_thin_to_write_is_no_cell():
    boxes = np.array([[1, 2, 1.0001, 40], [5, 6, 7, 8.0]])
    found = Detections(boxes, FOUND.scores, FOUND.labels, FOUND.probs)
    (cell,) = CellRecorder(TYPES, SCHEMA).record(found)
    assert cell.type == 'blast'


def test_records_become_what_is_drawn():
    calibration = Calibration(2.0, dict(size=4.0))
    cells = CellRecorder(TYPES, SCHEMA, calibration).record(FOUND)
    instances = to_instances(cells, TYPES, SCHEMA)
    assert instances.labels.tolist() == [1, 0]
    assert instances.attribute_labels.tolist() == [[0, 1], [2, 0]]
    np.testing.assert_allclose(
        instances.attribute_scores, [[0.7, 0.6], [1, 0.5]], rtol=1e-6
    )
    np.testing.assert_allclose(instances.scores, FOUND.scores)
    assert instances.confidences[0] == pytest.approx(2 / 3, abs=1e-6)
    # One attribute has none, so that none is shown as calibrated.
    assert 'attribute_confidences' not in instances
    empty = to_instances((), TYPES, SCHEMA)
    assert (len(empty), empty.bboxes.shape) == (0, (0, 4))
    assert empty.attribute_labels.shape == (0, 2)
