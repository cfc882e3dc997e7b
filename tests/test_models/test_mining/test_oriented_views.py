# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmleuk.models.mining.oriented_views import (
    IOU_THR,
    ORIENTATIONS,
    merge_views,
    predict_in_orientations,
)
from mmleuk.structures import group_boxes

SIZES = (2, 3)


def looked(*rows, probs=None):
    """Rows: x1, y1, x2, y2, label, score."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    found = InstanceData(
        bboxes=table[:, :4], labels=table[:, 4].long(), scores=table[:, 5]
    )
    if probs is not None:
        found.attribute_probs = torch.tensor(probs).reshape(-1, 5)
    return found


class BrightestPatch:
    """Detects the patches of an image that are brighter than its ground."""

    def __init__(self):
        self.shapes = []

    def predict(self, inputs, data_samples, rescale):
        assert not rescale
        for image, sample in zip(inputs, data_samples):
            self.shapes.append(sample.img_shape)
            assert tuple(image.shape[1:]) == sample.img_shape
            assert sample.img_shape == sample.batch_input_shape
            rows = []
            for label in (1, 2):
                ys, xs = (image[0] == label).nonzero(as_tuple=True)
                if len(xs):
                    box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
                    rows.append((*map(int, box), label, 0.8))
            sample.pred_instances = looked(*rows)
        return data_samples


def make_sample(shape, scale):
    return DetDataSample(
        metainfo=dict(img_shape=shape, scale_factor=scale, img_path='a.png')
    )


@pytest.mark.parametrize('num_orientations', [1, 2, 4, 8])
def test_boxes_come_back_whatever_the_orientation(num_orientations):
    inputs = torch.zeros(2, 3, 48, 64)
    inputs[0, :, 4:12, 10:30] = 1
    inputs[0, :, 30:40, 40:60] = 2
    inputs[1, :, 20:25, 1:9] = 2
    samples = [make_sample((48, 64), (0.5, 0.5)) for _ in range(2)]
    detector = BrightestPatch()
    merged = predict_in_orientations(
        detector, inputs, samples, num_orientations, SIZES
    )
    assert merged[0] is samples[0]
    first, second = (sample.pred_instances for sample in merged)
    order = first.labels.argsort()
    # In pixels of the stored image, twice as large.
    expected = torch.tensor([[20.0, 8, 60, 24], [80, 60, 120, 80]])
    torch.testing.assert_close(first.bboxes[order], expected)
    assert first.scores.tolist() == pytest.approx([0.8, 0.8])
    expected = torch.tensor([[2.0, 40, 18, 50]])
    torch.testing.assert_close(second.bboxes, expected)
    # The samples keep their own size.
    assert merged[0].img_shape == (48, 64)
    assert len(detector.shapes) == 2 * num_orientations
    if num_orientations == 8:
        assert detector.shapes.count((64, 48)) == 8


def test_orientations_differ():
    image = torch.arange(6).reshape(1, 1, 2, 3)
    seen = set()
    for transpose, flip_x, flip_y in ORIENTATIONS:
        view = image.transpose(2, 3) if transpose else image
        view = view.flip([3] * flip_x + [2] * flip_y)
        seen.add((view.shape, tuple(view.flatten().tolist())))
    assert len(seen) == len(ORIENTATIONS) == 8


def test_padding_is_no_part_of_the_image():
    inputs = torch.zeros(1, 3, 40, 40)
    inputs[0, :, 20:36, 20:36] = 1
    # A box that reaches into the padding ends at the image.
    (merged,) = predict_in_orientations(
        BrightestPatch(), inputs, [make_sample((30, 30), (1.0, 1.0))], 4, SIZES
    )
    assert merged.pred_instances.bboxes.tolist() == [[20, 20, 30, 30]]


def test_means_of_looks():
    merged = merge_views(
        [
            looked((0, 0, 10, 10, 1, 0.9), (50, 50, 60, 60, 0, 0.4)),
            looked((0, 0, 12, 10, 1, 0.3), (0, 0, 12, 10, 2, 0.6)),
        ],
        SIZES,
    )
    rows = {
        (int(label), round(float(box[0]))): (box.tolist(), float(score))
        for box, label, score in zip(
            merged.bboxes, merged.labels, merged.scores
        )
    }
    assert set(rows) == {(1, 0), (2, 0), (0, 50)}
    box, score = rows[1, 0]
    # Of each look the best box, of whatever class: weights 0.9 and 0.6.
    assert box == pytest.approx([0, 0, (0.9 * 10 + 0.6 * 12) / 1.5, 10])
    assert score == pytest.approx((0.9 + 0.3) / 2)
    assert rows[2, 0] == (pytest.approx(box), pytest.approx(0.3))
    # What one look in two sees is worth half.
    assert rows[0, 50][1] == pytest.approx(0.2)


def test_neighbours_stay_apart():
    merged = merge_views(
        [looked((0, 0, 10, 10, 1, 0.9), (6, 0, 16, 10, 1, 0.8))] * 2, SIZES
    )
    assert sorted(merged.bboxes[:, 0].tolist()) == [0, 6]
    assert sorted(merged.scores.tolist()) == pytest.approx([0.8, 0.9])


def test_attributes_are_averaged():
    one = [0.9, 0.1, 0.2, 0.3, 0.5]
    other = [0.3, 0.7, 0.6, 0.3, 0.1]
    merged = merge_views(
        [
            looked((0, 0, 10, 10, 1, 0.6), probs=one),
            looked((0, 0, 10, 10, 1, 0.2), probs=other),
        ],
        SIZES,
    )
    expected = [(3 * a + b) / 4 for a, b in zip(one, other)]
    assert merged.attribute_probs[0].tolist() == pytest.approx(expected)
    assert merged.attribute_labels.tolist() == [[0, 2]]
    assert merged.attribute_scores[0].tolist() == pytest.approx([0.75, 0.4])


@pytest.mark.parametrize('probs', [None, []])
def test_nothing_found(probs):
    merged = merge_views([looked(probs=probs)] * 3, SIZES)
    assert merged.bboxes.shape == (0, 4)
    assert merged.labels.dtype == torch.int64
    assert ('attribute_probs' in merged) == (probs is not None)


def test_a_box_without_area_is_kept_once():
    merged = merge_views([looked((5, 5, 5, 5, 1, 0.9))], SIZES)
    assert merged.bboxes.tolist() == [[5, 5, 5, 5]]


def merge_one_by_one(views):
    """The rows that ``merge_views`` describes, in plain Python."""
    found = [
        (view, box, label, score, probs)
        for view, detections in enumerate(views)
        for box, label, score, probs in zip(
            detections.bboxes.tolist(),
            detections.labels.tolist(),
            detections.scores.tolist(),
            detections.attribute_probs.tolist(),
        )
    ]
    scores = torch.tensor([row[3] for row in found])
    owners = group_boxes([row[1] for row in found], scores, IOU_THR)
    order = sorted(range(len(found)), key=lambda i: -scores[i])
    rows = []
    for owner in (i for i in order if owners[i] == i):
        members = [found[i] for i in order if owners[i] == owner]
        best = {}
        for member in members:
            best.setdefault(member[0], member)
        total = sum(member[3] for member in best.values())

        def mean(column, best=best, total=total):
            return [
                sum(m[3] * m[column][i] for m in best.values()) / total
                for i in range(len(found[0][column]))
            ]

        for label in sorted({member[2] for member in members}):
            by_view = {}
            for view, _, own_label, score, _ in members:
                if own_label == label:
                    by_view.setdefault(view, score)
            score = sum(by_view.values()) / len(views)
            rows.append((label, score, mean(1), mean(4)))
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 40))
def test_against_plain_python(seed, num_views, num_boxes):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    cells = torch.randint(0, 8, (8, 2), generator=generator) * 9.0
    views = []
    for _ in range(num_views):
        corners = cells[(rand(num_boxes) * 8).long()]
        corners = corners + rand(num_boxes, 2) * 3
        # Few values, so that scores are equal, too.
        scores = (rand(num_boxes) * 10).ceil() / 10
        views.append(
            InstanceData(
                bboxes=torch.cat([corners, corners + 12], dim=1),
                labels=(rand(num_boxes) * 3).long(),
                scores=scores.clamp(min=0.1),
                attribute_probs=rand(num_boxes, 5),
            )
        )
    merged = merge_views(views, SIZES)
    expected = merge_one_by_one(views)
    assert merged.labels.tolist() == [row[0] for row in expected]
    for values, column in (
        (merged.scores, 1),
        (merged.bboxes, 2),
        (merged.attribute_probs, 3),
    ):
        torch.testing.assert_close(
            values,
            torch.tensor([row[column] for row in expected]).view_as(values),
        )
