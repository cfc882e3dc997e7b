# Copyright (c) mmleuk authors. All rights reserved.
import copy
import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from run_processes import run_processes

from mmleuk.evaluation import LLDMetric
from mmleuk.structures import AttributeSchema, TypeProfile

CLASSES = ('none', 'neutrophil', 'lymphocyte')
ATTRIBUTES = [
    dict(name='cell_size', values=('small', 'medium', 'large')),
    dict(name='nuclear_shape', values=('regular', 'irregular')),
]
SCHEMA = AttributeSchema(ATTRIBUTES)
META = dict(classes=CLASSES, attributes=ATTRIBUTES)
BOX_KEYS = [
    f'lld/bbox_{key}'
    for key in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
]
AGNOSTIC_KEYS = ['lld/bbox_agnostic_mAP', 'lld/bbox_agnostic_mAP_50']


def cell(bbox, label=1, codes=(0, 0), ignore=0):
    return dict(
        bbox=list(map(float, bbox)),
        bbox_label=label,
        ignore_flag=ignore,
        attributes=tuple(codes),
    )


def detection(bbox, score=0.9, label=1, codes=(0, 0)):
    return dict(bbox=bbox, score=score, label=label, codes=codes)


def data_sample(
    cells=(), detections=(), regions=None, name='a.png', fields=True
):
    """A data sample as a detector returns it, with one-hot probabilities."""
    predictions = InstanceData(
        bboxes=torch.tensor(
            [d['bbox'] for d in detections], dtype=torch.float32
        ).reshape(-1, 4),
        scores=torch.tensor([d['score'] for d in detections]),
        labels=torch.tensor(
            [d['label'] for d in detections], dtype=torch.int64
        ),
    )
    if fields:
        codes = torch.tensor(
            [d['codes'] for d in detections], dtype=torch.int64
        ).reshape(-1, 2)
        predictions.attribute_labels = codes
        predictions.attribute_scores = torch.ones(codes.shape)
        predictions.attribute_probs = torch.cat(
            [
                torch.nn.functional.one_hot(codes[:, i], size).float()
                for i, size in enumerate(SCHEMA.sizes)
            ],
            dim=1,
        )
    sample = DetDataSample(
        metainfo=dict(
            img_path=name,
            img_id=name,
            ori_shape=(400, 400),
            instances=list(cells),
            annotated_regions=regions,
        )
    )
    sample.pred_instances = predictions
    return sample


def evaluate(samples, meta=META, metric=None, **kwargs):
    metric = metric or LLDMetric(**kwargs)
    metric.dataset_meta = meta
    for sample in samples:
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(samples))


def random_samples(seed, count=4, ignored=True):
    """Cells and detections: near misses, wrong classes, false ones."""
    rng = np.random.default_rng(seed)

    def boxes(number):
        lows = rng.uniform(0, 250, (number, 2))
        return np.concatenate(
            [lows, lows + rng.uniform(10, 140, (number, 2))], axis=1
        )

    def codes():
        return [int(rng.integers(-1, 3)), int(rng.integers(-1, 2))]

    samples = []
    for index in range(count):
        true = boxes(rng.integers(0, 5))
        found = np.concatenate(
            [true + rng.uniform(-4, 4, true.shape), boxes(rng.integers(0, 4))]
        )
        samples.append(
            data_sample(
                [
                    cell(
                        box,
                        int(rng.integers(3)),
                        codes(),
                        int(ignored and rng.uniform() < 0.2),
                    )
                    for box in true
                ],
                [
                    detection(
                        box.tolist(),
                        float(rng.integers(1, 9) / 8),
                        int(rng.integers(3)),
                        np.maximum(codes(), 0).tolist(),
                    )
                    for box in found
                ],
                name=f'{index}.png',
            )
        )
    return samples


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert value == pytest.approx(second[key], nan_ok=True), key


