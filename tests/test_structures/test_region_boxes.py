# Copyright (c) mmleuk authors. All rights reserved.
import copy
import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmleuk.structures import RegionBoxes, cover_rectangles, unannotated_area

SHAPE = (40, 60)  # height, width


def make(rows=((5, 5, 15, 12), (30, 8, 40, 20)), regions=((0, 0, 20, 40),)):
    return RegionBoxes(
        torch.tensor(rows, dtype=torch.float32).reshape(-1, 4),
        unannotated=unannotated_area(regions, SHAPE),
        field_matrix=np.diag([2, 3, 1]),
    )


def area_of(boxes):
    return cover_rectangles(boxes.unannotated).tolist()


@pytest.mark.parametrize(
    'method',
    [
        lambda boxes: boxes[1],
        lambda boxes: boxes[np.array([False, True])],
        lambda boxes: boxes[torch.tensor([1])],
        lambda boxes: boxes[:0],
        lambda boxes: boxes.empty_boxes(),
        lambda boxes: boxes.fake_boxes((3, 4)),
        lambda boxes: boxes.to(torch.float64),
        lambda boxes: boxes.cpu(),
        lambda boxes: boxes.clone(),
        lambda boxes: boxes.detach(),
        lambda boxes: boxes.view(-1, 1, 4),
        lambda boxes: boxes.reshape(-1, 1, 4),
        lambda boxes: boxes.repeat(2, 1),
        lambda boxes: boxes.unsqueeze(0),
        lambda boxes: boxes.unsqueeze(0).squeeze(0),
        lambda boxes: boxes.unsqueeze(0).expand(3, 2, 4),
        lambda boxes: boxes.unsqueeze(0).transpose(0, 1),
        lambda boxes: boxes.unsqueeze(0).permute(1, 0, 2),
        lambda boxes: boxes.unsqueeze(0).flatten(0, 1),
        lambda boxes: boxes.split(1)[0],
        lambda boxes: boxes.chunk(2)[1],
        lambda boxes: boxes.unsqueeze(0).unbind(0)[0],
        lambda boxes: RegionBoxes.cat([boxes]),
        lambda boxes: RegionBoxes.stack([boxes]),
        copy.deepcopy,
        copy.copy,
        lambda boxes: pickle.loads(pickle.dumps(boxes)),
    ],
)
def test_new_boxes_of_the_image_keep_its_area(method):
    boxes = make()
    made = method(boxes)
    assert type(made) is RegionBoxes
    assert area_of(made) == [[20, 0, 60, 40]]
    assert made.is_cut
    assert np.array_equal(made.field_matrix, np.diag([2, 3, 1]))


def test_copies_move_alone():
    boxes = make()
    made = [boxes.clone(), copy.deepcopy(boxes), boxes[:1]]
    boxes.translate_((5, 0))
    assert area_of(boxes) == [[25, 0, 65, 40]]
    assert boxes.field_matrix.tolist() == [[2, 0, 5], [0, 3, 0], [0, 0, 1]]
    for other in made:
        assert area_of(other) == [[20, 0, 60, 40]]
        assert np.array_equal(other.field_matrix, np.diag([2, 3, 1]))


