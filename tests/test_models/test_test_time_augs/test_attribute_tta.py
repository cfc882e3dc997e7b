# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from mmleuk.models.test_time_augs import AttributeTTAModel

SCHEMA = [
    dict(name='size', values=('small', 'medium', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]


class Detector(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def make_model():
    return AttributeTTAModel(
        attributes=SCHEMA,
        module=Detector(),
        tta_cfg=ConfigDict(
            nms=dict(type='nms', iou_threshold=0.5), max_per_img=10
        ),
    )


def make_view(boxes, scores, labels, probs, flip=False):
    sample = DetDataSample(
        metainfo=dict(
            ori_shape=(100, 200),
            flip=flip,
            flip_direction='horizontal' if flip else None,
        )
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.long),
        attribute_probs=torch.tensor(probs).reshape(-1, 5),
    )
    return sample


def test_probabilities_are_the_score_weighted_mean_of_the_views():
    plain = make_view(
        [[10.0, 10, 30, 30]], [0.9], [1], [[0.2, 0.2, 0.6, 0.9, 0.1]]
    )
    flipped = make_view(
        [[170.0, 10, 190, 30]], [0.3], [1], [[1.0, 0, 0, 0.1, 0.9]], flip=True
    )
    merged = make_model().merge_preds([[plain, flipped]])[0].pred_instances
    assert len(merged) == 1
    expected = [
        (0.9 * a + 0.3 * b) / 1.2
        for a, b in zip([0.2, 0.2, 0.6, 0.9, 0.1], [1.0, 0, 0, 0.1, 0.9])
    ]
    torch.testing.assert_close(
        merged.attribute_probs, torch.tensor([expected])
    )
    assert merged.attribute_labels.tolist() == [[2, 0]]
    torch.testing.assert_close(
        merged.attribute_scores, torch.tensor([[expected[2], expected[3]]])
    )


def test_other_cells_and_other_classes_have_no_vote():
    own = [0.1, 0.8, 0.1, 0.5, 0.5]
    view = make_view(
        [[10.0, 10, 30, 30], [100, 10, 130, 40], [10, 10, 30, 31]],
        [0.9, 0.8, 0.7],
        [1, 1, 2],
        [own, [1.0, 0, 0, 1, 0], [0.0, 0, 1, 0, 1]],
    )
    merged = make_model().merge_preds([[view]])[0].pred_instances
    assert len(merged) == 3
    torch.testing.assert_close(merged.attribute_probs[0], torch.tensor(own))


def test_views_that_see_nothing():
    empty = make_view([], [], [], [])
    empty.pred_instances.attribute_labels = torch.zeros(0, 2).long()
    empty.pred_instances.attribute_scores = torch.zeros(0, 2)
    other = make_view([], [], [], [], flip=True)
    merged = make_model().merge_preds([[empty, other]])[0].pred_instances
    assert len(merged) == 0
    assert merged.attribute_probs.shape == (0, 5)