BOX_A, BOX_B = (10, 10, 60, 60), (100, 100, 180, 160)


def test_is_registered_in_our_scope():
    metric = METRICS.build(dict(type='mmleuk.LLDMetric', score_thr=0.1))
    assert isinstance(metric, LLDMetric)
    assert metric.prefix == 'lld'


def test_perfect_predictions(monkeypatch):
    tables = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'info', tables.append)
    cells = [cell(BOX_A, 1, (0, 1)), cell(BOX_B, 2, (2, 0))]
    found = [
        detection(c['bbox'], 0.9, c['bbox_label'], c['attributes'])
        for c in cells
    ]
    metrics = evaluate([data_sample(cells, found)])
    undefined = {'lld/bbox_mAP_s', 'lld/bbox_mAP_l'}
    for key, value in metrics.items():
        if key in undefined:
            assert math.isnan(value)
        else:
            expected = 2 if '_support' in key else 1
            assert value == pytest.approx(expected), key
    lines = '\n'.join(tables).splitlines()
    rows = [line.replace('|', ' ').split() for line in lines]
    assert ['nuclear_shape', '2', '2', *['1.000'] * 6] in rows
    assert ['mean', '-', '-', *['1.000'] * 6] in rows


def test_names_of_the_keys():
    metrics = evaluate(
        [data_sample([cell(BOX_A)], [detection(BOX_A)])], classwise=True
    )
    names = ('cell_size', 'nuclear_shape')
    scores = (
        'accuracy',
        'balanced_accuracy',
        'macro_f1',
        'ap',
        'support',
        'macro_f1_e2e',
        'support_e2e',
    )
    assert set(metrics) == {
        *BOX_KEYS,
        *AGNOSTIC_KEYS,
        *(f'lld/bbox_AP_{name}' for name in CLASSES),
        *(f'lld/attr_{name}_{score}' for name in names for score in scores),
        *(f'lld/attr_{s}' for s in scores if not s.startswith('support')),
        *(f'lld/attridet_{name}_f1' for name in names),
        'lld/attridet_attr_f1',
    }
    # MMEngine's log of a test loses anything else, NumPy's integers too.
    assert all(type(value) is float for value in metrics.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_mmdets_coco_metric_on_plain_data(seed):
    samples = random_samples(seed, ignored=False)
    # One cell and one detection at least: CocoMetric stops without.
    samples.append(
        data_sample([cell(BOX_A)], [detection(BOX_A, 0.5)], name='9.png')
    )
    for index, sample in enumerate(samples):
        sample.set_metainfo(dict(img_id=index))
    ours = evaluate(samples)
    theirs = evaluate(samples, metric=CocoMetric())
    for key in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'):
        value = ours[f'lld/bbox_{key}']
        # CocoMetric rounds, and writes -1 for what is undefined.
        expected = theirs[f'coco/bbox_{key}']
        assert (-1 if math.isnan(value) else value) == pytest.approx(
            expected, abs=5.001e-4
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_detections_count_unless_they_lie_in_unannotated_area(seed):
    samples = random_samples(seed)
    rng = np.random.default_rng(seed)
    plain = evaluate(samples)
    sparse = copy.deepcopy(samples)
    for sample in sparse:
        # All that was there lies above and left of 400: only what is
        # detected now lies outside the region, in any class.
        extra = data_sample(
            detections=[
                detection(
                    (420 + x, 420 + y, 450 + x, 450 + y),
                    float(rng.uniform()),
                    int(rng.integers(3)),
                )
                for x, y in rng.uniform(0, 100, (4, 2)).tolist()
            ]
        )
        sample.pred_instances = InstanceData.cat(
            [sample.pred_instances, extra.pred_instances]
        )
        sample.set_metainfo(
            dict(ori_shape=(600, 600), annotated_regions=[[0, 0, 400, 400]])
        )
    # But for the authors' protocol, in which any detection may match a cell.
    kept = [key for key in plain if not key.startswith('lld/attridet')]
    scored = evaluate(sparse)
    assert_same(
        {key: scored[key] for key in kept}, {key: plain[key] for key in kept}
    )


def test_unannotated_area_is_charged_for_nothing_but_a_region_is():
    cells = [cell(BOX_A)]
    found = [detection(BOX_B, 0.95), detection(BOX_A, 0.9)]
    regions = [[0, 0, 90, 400]]
    assert evaluate([data_sample(cells, found)])['lld/bbox_mAP'] == (
        pytest.approx(0.5)
    )
    sparse = evaluate([data_sample(cells, found, regions)])
    assert sparse['lld/bbox_mAP'] == pytest.approx(1)
    assert sparse['lld/attr_macro_f1_e2e'] == pytest.approx(1)


def test_a_cell_outside_the_regions_that_is_labelled_counts():
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)], regions=[])
    metrics = evaluate([sample])
    assert metrics['lld/bbox_mAP'] == pytest.approx(1)
    assert metrics['lld/attr_cell_size_support'] == 1


