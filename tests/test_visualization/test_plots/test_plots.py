# Copyright (c) mmleuk authors. All rights reserved.
"""What a reader sees: the words and numbers in the SVG files."""

import json
import re

import cv2
import numpy as np
import pytest

from mmleuk.evaluation.functional import (
    PrecisionRecallCurve,
    reliability_curve,
)
from mmleuk.visualization import load_pyplot
from mmleuk.visualization.plots import (
    draw_attribute_confusion,
    draw_attribute_frequencies,
    draw_precision_recall,
    draw_reliability,
    draw_training_curves,
    draw_type_confusion,
    read_training_log,
    save_figure,
)
from mmleuk.visualization.plots.style import ink_on, panel_grid

CLASSES = ('none', 'neutrophil', 'lymphocyte')


def words(figure, tmp_path):
    """Save a figure, and read all text of its SVG."""
    png, svg = save_figure(figure, tmp_path / 'plots', 'a')
    assert cv2.imread(str(png)).min() < 100
    assert not load_pyplot().fignum_exists(figure.number)
    return re.findall(r'<text[^>]*>([^<]+)</text>', svg.read_text())


def test_type_confusion(tmp_path):
    counts = np.zeros((4, 4), dtype=int)
    counts[1] = [0, 150, 1, 49]
    counts[3, 2] = 7
    text = words(draw_type_confusion(counts, CLASSES, 'data'), tmp_path)
    for expected in ('150', '75 %', '1', '&lt;1 %', '49', '7', 'missed'):
        assert expected in text
    assert {'neutrophil (200)', 'lymphocyte (0)', 'no such cell'} <= set(text)
    assert 'not drawn, for they do not occur: none' in text
    # What was invented is no share of any cells.
    assert '100 %' not in text


def test_confusion_of_nothing(tmp_path):
    counts = np.zeros((4, 4), dtype=int)
    text = words(draw_type_confusion(counts, CLASSES, 'data'), tmp_path)
    assert 'no such cell' in text


def test_attribute_confusion(tmp_path):
    sizes = np.diag([31, 22, 13, 0])
    shapes = np.array([[5, 2, 0], [1, 4, 0], [0, 3, 0]])
    figure = draw_attribute_confusion(
        [sizes, shapes],
        [('small', 'medium', 'large'), ('regular', 'irregular')],
        ['Cell Size', 'Nuclear Shape'],
        ['macro-F1 1.000', 'macro-F1 0.700'],
        'data',
    )
    text = words(figure, tmp_path)
    assert {'31', '22', '13', '100 %', '71 %', '3'} <= set(text)
    assert {'macro-F1 0.700', 'irregular (5)', 'medium (22)'} <= set(text)


def test_precision_recall(tmp_path):
    start = np.array([0.0])
    curves = [
        PrecisionRecallCurve(start, start + 1, start + np.inf, 0),
        PrecisionRecallCurve(
            np.array([0, 0.5, 1]),
            np.array([1, 1, 0.8]),
            np.array([np.inf, 0.9, 0.4]),
            20,
        ),
        # Never found.
        PrecisionRecallCurve(start, start + 1, start + np.inf, 5),
    ]
    figure = draw_precision_recall(
        curves, [np.nan, 0.9, 0.0], CLASSES, 0.5, 'data'
    )
    shown = [axis for axis in figure.findobj(_is_axes) if axis.get_visible()]
    titles = [axis.get_title('left') for axis in shown]
    assert titles == ['neutrophil', 'lymphocyte']
    # The working point is the last with a score of 0.5 or more.
    point = [line for line in shown[0].lines if line.get_marker() == 'o'][0]
    assert (*point.get_xdata(), *point.get_ydata()) == (0.5, 1.0)
    assert not [line for line in shown[1].lines if line.get_marker() == 'o']
    assert 'AP50 0.900' in words(figure, tmp_path)
    with pytest.raises(ValueError, match='no type has an annotated cell'):
        draw_precision_recall(curves[:1], [0], CLASSES, 0.5, 'data')


def _is_axes(artist):
    return type(artist).__name__ == 'Axes'


def test_reliability(tmp_path):
    rng = np.random.default_rng(0)
    curves = [
        reliability_curve(rng.random(200), rng.random(200) < 0.5)
        for _ in range(3)
    ]
    figure = draw_reliability(
        ['Type', 'Nucleolus'],
        curves[:2],
        [curves[2], None],
        'data',
        'calibrated on val.json',
    )
    text = words(figure, tmp_path)
    assert f'ECE {curves[0].ece:.3f} → {curves[2].ece:.3f}' in text
    assert f'ECE {curves[1].ece:.3f}' in text
    assert 'calibrated on val.json' in text
    text = words(
        draw_reliability(['Type'], curves[:1], None, 'data'), tmp_path
    )
    assert 'calibrated' not in text
    assert '200 predictions' in text


