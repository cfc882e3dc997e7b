# Copyright (c) mmleuk authors. All rights reserved.
import json

import numpy as np
import pytest
import torch

from mmleuk.datasets import LLDDataset
from mmleuk.datasets.pseudo_labels import choose_pseudo_cells, label_fields
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CLASSES = ('neutrophil', 'lymphocyte')
# Nobody has annotated the nucleolus.
CODES = (2, 1, 0, MISSING, 1, 0, 1)
SIZE = (100, 80)


def make_instance(bbox, label=0, ignored=0, codes=CODES):
    return dict(
        bbox=bbox, bbox_label=label, ignore_flag=ignored, attributes=codes
    )


def make_field(*instances, regions=((0, 0, 40, 40),), img_id=0):
    return dict(
        img_id=img_id,
        img_path=f'data/images/{img_id}.png',
        width=SIZE[0],
        height=SIZE[1],
        instances=list(instances),
        annotated_regions=regions,
    )


def make_detections(*boxes, labels=None, codes=None):
    """Detections (x1, y1, x2, y2, score)."""
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5)
    found = dict(
        bboxes=boxes[:, :4],
        scores=boxes[:, 4],
        labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
    )
    if codes is not None:
        found['attribute_labels'] = torch.tensor(codes).reshape(-1, 7)
    return found


def choose(field, *boxes, **kwargs):
    found = make_detections(*boxes)
    return choose_pseudo_cells(
        field, found['bboxes'], found['scores'], **kwargs
    ).tolist()


class TestChoosePseudoCells:
    def test_score(self):
        boxes = [(50, 50, 60, 60, 0.84), (70, 50, 80, 60, 0.86)]
        assert choose(make_field(), *boxes) == [1]
        assert choose(make_field(), *boxes, score_thr=0.5) == [1, 0]
        assert choose(make_field(), *boxes, score_thr=0.9) == []

    def test_annotated_area_is_complete(self):
        boxes = [
            (10, 10, 20, 20, 0.9),
            # The centre decides: inside, and outside by half a pixel.
            (30, 10, 50, 20, 0.9),
            (31, 30, 50, 40, 0.9),
        ]
        assert choose(make_field(), *boxes) == [2]

    def test_an_ignored_cell_is_unknown_area(self):
        field = make_field(make_instance([50, 40, 90, 80], ignored=1))
        boxes = [(65, 55, 75, 65, 0.9), (50, 2, 60, 12, 0.9)]
        assert choose(field, *boxes) == [1]

    def test_a_labelled_cell_that_reaches_out(self):
        field = make_field(
            make_instance([30, 10, 50, 30]),
            make_instance([0, 30, 20, 50], ignored=1),
        )
        boxes = [
            (31, 10, 52, 30, 0.9),
            (0, 31, 20, 52, 0.9),
            (41, 10, 61, 30, 0.9),
        ]
        assert choose(field, *boxes) == [2]

    def test_one_type_a_cell(self):
        boxes = [
            (50, 50, 60, 60, 0.90),
            (50, 50, 60, 61, 0.95),
            (56, 50, 66, 60, 0.88),
        ]
        assert choose(make_field(), *boxes) == [1, 2]

    def test_a_second_box_of_a_labelled_cell(self):
        """It overlaps the first, which overlaps the label."""
        field = make_field(make_instance([30, 10, 50, 30]))
        boxes = [(34, 10, 54, 30, 0.9), (39, 10, 59, 30, 0.86)]
        assert choose(field, *boxes) == []
        assert choose(field, boxes[1]) == [0]

    def test_no_region_and_no_field_without(self):
        box = (10, 10, 20, 20, 0.9)
        assert choose(make_field(regions=None), box) == []
        assert choose(make_field(regions=[]), box) == [0]
        assert choose(make_field()) == []

    def test_several_regions(self):
        field = make_field(regions=[(0, 0, 40, 40), (60, 0, 100, 40)])
        boxes = [
            (10, 10, 20, 20, 0.9),
            (45, 10, 55, 20, 0.9),
            (70, 10, 80, 20, 0.9),
        ]
        assert choose(field, *boxes) == [1]