@pytest.mark.parametrize('label', range(3))
def test_an_ignored_cell_is_unknown_area_for_every_class(label):
    cells = [cell(BOX_A), cell(BOX_B, 0, (-1, -1), ignore=1)]
    found = [detection(BOX_B, 0.95, label), detection(BOX_A, 0.9)]
    metrics = evaluate([data_sample(cells, found)])
    assert metrics['lld/bbox_mAP'] == pytest.approx(1)
    assert metrics['lld/attr_macro_f1_e2e'] == pytest.approx(1)
    # Nor is it missed: without the detection nothing changes.
    assert_same(evaluate([data_sample(cells, found[1:])]), metrics)


def test_attributes_by_hand():
    cells = [
        cell(BOX_A, 1, (0, 0)),
        cell(BOX_B, 2, (2, 1)),
        cell((200, 200, 260, 260), 0, (-1, -1)),
        cell((300, 300, 360, 360), 1, (2, 1)),
    ]
    found = [
        detection(BOX_A, 0.9, 1, (0, 1)),
        detection(BOX_A, 0.8, 2, (1, 0)),  # a second one on the same cell
        detection(BOX_B, 0.2, 1, (2, 1)),  # wrong class, below score_thr
        detection((200, 200, 260, 260), 0.9, 0, (1, 1)),  # codes not known
        detection((300, 210, 360, 250), 0.9, 1, (2, 0)),  # no cell
    ]
    metrics = evaluate([data_sample(cells, found)])
    expected = {
        # Pairs: A and B. Size 0 as 0 and 2 as 2.
        'attr_cell_size_support': 2,
        'attr_cell_size_accuracy': 1,
        'attr_cell_size_macro_f1': 1,
        'attr_cell_size_ap': 1,
        # Shape 0 as 1, 1 as 1: value 0 scores 0, value 1 scores 2/3.
        'attr_nuclear_shape_support': 2,
        'attr_nuclear_shape_accuracy': 1 / 2,
        'attr_nuclear_shape_balanced_accuracy': 1 / 2,
        'attr_nuclear_shape_macro_f1': 1 / 3,
        'attr_macro_f1': (1 + 1 / 3) / 2,
        'attr_accuracy': 3 / 4,
        # Above 0.3 only A is found, and two detections are false: sizes 1
        # and 2, shapes 0 and 0. Size 0: 1 right. Size 2: 2 missed, 1 false.
        'attr_cell_size_support_e2e': 3,
        'attr_cell_size_macro_f1_e2e': (1 + 0) / 2,
        # Shape 0: taken for 1, and 2 false. Shape 1: 2 missed, 1 false.
        'attr_nuclear_shape_macro_f1_e2e': 0,
        'attr_macro_f1_e2e': 1 / 4,
        # The fourth cell is touched by none and gets the best score, A's.
        # Sizes 0, 2, 2 as 0, 2, 0: 2/3 and 2/3; three values, so macro.
        'attridet_cell_size_f1': 2 / 3,
        # Shapes 0, 1, 1 as 1, 1, 1: binary 4/5.
        'attridet_nuclear_shape_f1': 4 / 5,
        'attridet_attr_f1': (2 / 3 + 4 / 5) / 2,
    }
    for key, value in expected.items():
        assert metrics[f'lld/{key}'] == pytest.approx(value), key