@pytest.mark.parametrize(
    'move, expected',
    [
        (lambda b: b.translate_([-3.0, 4.0]), [17, 4, 57, 44]),
        (lambda b: b.rescale_((2.0, 0.5)), [40, 0, 120, 20]),
        (lambda b: b.flip_(SHAPE), [0, 0, 40, 40]),
        (lambda b: b.flip_((60, 60), 'vertical'), [20, 20, 60, 60]),
        (lambda b: b.flip_((50, 70), 'diagonal'), [10, 10, 50, 50]),
        (lambda b: b.rotate_((0.0, 0.0), 90.0), [-40, 20, 0, 60]),
        (
            lambda b: b.project_(
                np.array([[0, 2.0, 1], [1, 0, 0], [0, 0, 1]])
            ),
            [1, 20, 81, 60],
        ),
        (
            lambda b: b.project_(
                torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 2.0]])
            ),
            [10, 0, 30, 20],
        ),
        (lambda b: b.clip_((30, 50)), [20, 0, 50, 30]),
        (lambda b: b.is_inside((30, 50)), [20, 0, 50, 30]),
    ],
)
def test_area_moves_as_a_box_does(move, expected):
    # The area is given as a box as well: the parent's own move is the oracle.
    boxes = make(rows=[[20, 0, 60, 40]])
    move(boxes)
    assert np.allclose(area_of(boxes), [expected], atol=2e-3)
    if expected != [20, 0, 50, 30]:
        # Where nothing is cut, the matrix maps the area to where it is.
        corners = np.array([[20 / 2, 0, 1], [60 / 2, 40 / 3, 1]])
        mapped = corners @ boxes.field_matrix.T
        mapped = np.sort(mapped[:, :2] / mapped[:, 2:], axis=0)
        assert np.allclose(mapped.flatten(), expected)
    plain = HorizontalBoxes(torch.tensor([[20.0, 0, 60, 40]]))
    move(plain)
    assert torch.allclose(boxes.tensor, plain.tensor)
    if boxes.is_cut and (plain.tensor == torch.tensor(expected)).all():
        assert area_of(boxes) == plain.tensor.tolist()


def test_is_cut_tells_whether_the_frame_is_known():
    boxes = make()
    boxes.translate_([10, 0])
    assert not boxes.is_cut
    assert not boxes[:1].is_cut
    boxes.clip_(SHAPE)
    assert boxes.is_cut
    assert area_of(boxes) == [[30, 0, 60, 40]]
    boxes.rescale_([1, 1])
    assert not RegionBoxes.cat([make(), boxes]).is_cut


def test_joined_areas_unite():
    left, right = make(), make()
    right.translate_([40, 0])
    joined = left.cat([left, right, make(regions=[(0, 0, 60, 40)])])
    assert joined.shape == (6, 4)
    assert area_of(joined) == [[20, 0, 100, 40]]
    assert joined.field_matrix is None
    assert RegionBoxes.stack([left, right]).field_matrix is None
    joined.rescale_([2, 2])
    assert joined.field_matrix is None


def test_wholly_annotated_images_have_no_area():
    boxes = RegionBoxes(torch.zeros((2, 4)))
    boxes.flip_(SHAPE)
    boxes.rescale_([2, 2])
    boxes.project_(np.eye(3))
    boxes.clip_(SHAPE)
    assert boxes.unannotated is None
    assert RegionBoxes.cat([boxes, boxes]).unannotated is None
    assert len(boxes[:0]) == 0


def test_images_with_neither_area_nor_box_have_no_matrix():
    """Some transforms move such an image and don't tell its boxes."""
    boxes = make(regions=None)
    assert boxes.field_matrix is not None
    assert boxes[:0].field_matrix is None
    assert make(rows=[]).field_matrix is not None
    assert RegionBoxes(boxes.tensor).field_matrix is None


def test_area_without_boxes_asks_to_be_moved():
    boxes = make(rows=[])
    assert len(boxes) == 1
    assert boxes.shape == (0, 4)
    assert boxes.is_inside(SHAPE).shape == (0,)
    patch = HorizontalBoxes(torch.tensor([[0.0, 0, 10, 10]]))
    assert boxes.overlaps(patch, boxes).tolist() == [[-1]]
    with pytest.raises(NotImplementedError, match='filter_empty_gt'):
        boxes.centers  # noqa: B018


def test_boxes_compare_with_plain_ones():
    boxes = make()
    assert boxes.overlaps(boxes, HorizontalBoxes(boxes.tensor))[
        [0, 1], [0, 1]
    ].tolist() == [1, 1]
    assert boxes.centers.tolist() == [[10, 8.5], [35, 14]]
    assert type(boxes.convert_to('hbox')) is HorizontalBoxes