class TestLabelFields:
    fields = [
        make_field(
            make_instance([5, 5, 25, 30], label=1),
            make_instance([0, 0, 10, 10], ignored=1, codes=(MISSING,) * 7),
        ),
        make_field(img_id='b', regions=[]),
    ]
    detections = {
        0: make_detections(
            (50, 50, 70, 75, 0.9),
            (60, 10, 62, 12, 0.2),
            labels=[1, 0],
            codes=[[0, 0, 1, 1, 1, 1, 0], [1] * 7],
        ),
        'b': make_detections(codes=[]),
    }

    def label(self, **kwargs):
        arguments = dict(root='data', **kwargs)
        return label_fields(
            self.fields, self.detections, CLASSES, SCHEMA, **arguments
        )

    def test_layout(self):
        labels = json.loads(json.dumps(self.label()))
        assert labels['images'] == [
            dict(id=0, file_name='images/0.png', width=100, height=80),
            dict(id='b', file_name='images/b.png', width=100, height=80),
        ]
        assert labels['categories'] == [
            dict(id=0, name='neutrophil'),
            dict(id=1, name='lymphocyte'),
        ]
        cell, crowd, pseudo = labels['annotations']
        assert cell['bbox'] == [5, 5, 20, 25]
        assert cell['area'] == 500
        assert [item['category_id'] for item in (cell, crowd, pseudo)] == [
            1,
            0,
            1,
        ]
        assert [item['iscrowd'] for item in (cell, crowd, pseudo)] == [0, 1, 0]
        assert pseudo['bbox'] == [50, 50, 20, 25]
        assert pseudo['score'] == pytest.approx(0.9)
        assert {item['id'] for item in labels['annotations']} == {0, 1, 2}
        assert {item['image_id'] for item in labels['annotations']} == {0}

    def test_attributes_that_no_cell_states_are_not_believed(self):
        cell, crowd, pseudo = self.label()['annotations']
        assert 'nucleolus' not in {**cell, **crowd, **pseudo}
        assert [pseudo.get(item.json_key) for item in SCHEMA] == [
            0,
            0,
            1,
            None,
            1,
            1,
            0,
        ]

    def test_a_class_without_attributes(self):
        labels = label_fields(
            self.fields, self.detections, ('none', 'None'), SCHEMA
        )
        pseudo = labels['annotations'][-1]
        assert pseudo['score'] > 0
        assert not {item.json_key for item in SCHEMA} & set(pseudo)

    def test_read_back_everything_else_is_background(
        self, tmp_path, lld_files
    ):
        for name in ('0', 'b'):
            lld_files.image(tmp_path / 'images' / f'{name}.png', SIZE)
        (tmp_path / 'labels.json').write_text(json.dumps(self.label()))
        dataset = LLDDataset(
            ann_file='labels.json',
            data_root=str(tmp_path),
            metainfo=dict(classes=CLASSES),
            ann_format='json',
        )
        field, empty = dataset
        assert dataset.issues.summary() == ''
        assert field['annotated_regions'] is None
        assert [item['attributes'] for item in field['instances']] == [
            CODES,
            (MISSING,) * 7,
            (0, 0, 1, MISSING, 1, 1, 0),
        ]
        assert field['instances'][2]['bbox'] == [50, 50, 70, 75]
        assert empty['img_id'] == 'b'
        assert empty['instances'] == []

    def test_boxes_are_cut_at_the_edge(self):
        field = make_field(img_id=3, regions=[])
        found = make_detections(
            (90, 70, 120, 90, 0.9), (99.5, 10, 130, 20, 0.9)
        )
        labels = label_fields([field], {3: found}, CLASSES, SCHEMA)
        (cell,) = labels['annotations']
        assert cell['bbox'] == [90, 70, 10, 10]

    def test_a_detector_without_attributes(self):
        found = {k: np.asarray(v) for k, v in self.detections[0].items()}
        del found['attribute_labels']
        labels = label_fields(self.fields[:1], {0: found}, CLASSES, SCHEMA)
        pseudo = labels['annotations'][-1]
        assert pseudo['score'] > 0
        assert not {item.json_key for item in SCHEMA} & set(pseudo)

    def test_a_field_without_detections_is_named(self):
        with pytest.raises(ValueError, match="images/b.png .img_id 'b'"):
            label_fields(self.fields, {0: self.detections[0]}, CLASSES, SCHEMA)

    def test_other_attributes_are_named(self):
        found = dict(self.detections[0], attribute_labels=np.zeros((2, 3)))
        with pytest.raises(ValueError, match=r'shape \(2, 3\), expected'):
            label_fields(self.fields[:1], {0: found}, CLASSES, SCHEMA)