def profile(counts, classes=CLASSES, schema=SCHEMA):
    return TypeProfile(classes, schema, counts).to_dict()


# Neutrophils are mostly large, lymphocytes small; no shape is known.
SIZES = [[0, 0, 0], [1, 0, 4], [3, 0, 2]]
NO_SHAPES = [[0, 0], [0, 0], [0, 0]]


def test_the_majority_of_the_type_by_hand(monkeypatch):
    tables = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'info', tables.append)
    boxes = [(x, 10, x + 40, 60) for x in range(0, 300, 60)]
    truth = [(1, 2), (1, 0), (2, 0), (0, 2), (1, 2)]
    cells = [
        cell(box, label, (size, 1)) for box, (label, size) in zip(boxes, truth)
    ]
    # The detected type doesn't matter, and the last cell is not found.
    found = [detection(box, 0.2, 0, (1, 0)) for box in boxes[:-1]]
    counts = dict(cell_size=SIZES, nuclear_shape=NO_SHAPES)
    metrics = evaluate(
        [data_sample(cells, found)],
        dict(META, type_profile=profile(counts)),
    )
    # True 2, 0, 0, 2; the majority 2, 2, 0, 2: of all cells where the type
    # has none. F1 of 0: 2/3, of 2: 4/5.
    expected = {
        'attr_cell_size_accuracy_type_majority': 3 / 4,
        'attr_cell_size_macro_f1_type_majority': (2 / 3 + 4 / 5) / 2,
        'attr_accuracy_type_majority': 3 / 4,
        'attr_macro_f1_type_majority': (2 / 3 + 4 / 5) / 2,
    }
    for key, value in expected.items():
        assert metrics[f'lld/{key}'] == pytest.approx(value), key
    for key in ('accuracy', 'macro_f1'):
        score = metrics[f'lld/attr_nuclear_shape_{key}_type_majority']
        assert math.isnan(score)
    lines = '\n'.join(tables).splitlines()
    (row,) = (line for line in lines if line.startswith('| cell_size'))
    assert row.split('|')[4:6] == [' 0.000    ', ' 0.750         ']
    assert 'majority F1' in '\n'.join(tables)


@pytest.mark.parametrize(
    'meta, reason',
    [
        ({}, 'TypeProfileHook is not among'),
        (dict(type_profile=None), 'neither this training nor'),
        (
            dict(
                type_profile=profile(
                    dict(cell_size=SIZES[:2], nuclear_shape=NO_SHAPES[:2]),
                    ('neutrophil', 'none'),
                )
            ),
            r"the classes \('neutrophil', 'none'\)",
        ),
        (
            dict(
                type_profile=profile(
                    dict(cell_size=SIZES),
                    schema=AttributeSchema(ATTRIBUTES[:1]),
                )
            ),
            r"attributes \[\('cell_size', \('small', 'medium', 'large'\)\)\],",
        ),
    ],
)
def test_without_a_fitting_profile_the_log_says_why(monkeypatch, meta, reason):
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'info', lines.append)
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)])
    metrics = evaluate([sample], dict(META, **meta))
    assert not [key for key in metrics if 'majority' in key]
    assert re.search(reason, '\n'.join(lines))
    assert 'majority acc.' not in '\n'.join(lines)