def test_reliability_of_no_predictions(tmp_path):
    empty = reliability_curve(np.zeros(0), np.zeros(0))
    text = words(draw_reliability(['Type'], [empty], None, 'data'), tmp_path)
    assert '0 predictions' in text


def test_attribute_frequencies(tmp_path):
    annotated = [np.array([[0, 0], [30, 10], [0, 0]])]
    named = [np.array([[0, 0], [41, 1], [0, 17]])]
    figure = draw_attribute_frequencies(
        annotated, named, CLASSES, [('regular', 'irregular')], ['Shape'], 'x'
    )
    text = words(figure, tmp_path)
    assert {'30', '10', '41', '17', 'none', 'lymphocyte'} <= set(text)
    # A sliver has no room for its number.
    assert text.count('1') == 0
    with pytest.raises(ValueError, match='neither an annotated'):
        draw_attribute_frequencies(
            [np.zeros((3, 2))],
            [np.zeros((3, 2))],
            CLASSES,
            [('a', 'b')],
            ['Shape'],
            'x',
        )


def write_log(path, records):
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return path


EPOCH_LOG = [
    dict(lr=0.1, loss=3.0, loss_cls=2.0, epoch=1, iter=10, step=10),
    dict(lr=0.1, loss=2.5, loss_cls=1.5, epoch=1, iter=20, step=20),
    {
        'lld/bbox_mAP': 0.5,
        'lld/bbox_mAP_50': 0.7,
        'lld/bbox_mAP_s': float('nan'),
        'lld/attr_nuclear_shape_macro_f1': 0.6,
        'lld/attr_macro_f1': 0.65,
        'step': 1,
    },
    dict(lr=0.01, loss=2.0, loss_cls=1.0, epoch=2, iter=44, step=44),
]


def test_training_curves_by_epoch(tmp_path):
    log = read_training_log(write_log(tmp_path / 'log.json', EPOCH_LOG))
    assert log.unit == 'epoch'
    # 22 iterations an epoch.
    assert log.train['loss'] == ([10 / 22, 20 / 22, 2], [3, 2.5, 2])
    assert log.val['lld/bbox_mAP'] == ([1], [0.5])
    assert 'lld/bbox_mAP_s' not in log.val
    figure = draw_training_curves(log, {'nuclear_shape': 'Shape'}, 'run')
    text = words(figure, tmp_path)
    assert {'sum', 'cls', 'AP', 'AP50', 'Shape', 'mean'} <= set(text)
    assert {'epoch', 'loss', 'learning rate'} <= set(text)


def test_training_curves_by_iteration(tmp_path):
    records = [
        dict(lr=0.1, loss=3.0, iter=50, step=50),
        {'coco/bbox_mAP': 0.4, 'step': 100},
    ]
    log = read_training_log(write_log(tmp_path / 'log.json', records))
    assert log.unit == 'iteration'
    assert log.train['loss'] == ([50], [3])
    assert log.val['coco/bbox_mAP'] == ([100], [0.4])
    assert 'iteration' in words(draw_training_curves(log, {}, 'run'), tmp_path)


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"lr": 1, "step": 1}\n{"lr"', 'line 2'),
        ('[1, 2]', 'with `step`'),
        ('{"lld/bbox_mAP": 0.5, "step": 0}', 'none with `lr`'),
    ],
)
def test_refuses_other_logs(tmp_path, content, message):
    (tmp_path / 'log.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_training_log(tmp_path / 'log.json')


def test_the_same_figure_is_the_same_file(tmp_path):
    counts = np.diag([1, 2, 3, 0])
    files = []
    for name in 'ab':
        figure = draw_type_confusion(counts, CLASSES, 'data')
        files.append(save_figure(figure, tmp_path, name))
    for first, second in zip(*files):
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    'count, most, expected',
    [(1, 4, (1, 1)), (6, 4, (2, 3)), (7, 4, (2, 4)), (14, 5, (3, 5))],
)
def test_panels_fill_their_rows(count, most, expected):
    assert panel_grid(count, most) == expected


def test_ink_is_read_on_its_ground():
    assert ink_on((0, 0.2, 0.5)) == '#FFFFFF'
    assert ink_on((1, 0.9, 0.5)) != '#FFFFFF'
