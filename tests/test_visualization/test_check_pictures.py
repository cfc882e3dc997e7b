# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np

from mmleuk.visualization.check_pictures import draw_moved_boxes, draw_overlap


def test_boxes_as_they_are_and_moved():
    image = np.full((60, 80, 3), 200, np.uint8)
    picture = draw_moved_boxes(image, [[10, 10, 30, 25]], (20, 15))
    assert picture.shape == image.shape
    assert (image == 200).all()
    orange, blue = picture[10, 20], picture[25, 45]
    assert orange[2] > orange[0]
    assert blue[0] > blue[2]
    assert (picture[50:] == 200).all()


def test_what_two_fields_show_is_framed_in_both():
    first, second = (np.full((60, 80, 3), v, np.uint8) for v in (200, 100))
    picture = draw_overlap(first, second, (50, -20))
    assert picture.shape == (60, 160, 3)
    framed = (picture != np.hstack([first, second])).any(axis=2)
    rows, columns = np.nonzero(framed[:, :80])
    # The line is a few pixels wide.
    assert np.abs(np.subtract((columns.min(), rows.max()), (50, 39))).max() < 3
    rows, columns = np.nonzero(framed[:, 80:])
    assert np.abs(np.subtract((columns.max(), rows.min()), (29, 20))).max() < 3
    assert (first == 200).all()