def test_more_boxes_buy_no_better_end_to_end_score():
    cells = [cell(BOX_A, 1, (0, 0))]
    sample = data_sample(cells, [detection(BOX_A)])
    flooded = data_sample(
        cells,
        [detection(BOX_A)]
        + [detection((x, 200, x + 40, 240)) for x in range(0, 350, 50)],
    )
    key = 'lld/attr_macro_f1_e2e'
    assert evaluate([sample])[key] == 1
    assert evaluate([flooded])[key] == pytest.approx(2 / 9)


def test_pairs_of_one_class_on_request():
    sample = data_sample([cell(BOX_A, 1)], [detection(BOX_A, label=2)])
    key = 'lld/attr_cell_size_support'
    assert evaluate([sample])[key] == 1
    assert evaluate([sample], match_class=True)[key] == 0


def test_a_value_of_no_schema_is_masked():
    # 4 is "not applicable" in the released files.
    sample = data_sample([cell(BOX_A, codes=(4, 2))], [detection(BOX_A)])
    metrics = evaluate([sample])
    assert metrics['lld/attr_cell_size_support'] == 0
    assert math.isnan(metrics['lld/attr_nuclear_shape_macro_f1'])
    assert math.isnan(metrics['lld/attr_macro_f1'])
    assert math.isnan(metrics['lld/attr_macro_f1_e2e'])


def test_the_mean_leaves_out_an_attribute_without_support():
    cells = [cell(BOX_A, codes=(0, -1)), cell(BOX_B, codes=(1, -1))]
    found = [detection(c['bbox'], codes=(0, 0)) for c in cells]
    metrics = evaluate([data_sample(cells, found)])
    assert metrics['lld/attr_macro_f1'] == pytest.approx(1 / 3)
    assert metrics['lld/attr_macro_f1_e2e'] == pytest.approx(1 / 3)


def test_a_detector_without_attributes_gets_the_box_scores():
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)], fields=False)
    metrics = evaluate([sample])
    assert sorted(metrics) == sorted(BOX_KEYS + AGNOSTIC_KEYS)
    assert metrics['lld/bbox_mAP'] == pytest.approx(1)


def test_a_dataset_without_attributes_gets_the_box_scores():
    instance = cell(BOX_A)
    del instance['attributes']
    sample = data_sample([instance], [detection(BOX_A)])
    metrics = evaluate([sample], meta=dict(classes=CLASSES))
    assert sorted(metrics) == sorted(BOX_KEYS + AGNOSTIC_KEYS)
    assert metrics['lld/bbox_mAP'] == pytest.approx(1)


def test_a_head_without_probabilities_gets_no_ap():
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)])
    del sample.pred_instances.attribute_probs
    metrics = evaluate([sample])
    assert not [key for key in metrics if key.endswith('_ap')]
    assert metrics['lld/attr_macro_f1'] == 1


def test_no_detections():
    metrics = evaluate([data_sample([cell(BOX_A)])])
    assert metrics['lld/bbox_mAP'] == 0
    assert metrics['lld/attr_cell_size_support'] == 0
    assert metrics['lld/attr_cell_size_support_e2e'] == 1
    assert math.isnan(metrics['lld/attr_macro_f1'])
    assert metrics['lld/attr_macro_f1_e2e'] == 0


def test_no_cells():
    metrics = evaluate([data_sample([], [detection(BOX_A)])])
    assert math.isnan(metrics['lld/bbox_mAP'])
    assert math.isnan(metrics['lld/attr_macro_f1'])
    assert metrics['lld/attr_nuclear_shape_support_e2e'] == 0


def test_an_empty_image_may_lack_the_attribute_fields():
    full = data_sample([cell(BOX_A)], [detection(BOX_A)])
    empty = data_sample(name='b.png', fields=False)
    assert evaluate([full, empty])['lld/attr_macro_f1'] == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms())
def test_the_order_of_images_changes_nothing(seed, random):
    samples = random_samples(seed)
    shuffled = random.sample(samples, len(samples))
    assert_same(evaluate(shuffled), evaluate(samples))


