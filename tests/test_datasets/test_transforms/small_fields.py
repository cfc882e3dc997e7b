# Copyright (c) mmleuk authors. All rights reserved.
"""Small fields whose pixels tell where they come from."""

import numpy as np

from mmleuk.datasets.transforms import LoadLLDAnnotations

HEIGHT, WIDTH = 80, 100


def make_field(regions, boxes, number=1, flags=None, name=None):
    """Results of a loaded field; pixel (y, x) is (x, y, number)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x, y, np.full_like(x, number)], axis=2)
    flags = flags or [0] * len(boxes)
    results = dict(
        img=image.astype(np.uint8),
        img_id=number,
        img_path=name or f'images/{number}_1_1000_ALL.png',
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        height=HEIGHT,
        width=WIDTH,
        annotated_regions=regions,
        instances=[
            dict(
                bbox=list(map(float, box)),
                bbox_label=index % 14,
                ignore_flag=flag,
                attributes=(index % 3, -1, 0, 1, -1, 0, 1),
            )
            for index, (box, flag) in enumerate(zip(boxes, flags))
        ],
    )
    return LoadLLDAnnotations()(results)


def annotated_mask(results):
    """The annotated pixels of results, bool, (height, width)."""
    import shapely

    height, width = results['img_shape'][:2]
    area = results['gt_bboxes'].unannotated
    if area is None:
        return np.ones((height, width), bool)
    y, x = np.mgrid[:height, :width] + 0.5
    return ~shapely.contains_xy(area, x, y)
