# Copyright (c) mmleuk authors. All rights reserved.
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from mmleuk.datasets import splitting
from mmleuk.datasets.splitting import (
    Group,
    group_by_patient,
    imbalance,
    split_groups,
    take_part,
)
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema


def dataset(files, cells=()):
    """Labels; a cell is (number of its file, class, other keys)."""
    return dict(
        images=[dict(id=i, file_name=name) for i, name in enumerate(files)],
        annotations=[
            dict(id=i, image_id=image, category_id=category, **more)
            for i, (image, category, more) in enumerate(cells)
        ],
        categories=[dict(id=i, name=f'c{i}') for i in range(4)],
    )


def test_groups_are_patients():
    files = ['4_1_1000_ALL.png', '04_2_1000_ALL.png', 'sub/5_1_1000_AML.png']
    files += ['x.png', 'X.png']
    groups = group_by_patient(
        dataset(
            files,
            [
                (0, 1, dict(cell_size=2, nuclear_chromatio=0)),
                (1, 1, dict(nucleolus=4, attributes=dict(cell_size=0))),
                (1, 2, dict(iscrowd=1, cell_size=1)),
                (3, 3, dict(cell_size='1', nucleolus=True)),
                (99, 1, {}),
                (4, 77, {}),
            ],
        ),
        AttributeSchema(LLD_ATTRIBUTES),
    )
    assert {group.name: (group.files, group.known) for group in groups} == {
        '4': ((files[1], files[0]), True),
        '5': ((files[2],), True),
        'x.png': (('x.png',), False),
        'X.png': (('X.png',), False),
    }
    counts = {group.name: group.counts for group in groups}
    assert counts['4'] == {
        'images': 2,
        'class c1': 2,
        'cell_size large': 1,
        'cell_size small': 1,
        'nuclear_chromatin open': 1,
    }
    assert counts['5'] == {'images': 1}
    # Codes are those that the readers read.
    assert counts['x.png'] == {
        'images': 1,
        'class c3': 1,
        'cell_size medium': 1,
    }


def test_images_without_a_patient_stand_alone():
    # Names that differ by casing, or are a patient's, do not meet.
    files = ['x.png', 'X.png', '4', '4_1_1000_ALL.png']
    groups = group_by_patient(dataset(files))
    assert sorted(group.files for group in groups) == sorted(
        (name,) for name in files
    )
    assert [group.name for group in groups if group.known] == ['4']


def test_patients_of_a_table():
    files = ['a.png', 'b.png', 'c.png']
    patients = {'a.png': 'P7', 'b.png': ' p7', 'c.png': '12'}
    groups = group_by_patient(dataset(files), patients=patients)
    assert [group.files for group in groups] == [('c.png',), tuple(files[:2])]
    assert all(group.known for group in groups)
    del patients['b.png']
    with pytest.raises(ValueError, match='1 of 3 images .* such as b.png'):
        group_by_patient(dataset(files), patients=patients)


@pytest.mark.parametrize(
    'image, message',
    [
        (dict(id=0, file_name='b.png'), 'the image id 0 stands for'),
        (dict(id=1), 'image entry 1 has the id 1 and the file_name None'),
        (dict(id=[], file_name='b.png'), 'image entry 1'),
    ],
)
def test_images_that_are_unclear(image, message):
    content = dataset(['a.png'])
    content['images'].append(image)
    with pytest.raises(ValueError, match=message):
        group_by_patient(content)


def random_groups(rng, number, classes=6):
    groups = []
    for index in range(number):
        types = rng.multinomial(
            rng.integers(5, 60), rng.dirichlet([0.2] * classes)
        )
        counts = {f'class {i}': int(n) for i, n in enumerate(types) if n}
        groups.append(
            Group(str(index), (f'{index}.png',), dict(counts, images=3))
        )
    return groups


def to_counts(groups):
    things = sorted(set().union(*(group.counts for group in groups)))
    return np.array(
        [[group.counts.get(thing, 0) for thing in things] for group in groups]
    )