def test_save_json(tmp_path):
    path = tmp_path / 'numbers.json'
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)])
    metrics = evaluate([sample], save_json=str(path))
    saved = json.loads(path.read_text())
    assert saved.keys() == metrics.keys()
    assert saved['lld/bbox_mAP'] == pytest.approx(1)
    # No large cell there is: undefined.
    assert saved['lld/bbox_mAP_l'] is None


@pytest.mark.parametrize('key', ['instances', 'annotated_regions'])
def test_truth_that_was_not_packed_is_named(key):
    sample = data_sample([cell(BOX_A)], [detection(BOX_A)]).to_dict()
    del sample[key]
    with pytest.raises(KeyError, match=f'{key}.*a.png.*meta_keys'):
        LLDMetric().process({}, [sample])


def test_a_diverged_model_is_named():
    sample = data_sample([], [detection(BOX_A, float('nan'))])
    with pytest.raises(ValueError, match='scores.*a.png.*not finite'):
        LLDMetric().process({}, [sample.to_dict()])


@pytest.mark.parametrize(
    'sample, message',
    [
        (
            data_sample([], [detection(BOX_A, label=3)]),
            r'labels predicted for a.png lie in \[3, 3\], expected .* 3:',
        ),
        (
            data_sample([cell(BOX_A, label=-1)]),
            r'gt_labels of a.png lie in \[-1, -1\], expected .* 3:',
        ),
    ],
)
def test_labels_beyond_the_classes_are_named(sample, message):
    with pytest.raises(ValueError, match=message):
        evaluate([sample])


def test_attributes_that_do_not_fit_are_named():
    sample = data_sample([], [detection(BOX_A, codes=(2, 1))])
    short = dict(META, attributes=ATTRIBUTES[:1])
    with pytest.raises(ValueError, match=r'a.png have the shape \(1, 2\)'):
        evaluate([sample], meta=short)
    sample.pred_instances.attribute_labels[0, 1] = -1
    with pytest.raises(ValueError, match='a.png lie in .-1, 2.'):
        evaluate([sample])


def test_fields_that_only_some_detections_have_are_named():
    with_fields = data_sample([], [detection(BOX_A)])
    without = data_sample([], [detection(BOX_A)], name='b.png', fields=False)
    with pytest.raises(ValueError, match='b.png have no attribute_labels'):
        evaluate([with_fields, without])


@pytest.mark.parametrize(
    'argument, value',
    [
        ('iou_thr', 0),
        ('ignore_iof_thr', 1.5),
        ('score_thr', -0.1),
        ('max_dets', 0),
    ],
)
def test_arguments_out_of_range_are_named(argument, value):
    with pytest.raises(ValueError, match=f'{argument} is {value}'):
        LLDMetric(**{argument: value})


PROFILED = dict(
    META,
    type_profile=profile(dict(cell_size=SIZES, nuclear_shape=NO_SHAPES)),
)


def evaluate_share(rank, seed, folder):
    """Score every second image, as a process of a distributed run does."""
    samples = random_samples(seed, count=5)
    # The last process repeats an image to fill its share, as MMEngine's
    # sampler does.
    share = samples[rank::2] + (samples[:1] if rank else [])
    metric = LLDMetric(collect_dir=f'{folder}/collect')
    metric.dataset_meta = PROFILED
    for sample in share:
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(samples))


@pytest.mark.slow
def test_two_processes_get_what_one_gets(tmp_path):
    ranks = run_processes(evaluate_share, 2, tmp_path, 7, str(tmp_path))
    expected = evaluate(random_samples(7, count=5), PROFILED)
    assert expected['lld/bbox_mAP'] > 0
    assert expected['lld/attr_macro_f1_type_majority'] > 0
    for metrics in ranks:
        assert_same(metrics, expected)
