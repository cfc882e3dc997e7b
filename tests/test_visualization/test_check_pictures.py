# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np

from mmleuk.visualization.check_pictures import draw_moved_boxes


def test_boxes_as_they_are_and_moved():
    image = np.full((60, 80, 3), 200, np.uint8)
    picture = draw_moved_boxes(image, [[10, 10, 30, 25]], (20, 15))
    assert picture.shape == image.shape
    assert (image == 200).all()
    orange, blue = picture[10, 20], picture[25, 45]
    assert orange[2] > orange[0]
    assert blue[0] > blue[2]
    assert (picture[50:] == 200).all()
