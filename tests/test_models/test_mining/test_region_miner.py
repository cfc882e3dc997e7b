# Copyright (c) mmleuk authors. All rights reserved.
import copy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmleuk.models.mining import RegionMiner
from mmleuk.registry import MODELS
from mmleuk.structures import CANDIDATE, MISSING, UNANNOTATED

SCHEMA = [
    dict(name='size', values=('small', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
SIZE = 200
REGION = [0.0, 0, 100, 200]


def cell(x, y, label=0, ignore=0, attributes=(0, 1), side=20):
    return dict(
        bbox=[x, y, x + side, y + side],
        bbox_label=label,
        ignore_flag=ignore,
        attributes=attributes,
    )


def detections(rows):
    """Rows: x, y, label, score, and the codes of the attributes."""
    rows = [(*row, 0, 1)[:6] for row in rows]
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return InstanceData(
        bboxes=torch.cat([table[:, :2], table[:, :2] + 20], dim=1),
        labels=table[:, 2].long(),
        scores=table[:, 3],
        attribute_labels=table[:, 4:].long(),
        attribute_scores=torch.full((len(table), 2), 0.8),
    )


def looked_at(rows, instances=(), regions=(REGION,), path='a.png'):
    sample = DetDataSample(
        metainfo=dict(
            img_path=path,
            ori_shape=(SIZE, SIZE),
            instances=list(instances),
            annotated_regions=None if regions is None else list(regions),
        )
    )
    sample.pred_instances = detections(rows)
    return sample


def view(matrix=None, path='a.png', boxes=(), **metainfo):
    matrix = np.eye(3) if matrix is None else np.asarray(matrix)
    sample = DetDataSample(
        metainfo=dict(
            img_path=path,
            img_shape=(SIZE, SIZE),
            field_matrix=np.diag([1 / SIZE, 1 / SIZE, 1]) @ matrix,
            **metainfo,
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4).float(),
        labels=torch.zeros(len(boxes)).long(),
        attributes=torch.zeros(len(boxes), 2).long(),
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.tensor([[100.0, 0, 200, 200]]),
        labels=torch.tensor([UNANNOTATED]),
        attributes=torch.full((1, 2), MISSING),
    )
    return sample


def make_miner(min_probability=0.5, **kwargs):
    return RegionMiner(
        num_classes=3,
        attributes=SCHEMA,
        min_probability=min_probability,
        **kwargs,
    )


def test_mined_by_score_alone():
    """Without held-out fields a score is a probability."""
    miner = make_miner(target_precision=0.9, attribute_precision=0.75)
    rows = [(120, 20, 1, 0.95, 1, 0), (150, 150, 2, 0.5), (10, 10, 0, 0.99)]
    miner.store(looked_at(rows), held_out=False)
    summary = miner.calibrate()
    assert (summary['mined'], summary['candidates']) == (1, 1)
    (sample,) = miner.label([view(boxes=[[40, 40, 60, 60]])])
    truth, ignored = sample.gt_instances, sample.ignored_instances
    assert truth.bboxes.tolist() == [[40, 40, 60, 60], [120, 20, 140, 40]]
    assert truth.labels.tolist() == [0, 1]
    assert truth.attributes.tolist() == [[0, 0], [1, 0]]
    assert truth.probs.tolist() == pytest.approx([1, 0.95])
    assert ignored.labels.tolist() == [UNANNOTATED, CANDIDATE]
    assert ignored.bboxes[1].tolist() == [150, 150, 170, 170]
    # Nothing is known of cells that the teacher does not see.
    assert ignored.probs.tolist() == [1, 0.5]


def test_views():
    miner = make_miner(target_precision=0.9)
    miner.store(looked_at([(120, 20, 1, 0.95), (150, 150, 2, 0.5)]), False)
    miner.calibrate()
    flip = [[-1, 0, SIZE], [0, 1, 0], [0, 0, 1]]
    (sample,) = miner.label([view(flip)])
    assert sample.gt_instances.bboxes.tolist() == [[60, 20, 80, 40]]
    half = np.diag([0.5, 0.5, 1])
    (sample,) = miner.label([view(half)])
    assert sample.gt_instances.bboxes.tolist() == [[60, 10, 70, 20]]
    # A quarter of the cell is left: nobody's. The other is out of sight.
    shift = [[1, 0, -130], [0, 1, -30], [0, 0, 1]]
    (sample,) = miner.label([view(shift)])
    assert len(sample.gt_instances) == 0
    ignored = sample.ignored_instances
    assert ignored.labels.tolist() == [UNANNOTATED, CANDIDATE, CANDIDATE]
    assert ignored.bboxes[1].tolist() == [0, 0, 10, 10]


def test_samples_without_an_entry_or_a_matrix_stay():
    miner = make_miner()
    miner.store(looked_at([(120, 20, 1, 0.99)]), False)
    miner.calibrate()
    mosaic = view(boxes=[[40, 40, 60, 60]])
    mosaic.set_metainfo(dict(field_matrix=None))
    for sample in miner.label([mosaic, view(path='b.png')]):
        assert 'probs' not in sample.ignored_instances
        assert (sample.gt_instances.probs == 1).all()
    assert len(mosaic.gt_instances) == 1


def test_samples_without_the_key_of_the_matrix_are_an_error():
    miner = make_miner()
    miner.store(looked_at([(120, 20, 1, 0.99)]), False)
    miner.calibrate()
    sample = DetDataSample(
        metainfo=dict(img_path='a.png', img_shape=(SIZE, SIZE)),
        gt_instances=view().gt_instances,
    )
    with pytest.raises(KeyError, match='a.png.*PackLLDInputs'):
        miner.label([sample])


def test_fields_that_are_annotated_as_a_whole_are_not_banked():
    miner = make_miner()
    miner.store(looked_at([(120, 20, 1, 0.99)], regions=None), False)
    assert len(miner.bank) == 0
    with pytest.raises(RuntimeError, match='bank of detections is empty'):
        miner.calibrate()


def test_labelled_cells_are_not_mined_again():
    """One that reaches over the border, and an ignored one."""
    miner = make_miner(target_precision=0.5)
    instances = [cell(88, 20), cell(150, 50, ignore=1)]
    rows = [(92, 20, 1, 0.99), (150, 50, 1, 0.99), (120, 120, 1, 0.99)]
    miner.store(looked_at(rows, instances), False)
    assert miner.calibrate()['mined'] == 1
    (sample,) = miner.label([view()])
    assert sample.gt_instances.bboxes.tolist() == [[120, 120, 140, 140]]
    assert CANDIDATE not in sample.ignored_instances.labels.tolist()


def test_nothing_is_mined_in_the_union_of_ignored_cells():
    # Each covers 30 % of the detection, both together more than half.
    instances = [
        cell(106, 50, ignore=1, side=20),
        cell(134, 50, ignore=1, side=20),
    ]
    miner = make_miner(target_precision=0.5)
    miner.store(looked_at([(120, 50, 1, 0.99)], instances), False)
    assert not miner.bank.get('a.png').is_outside.any()


def test_one_box_a_cell():
    miner = make_miner(target_precision=0.5)
    rows = [(120, 20, 1, 0.8), (121, 20, 2, 0.9), (160, 20, 1, 0.7)]
    miner.store(looked_at(rows), False)
    miner.calibrate()
    (sample,) = miner.label([view()])
    assert sorted(sample.gt_instances.labels.tolist()) == [1, 2]
    assert sample.gt_instances.bboxes[:, 0].tolist() == [121, 160]


def test_classes_of_one_place():
    rows = [
        (120, 20, 1, 0.5),
        (121, 20, 2, 0.4),  # the same place: IoU 0.9
        (120, 20, 0, 0.05),
        (128, 20, 0, 0.3),  # a part of the same cell: IoU 0.43
        (160, 20, 1, 0.7),
    ]
    miner = make_miner()
    miner.store(looked_at(rows), False)
    found = miner.bank.get('a.png')
    found = found[found.bboxes[:, 0].argsort()]
    assert found.bboxes[:, 0].tolist() == [120, 160]
    assert found.presence_scores.tolist() == pytest.approx([0.95, 0.7])
    assert found.class_scores[0].tolist() == pytest.approx([0.05, 0.5, 0.4])
    assert found.class_scores[1].tolist() == pytest.approx([0, 0.7, 0])


def test_calibrated_on_held_out_regions():
    miner = make_miner(hold_out=dict(share=0.5))
    instances = [
        cell(10, 10, label=0, attributes=(0, MISSING)),
        cell(40, 40, label=1),
        cell(60, 100, ignore=1),
        cell(10, 150, label=2),
    ]
    rows = [
        (11, 10, 0, 0.9, 0, 0),  # right
        (41, 40, 2, 0.8, 1, 1),  # a cell of another type
        (61, 100, 1, 0.7),  # an ignored one: not compared
        (70, 20, 1, 0.6),  # no cell
        (89, 150, 1, 0.5),  # too near to the border
        (150, 150, 1, 0.4),  # outside
    ]
    miner.store(looked_at(rows, instances), held_out=True)
    found = miner.bank.get('a.png')
    calibrating = found[found.is_calibrating]
    assert calibrating.scores.tolist() == pytest.approx([0.9, 0.8, 0.6])
    assert calibrating.true_labels.tolist() == [0, 1, -1]
    assert calibrating.true_attributes.tolist() == [
        [0, MISSING],
        [0, 1],
        [MISSING, MISSING],
    ]
    assert (found.num_cells, found.num_seen) == (3, 2)
    miner.calibrate()
    counts = miner.calibrators['cell_type'].counts.sum(dim=1)
    assert counts.tolist() == [[0, 1], [1, 0], [1, 0]]
    counts = miner.calibrators['presence'].counts.sum(dim=1)
    assert counts.tolist() == [[1, 2]]
    counts = miner.calibrators['attribute'].counts.sum(dim=1)
    assert counts.tolist() == [[1, 1], [0, 1]]
    # One and a half unseen cells in half a field, each 1 % of it.
    assert miner.unseen_probability.item() == pytest.approx(1.5 / 0.5 * 0.01)

    # Once the loss knows its labels, it calibrates no more.
    mean = miner.calibrators['cell_type'].mean.clone()
    miner.store(looked_at(rows, instances), held_out=False)
    miner.calibrate()
    assert not miner.bank.get('a.png').is_calibrating.any()
    assert torch.equal(miner.calibrators['cell_type'].mean, mean)


def world(rng, miner, num_fields, power=1.0):
    """Fields in which a detection is right with probability score ** power.

    Every field has detections inside and outside of its region; returns
    whether those outside are cells of their type.
    """
    truths = {}
    for number in range(num_fields):
        instances, rows, right = [], [], []
        for y in range(0, 180, 40):
            for x in (10, 50, 120, 160):
                score = rng.uniform(0.3, 0.99)
                is_right = rng.uniform() < score**power
                rows.append((x, y, 1, score, 0, 1))
                right.append(is_right)
                if is_right and x < 100:
                    instances.append(cell(x, y, label=1))
        path = f'{number}.png'
        truths[path] = rows, right
        sample = looked_at(rows, instances, path=path)
        miner.store(sample, held_out=number % 2 == 0)
    return truths


def test_mines_at_the_precision_that_was_asked_for():
    """Whatever a score is worth in this world."""
    for power in (0.3, 1.0, 4.0):
        rng = np.random.default_rng(0)
        miner = make_miner(
            hold_out=dict(share=0.5), target_precision=0.9, num_stds=0
        )
        truths = world(rng, miner, 200, power)
        summary = miner.calibrate()
        mined, right = 0, 0
        for path, (rows, is_right) in truths.items():
            (sample,) = miner.label([view(path=path, held_out=False)])
            places = {(x, y): r for (x, y, *_), r in zip(rows, is_right)}
            for box in sample.gt_instances.bboxes.tolist():
                mined += 1
                right += places[tuple(box[:2])]
        assert mined == summary['mined'] > 20
        assert summary['estimated_precision'] == pytest.approx(0.9, abs=0.01)
        # Two standard deviations are for the luck of so few, the rest is for
        # curves that are not logistic.
        luck = 2 * (0.9 * 0.1 / mined) ** 0.5
        assert right / mined == pytest.approx(0.9, abs=luck + 0.04)


def test_sure_cells_make_up_for_doubtful_ones_of_their_type():
    rows = [
        (120, 20, 1, 0.99),
        (120, 60, 1, 0.95),
        (120, 100, 1, 0.82),
        (120, 140, 1, 0.4),
        (160, 20, 2, 0.89),
        (160, 60, 2, 0.8),
    ]
    miner = make_miner(target_precision=0.9, type_std=None)
    miner.store(looked_at(rows, []), held_out=False)
    summary = miner.calibrate()
    assert summary['mined'] == 3
    assert summary['estimated_precision'] == pytest.approx(0.92)
    (sample,) = miner.label([view()])
    assert sorted(sample.gt_instances.bboxes[:, 1].tolist()) == [20, 60, 100]
    assert set(sample.gt_instances.labels.tolist()) == {1}


def test_no_cell_is_mined_that_is_doubtful_by_itself():
    rows = [(120, y, 1, 0.99) for y in range(20, 120, 20)]
    rows.append((160, 20, 1, 0.75))
    miner = make_miner(
        min_probability=0.8, target_precision=0.8, type_std=None
    )
    miner.store(looked_at(rows, []), held_out=False)
    assert miner.calibrate()['mined'] == 5
    miner.min_probability = 0.7
    assert miner.calibrate()['mined'] == 6


def test_held_out_views_are_mined_all_over():
    miner = make_miner(
        hold_out=dict(share=1), target_precision=0.5, num_stds=0
    )
    miner.store(
        looked_at([(20, 20, 1, 0.9), (150, 150, 1, 0.9)], [cell(20, 20, 1)]),
        held_out=True,
    )
    miner.calibrate()
    (sample,) = miner.label([view(held_out=True)])
    assert len(sample.gt_instances) == 2
    # After their release, the label speaks where there is one.
    (sample,) = miner.label([view(held_out=False)])
    assert sample.gt_instances.bboxes[:, 0].tolist() == [150]


def test_a_bound_decides_and_moves_no_estimate():
    """Care about what is certain must not make other types likelier."""
    rows = [(120, 20, 1, 0.7), (121, 20, 2, 0.2), (160, 20, 1, 0.97)]
    entries = []
    for num_stds in (0, 0.5):
        miner = make_miner(hold_out=dict(share=0.5), num_stds=num_stds)
        miner.store(looked_at(rows), held_out=False)
        summary = miner.calibrate()
        entries.append(miner.bank.get('a.png'))
        # What only the estimate calls certain is so no more.
        assert summary['mined'] == (1 if num_stds == 0 else 0)
    free, bounded = entries
    torch.testing.assert_close(free.type_probs, bounded.type_probs)
    torch.testing.assert_close(free.types, bounded.types)
    torch.testing.assert_close(free.confidences, free.type_probs.amax(dim=1))
    assert (bounded.confidences < free.confidences).all()


@pytest.mark.parametrize('type_std', [None, 1.0])
def test_types_are_held_against_the_labelled_ones(type_std):
    """The teacher calls every cell outside a 1, where a half are labelled 2.

    Those that it is least sure of become 2.
    """
    miner = make_miner(target_precision=0.5, type_std=type_std)
    for number in range(40):
        score = 0.5 + 0.01 * number
        rows = [(120, 20, 1, score), (120, 20, 2, 0.95 - score)]
        instances = [cell(20, 20, label=1 + number % 2)]
        miner.store(looked_at(rows, instances, path=f'{number}.png'), False)
    summary = miner.calibrate()
    entries = [entry for _, entry in miner.bank.items()]
    types = torch.cat([entry.types for entry in entries])
    # What the teacher said stays, to be compared.
    assert all(entry.labels.tolist() == [1] for entry in entries)
    if type_std is None:
        assert summary['largest_type_offset'] == 0
        assert (types == 1).all()
        return
    assert summary['largest_type_offset'] > 0.2
    share = (types == 2).float().mean()
    assert 0.1 < share < 0.6
    scores = torch.cat([entry.scores for entry in entries])
    assert scores[types == 2].max() <= scores[types == 1].min()
    (sample,) = miner.label([view(path='0.png')])
    assert sample.gt_instances.labels.tolist() == [2]


@pytest.mark.parametrize('precision', [None, 0.5])
def test_attributes(precision):
    miner = make_miner(target_precision=0.5, attribute_precision=precision)
    miner.store(looked_at([(120, 20, 1, 0.9, 1, 0)]), False)
    miner.calibrate()
    (sample,) = miner.label([view()])
    expected = [[1, 0]] if precision else [[MISSING, MISSING]]
    assert sample.gt_instances.attributes.tolist() == expected


def test_background_can_stay_unknown():
    miner = make_miner(mine_background=False)
    miner.store(looked_at([(120, 20, 1, 0.5)]), False)
    miner.calibrate()
    (sample,) = miner.label([view()])
    assert 'probs' not in sample.ignored_instances
    assert sample.ignored_instances.labels.tolist() == [UNANNOTATED]


def test_teacher_without_attributes_and_without_detections():
    miner = make_miner(hold_out=dict(share=1), target_precision=0.5)
    sample = looked_at([(20, 20, 1, 0.9), (150, 150, 1, 0.9)], [cell(20, 20)])
    del sample.pred_instances.attribute_labels
    del sample.pred_instances.attribute_scores
    miner.store(sample, held_out=True)
    miner.store(looked_at([], [cell(20, 20)], path='b.png'), held_out=True)
    miner.store(looked_at([], regions=[], path='c.png'), held_out=True)
    miner.calibrate()
    assert miner.calibrators['attribute'].counts.sum() == 0
    for path in ('a.png', 'b.png', 'c.png'):
        (labelled,) = miner.label([view(path=path)])
        assert (labelled.gt_instances.attributes == MISSING).all()


def test_state_survives_a_checkpoint():
    miner = make_miner(hold_out=dict(share=0.5), target_precision=0.6)
    world(np.random.default_rng(0), miner, 10)
    miner.calibrate()
    other = MODELS.build(
        dict(
            type='mmleuk.RegionMiner',
            num_classes=3,
            attributes=SCHEMA,
            hold_out=dict(share=0.5),
            target_precision=0.6,
        )
    )
    other.load_state_dict(copy.deepcopy(miner.state_dict()))
    (one,) = miner.label([view(path='3.png')])
    (same,) = other.label([view(path='3.png')])
    assert len(one.gt_instances) > 0
    for key in ('gt_instances', 'ignored_instances'):
        for (_, a), (_, b) in zip(one.get(key).items(), same.get(key).items()):
            assert torch.equal(a, b)
