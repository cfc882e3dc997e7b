# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmleuk.evaluation.functional import match_results
from mmleuk.structures import (
    CANDIDATE,
    MISSING,
    UNANNOTATED,
    AttributeSchema,
)
from mmleuk.structures.metainfo import LLD_METAINFO
from mmleuk.visualization.cell_marks import (
    CANDIDATE_CELL,
    DIFFERENT,
    FAINT,
    IGNORED,
    PLAIN,
    CellMarker,
    compare,
    decimal,
    percent,
)

CODES = [2, 0, 1, MISSING, 0, 1, 0]


def annotation(**fields):
    return InstanceData(
        **{
            'bboxes': HorizontalBoxes(torch.tensor([[10.0, 10, 50, 50]])),
            'labels': torch.tensor([2]),
            'attributes': torch.tensor([CODES]),
            **fields,
        }
    )


def prediction(**fields):
    return InstanceData(
        **{
            'bboxes': torch.tensor([[11.0, 11, 51, 51]]),
            'labels': torch.tensor([2]),
            'scores': torch.tensor([0.934]),
            'attribute_labels': torch.tensor([[2, 1, 1, 0, 0, 1, 0]]),
            'attribute_scores': torch.tensor([[0.9] * 6 + [0.55]]),
            **fields,
        }
    )


def text(line):
    return ' '.join(span.text for span in line)


def test_an_annotated_cell_has_codes():
    (mark,) = CellMarker(LLD_METAINFO).annotated(annotation())
    assert mark.title(False) == 'lymphoblast'
    assert mark.title(True) == 'LyBl'
    assert mark.colour == LLD_METAINFO['palette'][2]
    assert mark.box == (10, 10, 50, 50)
    assert text(mark.lines[0]) == 'L O I – S M a'


def test_attributes_are_written_out_on_request():
    (mark,) = CellMarker(LLD_METAINFO, 'words').annotated(annotation())
    lines = [text(line) for line in mark.lines]
    assert lines[0] == 'Cell Size: large'
    # One that nobody stated takes no line.
    assert len(lines) == 6
    assert not any('Nucleolus' in line for line in lines)
    (mark,) = CellMarker(LLD_METAINFO, 'none').annotated(annotation())
    assert mark.lines == ()


def test_a_cell_without_any_attribute_has_no_line():
    codes = torch.full((1, 7), MISSING)
    (mark,) = CellMarker(LLD_METAINFO).annotated(annotation(attributes=codes))
    assert mark.lines == ()


def test_a_prediction_says_how_sure_it_is():
    marker = CellMarker(LLD_METAINFO)
    (mark,) = marker.predicted(prediction())
    assert mark.title(False) == 'lymphoblast 0.93'
    assert text(mark.lines[0]) == 'L c I i S M a?'
    assert [span.look for span in mark.lines[0]] == [PLAIN] * 6 + [FAINT]


def test_a_type_without_attributes_is_drawn_without():
    none = prediction(labels=torch.tensor([0]))
    (mark,) = CellMarker(LLD_METAINFO).predicted(none)
    assert mark.title(False) == 'none 0.93'
    assert mark.lines == ()
    meta = {**LLD_METAINFO, 'classes_without_attributes': ('Lymphoblast',)}
    (mark,) = CellMarker(meta).predicted(none)
    assert mark.lines
    (mark,) = CellMarker(meta).predicted(prediction())
    assert mark.lines == ()


def test_calibrated_probabilities_come_first():
    confidences = torch.tensor([[0.5] + [0.8] * 6])
    (mark,) = CellMarker(LLD_METAINFO, 'words').predicted(
        prediction(
            confidences=torch.tensor([0.81]), attribute_confidences=confidences
        )
    )
    assert mark.title(False) == 'lymphoblast 81 %'
    assert text(mark.lines[0]) == 'Cell Size: large 50 %'
    assert mark.lines[0][0].look == FAINT
    assert mark.lines[6][0].look == PLAIN


def test_what_differs_is_marked():
    gt = annotation(labels=torch.tensor([7]))
    pred = prediction()
    matches, is_false_positive = compare(pred, gt, None)
    (mark,) = CellMarker(LLD_METAINFO).predicted(
        pred, gt, matches, is_false_positive
    )
    assert mark.title(False) == 'lymphoblast 0.93 ≠'
    looks = [span.look for span in mark.lines[0]]
    # Chromatin differs; nobody stated the nucleolus.
    assert looks == [PLAIN, DIFFERENT, PLAIN, PLAIN, PLAIN, PLAIN, FAINT]