def test_imbalance():
    counts = np.array([[4, 0], [4, 2], [8, 2]])
    halves = np.array([0.5, 0.5])
    # Of the first thing 8 of 16 in each part, of the second 2 of 4.
    assert imbalance(counts, np.array([0, 0, 1]), halves) == 0
    # 4 | 12 of 16, 0 | 4 of 4.
    expected = 2 * (0.25**2 + 0.5**2)
    assert imbalance(counts, np.array([0, 1, 1]), halves) == expected


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    number=st.integers(3, 40),
    shares=st.lists(st.integers(1, 8), min_size=2, max_size=5),
    split_seed=st.integers(0, 5),
)
def test_every_group_has_a_part_and_every_part_a_group(
    seed, number, shares, split_seed
):
    groups = random_groups(np.random.default_rng(seed), number)
    shares = [share / sum(shares) for share in shares]
    if number < len(shares):
        with pytest.raises(ValueError, match=f'got {number} patients'):
            split_groups(groups, shares)
        return
    parts = split_groups(groups, shares, split_seed)
    assert len(parts) == number
    assert set(parts) == set(range(len(shares)))
    assert split_groups(groups, shares, split_seed) == parts
    # No move of one group to another part helps.
    counts, wanted = to_counts(groups), np.array(shares)
    best = imbalance(counts, np.array(parts), wanted)
    for group, part in itertools.product(range(number), range(len(shares))):
        moved = np.array(parts)
        moved[group] = part
        if len(set(moved.tolist())) == len(shares):
            assert imbalance(counts, moved, wanted) >= best - 1e-9


@pytest.mark.parametrize('seed', range(3))
def test_few_groups_are_split_exactly(seed, monkeypatch):
    groups = random_groups(np.random.default_rng(seed), 7)
    counts, wanted = to_counts(groups), np.array([0.6, 0.25, 0.15])
    least = min(
        imbalance(counts, np.array(parts), wanted)
        for parts in itertools.product(range(3), repeat=7)
        if len(set(parts)) == 3
    )
    parts = split_groups(groups, wanted, seed)
    assert imbalance(counts, np.array(parts), wanted) == pytest.approx(least)
    # The search comes near to it.
    monkeypatch.setattr(splitting, 'MAX_EXACT', 0)
    parts = split_groups(groups, wanted, seed)
    assert imbalance(counts, np.array(parts), wanted) <= 1.1 * least


@pytest.mark.parametrize('seed', range(3))
def test_folds_are_better_balanced_than_those_of_scikit_learn(seed):
    groups = random_groups(np.random.default_rng(seed), 48, classes=14)
    counts, wanted = to_counts(groups), np.full(5, 0.2)
    labels, owners = [], []
    for index, group in enumerate(groups):
        for name, number in group.counts.items():
            if name != 'images':
                labels += [name] * number
                owners += [index] * number
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    theirs = np.zeros(48, dtype=int)
    for fold, (_, test) in enumerate(folds.split(labels, labels, owners)):
        theirs[np.unique(np.array(owners)[test])] = fold
    ours = np.array(split_groups(groups, wanted, seed))
    assert imbalance(counts, ours, wanted) < 0.8 * imbalance(
        counts, theirs, wanted
    )


def test_a_rare_class_goes_to_every_part():
    # Two of forty patients have it, and much else speaks for one part.
    groups = [
        Group(str(i), (f'{i}.png',), {'images': 1, 'class a': 10})
        for i in range(38)
    ]
    groups += [
        Group(name, (f'{name}.png',), {'images': 1, 'class rare': 1})
        for name in 'xy'
    ]
    parts = split_groups(groups, [0.5, 0.5])
    assert set(parts[-2:]) == {0, 1}


@pytest.mark.parametrize(
    'shares', [[1.0], [0.5, 0.6], [1.2, -0.2], [0.5, float('nan')], [1, 0]]
)
def test_shares_are_checked(shares):
    groups = random_groups(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match='whose sum is 1'):
        split_groups(groups, shares)


def test_take_part_keeps_records_as_they_are():
    content = dataset(['a.png', 'b.png'], [(0, 1, {}), (1, 2, dict(odd=[3]))])
    content['annotations'].append(dict(id=9, image_id=[0]))
    content['info'] = dict(year=2024)
    part = take_part(content, ['b.png'])
    assert part['images'] == content['images'][1:]
    assert part['annotations'] == content['annotations'][1:2]
    assert part['annotations'][0] is content['annotations'][1]
    assert part['info'] == content['info']
    assert len(content['images']) == 2
