# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmleuk.datasets.checks.misplaced_boxes import find_better_place

BACKGROUND, NUCLEUS = (200, 210, 205), (120, 40, 110)
# BGR of erythrocytes and of debris, which are no nuclei.
BLUE_GREY, PINK, BLACK = (130, 110, 90), (170, 150, 190), (15, 12, 16)
CENTRES = ((40, 50), (120, 60), (90, 150))


def field(nucleus=NUCLEUS, centres=CENTRES):
    """A film of 200 x 200 pixels, with cells that have no nucleus besides."""
    rng = np.random.default_rng(0)
    image = np.full((200, 200, 3), BACKGROUND, np.uint8)
    for colour in (BLUE_GREY, PINK, BLACK):
        for x, y in rng.integers(0, 200, (12, 2)).tolist():
            cv2.circle(image, (x, y), 9, colour, -1)
    for x, y in centres:
        cv2.circle(image, (x, y), 14, PINK, -1)
        cv2.circle(image, (x, y), 10, nucleus, -1)
    noise = rng.normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def boxes(shift=(0, 0), centres=CENTRES):
    corners = np.array(centres, float) + shift
    return np.concatenate([corners - 15, corners + 15], axis=1)


def test_boxes_on_their_cells_stay():
    assert find_better_place(field(), boxes()) is None
    assert find_better_place(field(), boxes((6, -6))) is None
    assert find_better_place(field(), boxes()[:1]) is None


@pytest.mark.parametrize('shift', [(30, 0), (-25, 20), (10, -30)])
def test_moved_boxes_are_found_with_their_move(shift):
    move = find_better_place(field(), boxes(shift))
    assert np.abs(np.add(move.shift, shift)).max() <= 5
    assert move.stain_share < 0.3
    assert (len(move.bboxes), move.empty) == (3, 3)
    assert '3 of 3 boxes hold hardly any nuclear stain' in str(move)


def test_any_stain_will_do():
    pale = (190, 140, 180)
    assert find_better_place(field(pale), boxes()) is None
    assert find_better_place(field(pale), boxes((0, 30))) is not None
    dark = field() // 3
    assert find_better_place(dark, boxes()) is None
    assert find_better_place(dark, boxes((0, 30))) is not None


@pytest.mark.parametrize(
    'image, bboxes',
    [
        (field(), np.zeros((0, 4))),
        (field(centres=()), boxes()),
        (np.full((200, 200, 3), 128, np.uint8), boxes((30, 0))),
        (
            np.random.default_rng(1).integers(
                0, 255, (200, 200, 3), dtype=np.uint8
            ),
            boxes(),
        ),
        (field(), boxes((30, 0)) / 5),
    ],
    ids=['no box', 'no nucleus', 'grey', 'noise', 'tiny boxes'],
)
def test_what_can_not_be_judged_is_not(image, bboxes):
    assert find_better_place(image, bboxes) is None


def test_boxes_may_reach_out_of_the_image():
    centres = (*CENTRES, (198, 100))
    image = field(centres=centres)
    assert find_better_place(image, boxes(centres=centres)) is None
    assert find_better_place(image, boxes((0, 30), centres)) is not None