def test_a_detection_is_extra_where_there_is_no_cell():
    boxes = torch.tensor(
        [[100.0, 100, 140, 140], [200, 200, 240, 240], [300, 300, 340, 340]]
    )
    pred = prediction(
        bboxes=boxes,
        labels=torch.tensor([2, 2, 2]),
        scores=torch.full((3,), 0.9),
        attribute_labels=torch.zeros((3, 7), dtype=torch.int64),
        attribute_scores=torch.ones((3, 7)),
    )
    ignored = InstanceData(
        bboxes=torch.tensor([[201.0, 200, 241, 240], [290, 290, 400, 400]]),
        labels=torch.tensor([0, UNANNOTATED]),
    )
    matches, is_false_positive = compare(pred, annotation(), ignored)
    assert matches.tolist() == [-1, -1, -1]
    # On an ignored cell or on un-annotated area nobody knows.
    assert is_false_positive.tolist() == [True, False, False]
    marks = CellMarker(LLD_METAINFO).predicted(
        pred, annotation(), matches, is_false_positive
    )
    assert [mark.suffix for mark in marks] == ['0.90 extra', '0.90', '0.90']


def test_drawing_and_metric_judge_alike():
    """A small detection in a large ignored cell is neither right nor wrong."""
    box = [[100.0, 100, 110, 110]]
    pred = prediction(bboxes=torch.tensor(box))
    ignored = InstanceData(
        bboxes=torch.tensor([[90.0, 90, 130, 130]]), labels=torch.tensor([0])
    )
    matches, is_false_positive = compare(pred, annotation(), ignored)
    assert matches.tolist() == [-1]
    assert is_false_positive.tolist() == [False]
    (mark,) = CellMarker(LLD_METAINFO).predicted(
        pred, annotation(), matches, is_false_positive
    )
    assert mark.suffix == '0.93'
    matched = match_results(
        [
            dict(
                name='a.png',
                image_shape=(200, 200),
                instances=[
                    dict(
                        bbox=[90.0, 90, 130, 130],
                        bbox_label=0,
                        ignore_flag=1,
                        attributes=[MISSING] * 7,
                    )
                ],
                annotated_regions=None,
                bboxes=np.array(box),
                scores=np.array([0.934]),
                labels=np.array([2]),
            )
        ],
        len(LLD_METAINFO['classes']),
        AttributeSchema(LLD_METAINFO['attributes']),
    )
    assert matched.in_unknown_area.tolist() == [True]


def test_ignored_cells_candidates_and_area_are_told_apart():
    instances = InstanceData(
        bboxes=torch.arange(12).reshape(3, 4).float(),
        labels=torch.tensor([3, UNANNOTATED, CANDIDATE]),
        probs=torch.tensor([0.0, 0.0, 0.42]),
    )
    marks, area = CellMarker(LLD_METAINFO).ignored(instances)
    assert [mark.kind for mark in marks] == [IGNORED, CANDIDATE_CELL]
    assert marks[0].title(False) == 'ignored: neutrophil'
    assert marks[1].title(False) == 'candidate 42 %'
    assert area.tolist() == [[4, 5, 6, 7]]


def test_plain_samples_are_marked():
    """Of MMDetection: no attributes, no meta, ignored without labels."""
    marker = CellMarker({})
    plain = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 9, 9]]), labels=torch.tensor([1])
    )
    (mark,) = marker.annotated(plain)
    assert mark.title(False) == 'class 1'
    assert mark.lines == ()
    marks, area = marker.ignored(InstanceData(bboxes=torch.zeros((2, 4))))
    assert [mark.title(False) for mark in marks] == ['ignored'] * 2
    assert area.shape == (0, 4)
    assert marker.ignored(None)[0] == []


def test_labels_of_an_open_set_name_themselves():
    (mark,) = CellMarker({}).annotated(annotation(label_names=['a cell']))
    assert mark.title(False) == 'a cell'


@pytest.mark.parametrize('method', ['annotated', 'predicted'])
def test_attributes_of_another_schema_are_refused(method):
    meta = dict(LLD_METAINFO, attributes=LLD_METAINFO['attributes'][:3])
    sample = annotation() if method == 'annotated' else prediction()
    with pytest.raises(ValueError, match=r'shape \(1, 7\), expected \(n, 3\)'):
        getattr(CellMarker(meta), method)(sample)


def test_nothing_is_certain():
    assert percent(0.999) == '99 %'
    assert percent(0.001) == '1 %'
    assert decimal(0.9999) == '0.99'
    assert decimal(0.29) == '0.29'
    assert decimal(1.0) == '1.00'
