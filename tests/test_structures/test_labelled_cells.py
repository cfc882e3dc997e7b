# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.structures import AttributeSchema, split_cells

SCHEMA = AttributeSchema(
    [
        dict(name='size', values=('small', 'large')),
        dict(name='vacuoles', values=('absent', 'prominent')),
    ]
)


def cell(x, label, ignored=0, **kwargs):
    bbox = [x, 0, x + 10, 10]
    return dict(bbox=bbox, bbox_label=label, ignore_flag=ignored, **kwargs)


def test_labelled_and_ignored_cells():
    cells, ignored = split_cells(
        [
            cell(0, 3, attributes=(1, 4)),
            cell(20, 0, ignored=1, attributes=(0, 0)),
            cell(40, 1),
        ],
        SCHEMA,
    )
    assert cells['gt_bboxes'].tolist() == [[0, 0, 10, 10], [40, 0, 50, 10]]
    assert cells['gt_labels'].tolist() == [3, 1]
    assert cells['gt_attributes'].tolist() == [[1, -1], [-1, -1]]
    assert ignored.tolist() == [[20, 0, 30, 10]]


def test_no_cells_and_no_schema():
    cells, ignored = split_cells([])
    assert cells.keys() == {'gt_bboxes', 'gt_labels'}
    assert cells['gt_bboxes'].shape == ignored.shape == (0, 4)
    assert split_cells([], SCHEMA)[0]['gt_attributes'].shape == (0, 2)
