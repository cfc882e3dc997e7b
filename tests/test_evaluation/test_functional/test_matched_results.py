# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from random_results import CLASSES, SCHEMA, make_results

from mmleuk.evaluation.functional import match_results
from mmleuk.structures import MISSING


def cell(x, label=1, codes=(0, 0), ignore=0):
    return dict(
        bbox=[x, 0.0, x + 10.0, 10.0],
        bbox_label=label,
        ignore_flag=ignore,
        attributes=codes,
    )


def field(cells, detections, name='a.png', regions=None):
    """Detections as (x, score, label, probabilities)."""
    probs = np.array([d[3] for d in detections], dtype=float).reshape(-1, 5)
    return dict(
        name=name,
        image_shape=(100, 100),
        instances=cells,
        annotated_regions=regions,
        bboxes=np.array(
            [[d[0], 0, d[0] + 10, 10] for d in detections], dtype=float
        ).reshape(-1, 4),
        scores=np.array([d[1] for d in detections], dtype=float),
        labels=np.array([d[2] for d in detections], dtype=np.int64),
        attribute_probs=probs,
        attribute_labels=np.stack(
            [probs[:, :3].argmax(1), probs[:, 3:].argmax(1)], axis=1
        ),
    )


FIRST, SECOND = [0.7, 0.2, 0.1, 0.6, 0.4], [0.1, 0.2, 0.7, 0.2, 0.8]


def match_all(*fields):
    return match_results(fields, len(CLASSES), SCHEMA)


def test_right_wrong_and_neither():
    matched = match_all(
        field(
            [cell(0, label=1), cell(20, label=2), cell(40, ignore=1)],
            [
                (0, 0.9, 1, FIRST),  # right
                (0, 0.8, 1, FIRST),  # the same cell again
                (20, 0.7, 1, FIRST),  # a cell of another type
                (40, 0.6, 1, FIRST),  # on an ignored cell
                (80, 0.5, 1, FIRST),  # nothing there
            ],
        )
    )
    assert matched.matches.tolist() == [0, -1, 1, -1, -1]
    assert matched.type_matches.tolist() == [0, -1, -1, -1, -1]
    assert matched.in_unknown_area.tolist() == [
        False,
        False,
        False,
        True,
        False,
    ]
    scores, right, images = matched.right_or_wrong()
    assert scores.tolist() == [0.9, 0.8, 0.7, 0.5]
    assert right.tolist() == [True, False, False, False]
    assert images.tolist() == [0, 0, 0, 0]
    assert matched.right_or_wrong(0.75)[0].tolist() == [0.9, 0.8]


def test_a_lower_score_of_the_right_type_is_right():
    # The wrong type takes the cell where types are not looked at.
    matched = match_all(
        field([cell(0, label=2)], [(0, 0.6, 1, FIRST), (0, 0.4, 2, FIRST)])
    )
    assert matched.matches.tolist() == [0, -1]
    assert matched.right_or_wrong()[1].tolist() == [False, True]


def test_a_match_outside_the_regions_is_right_and_the_rest_is_neither():
    matched = match_all(
        field(
            [cell(0, label=1)],
            [(0, 0.9, 1, FIRST), (0, 0.8, 2, FIRST)],
            regions=[[50.0, 0.0, 100.0, 100.0]],
        )
    )
    assert matched.right_or_wrong()[0].tolist() == [0.9]
    assert matched.right_or_wrong()[1].tolist() == [True]


def test_attributes_of_matched_cells_with_a_known_code():
    matched = match_all(
        field([cell(0, codes=(2, MISSING))], [(0, 0.9, 2, FIRST)], 'b.png'),
        field(
            [cell(0, codes=(1, 1)), cell(20, codes=(0, 0))],
            [(20, 0.1, 1, SECOND), (60, 0.9, 1, FIRST)],
            'a.png',
        ),
    )
    probs, truth, images = matched.stated_attribute(SCHEMA, 0)
    # In the order of the images' names.
    np.testing.assert_array_equal(probs, [SECOND[:3], FIRST[:3]])
    assert truth.tolist() == [0, 2]
    assert images.tolist() == [0, 1]
    probs, truth, images = matched.stated_attribute(SCHEMA, 1)
    np.testing.assert_array_equal(probs, [SECOND[3:]])
    assert (truth.tolist(), images.tolist()) == ([0], [0])


def test_rows_run_over_all_images():
    results = make_results(np.random.default_rng(0), 12)
    matched = match_all(*results[::-1])
    assert [image['name'] for image in matched.images] == sorted(
        result['name'] for result in results
    )
    paired = matched.matches >= 0
    assert paired.sum() > 20
    np.testing.assert_array_equal(
        matched.cell_images[matched.matches[paired]],
        matched.det_images[paired],
    )
    rights = matched.type_matches >= 0
    np.testing.assert_array_equal(
        matched.cell_labels[matched.type_matches[rights]],
        matched.labels[rights],
    )


def test_a_detector_without_attributes():
    results = make_results(np.random.default_rng(0), with_attributes=False)
    matched = match_all(*results)
    assert matched.codes is None
    assert matched.probs is None
    with pytest.raises(ValueError, match='no attribute_probs'):
        matched.stated_attribute(SCHEMA, 0)


def test_a_field_without_detections_may_lack_the_fields():
    empty = field([cell(0)], [], 'b.png')
    del empty['attribute_probs'], empty['attribute_labels']
    matched = match_all(field([cell(0)], [(0, 0.9, 1, FIRST)]), empty)
    assert matched.probs.shape == (1, 5)
    bare = field([cell(0)], [(0, 0.9, 1, FIRST)], 'b.png')
    del bare['attribute_probs']
    with pytest.raises(ValueError, match='b.png have no attribute_probs'):
        match_all(field([cell(0)], [(0, 0.9, 1, FIRST)]), bare)


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('labels', np.array([3]), 'below 3'),
        ('attribute_labels', np.array([[0, 2]]), 'below'),
        ('attribute_probs', np.zeros((1, 7)), r'expected \(1, 5\)'),
        ('scores', np.array([np.nan]), 'not finite'),
    ],
)
def test_refuses_predictions_of_another_model(key, value, message):
    bad = field([cell(0)], [(0, 0.9, 1, FIRST)])
    bad[key] = value
    with pytest.raises(ValueError, match=f'{key} predicted for a.png') as info:
        match_all(bad)
    info.match(message)


def test_refuses_nothing():
    with pytest.raises(ValueError, match='no images'):
        match_all()
