# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmleuk.apis.detections import Detections


def make(boxes, scores, labels=None):
    return InstanceData(
        bboxes=torch.tensor(boxes),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels or [0] * len(boxes)),
        attribute_probs=torch.arange(4.0 * len(boxes)).reshape(-1, 4),
    )


def test_cells_of_a_score_and_an_area_are_taken():
    instances = make(
        [[0.0, 0, 5, 5], [1, 1, 1, 9], [0, 0, 3, 3], [0, 0, 4, 4]],
        [0.9, 0.8, 0.25, 0.2],
    )
    found = Detections.from_instances(instances, 0.25, np.array([1, 3]))
    np.testing.assert_array_equal(found.boxes, [[0, 0, 5, 5], [0, 0, 3, 3]])
    np.testing.assert_array_equal(found.probs, [[1, 3], [9, 11]])
    assert Detections.from_instances(instances, 0).probs is None


@pytest.mark.parametrize('broken', [float('nan'), float('inf')])
def test_what_is_no_number_is_refused(broken):
    with pytest.raises(ValueError, match='training has diverged'):
        Detections.from_instances(make([[0.0, 0, broken, 5]], [0.5]), 0)
    if np.isnan(broken):
        with pytest.raises(ValueError, match='training has diverged'):
            Detections.from_instances(make([[0.0, 0, 5, 5]], [broken]), 0)


def test_one_cell_of_two_types_is_one():
    instances = make(
        [[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 9]],
        [0.5, 0.7, 0.6],
        [0, 1, 2],
    )
    found = Detections.from_instances(instances, 0).suppress(0.8)
    assert found.labels.tolist() == [1, 2]
    assert len(found[:0].suppress(0.8)) == 0
