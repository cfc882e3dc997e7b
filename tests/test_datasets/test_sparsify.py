# Copyright (c) mmleuk authors. All rights reserved.
import copy
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.datasets.sparsify import PLACEMENTS, sparsify

ROOT = Path(__file__).parents[2]


def image(number, file_name=None, size=(640, 640), **kwargs):
    return dict(
        id=number,
        file_name=file_name or f'{number}.png',
        width=size[0],
        height=size[1],
        **kwargs,
    )


def cell(number, image_id, centre, size=(10, 10), **kwargs):
    return dict(
        id=number,
        image_id=image_id,
        category_id=1,
        bbox=[
            centre[0] - size[0] / 2,
            centre[1] - size[1] / 2,
            size[0],
            size[1],
        ],
        **kwargs,
    )


def dataset(images, annotations=()):
    return dict(
        info=dict(version=1),
        images=list(images),
        annotations=list(annotations),
        categories=[dict(id=1, name='myeloblast')],
    )


def clipped_centre(annotation, size):
    x, y, w, h = annotation['bbox']
    x1, x2 = np.clip([x, x + w], 0, size[0])
    y1, y2 = np.clip([y, y + h], 0, size[1])
    return (x1 + x2) / 2, (y1 + y2) / 2


def is_inside(point, region):
    x1, y1, x2, y2 = region
    return x1 <= point[0] <= x2 and y1 <= point[1] <= y2


def regions_of(labels):
    return [entry['annotated_regions'] for entry in labels['images']]


def one_field(regions_share, centres=(), size=(640, 640), **kwargs):
    """Regions of one image with cells at the given centres."""
    labels = dataset(
        [image(0, size=size)],
        [cell(i, 0, centre) for i, centre in enumerate(centres)],
    )
    return regions_of(sparsify(labels, regions_share, **kwargs))[0]


@st.composite
def labels(draw):
    """Several images, with cells over the edge among others."""
    images, annotations = [], []
    for number in range(draw(st.integers(1, 3))):
        size = draw(st.integers(120, 700)), draw(st.integers(120, 700))
        images.append(
            image(number, draw(st.text(max_size=3)) + f'{number}.png', size)
        )
        for _ in range(draw(st.integers(0, 6))):
            annotations.append(
                cell(
                    len(annotations),
                    number,
                    [draw(st.floats(0, side)) for side in size],
                    draw(st.tuples(st.floats(1, 90), st.floats(1, 90))),
                    iscrowd=draw(st.integers(0, 1)),
                )
            )
    return dataset(images, draw(st.permutations(annotations)))


# (0.1, 10) fits for any share of any part of the images above; the others do
# for small shares.
SETTINGS = st.fixed_dictionaries(
    dict(
        num_regions=st.integers(1, 5),
        placement=st.sampled_from(PLACEMENTS),
        aspect_range=st.sampled_from([(0.1, 10), (0.1, 1), (1, 10)]),
        seed=st.integers(0, 5),
    )
)
SMALL_SHARE = st.floats(0.01, 0.05)
ANY_SHARE = st.floats(0.01, 0.99)


@settings(max_examples=150, deadline=None)
@given(labels(), SMALL_SHARE, SETTINGS)
def test_kept_are_the_cells_with_their_centre_inside(full, share, options):
    before = copy.deepcopy(full)
    sparse = sparsify(full, share, **options)
    assert full == before
    regions = dict(enumerate(regions_of(sparse)))
    sizes = [(entry['width'], entry['height']) for entry in full['images']]
    expected = [
        annotation
        for annotation in full['annotations']
        if any(
            is_inside(
                clipped_centre(annotation, sizes[annotation['image_id']]),
                region,
            )
            for region in regions[annotation['image_id']]
        )
    ]
    assert sparse['annotations'] == expected
    # All else stays, in its order.
    assert list(sparse) == list(full)
    assert sparse['info'] == full['info']
    assert sparse['categories'] == full['categories']
    bare = [
        {key: entry[key] for key in entry if key != 'annotated_regions'}
        for entry in sparse['images']
    ]
    assert bare == full['images']


@settings(max_examples=200, deadline=None)
@given(labels(), ANY_SHARE, SETTINGS)
def test_regions_have_their_area_inside_the_image(full, share, options):
    options['aspect_range'] = (0.1, 10)
    for entry in sparsify(full, share, **options)['images']:
        regions = entry['annotated_regions']
        assert len(regions) == options['num_regions']
        bound = 0
        mask = np.zeros((entry['height'], entry['width']), int)
        for region in regions:
            assert all(type(value) is int for value in region)
            x1, y1, x2, y2 = region
            assert 0 <= x1 < x2 <= entry['width']
            assert 0 <= y1 < y2 <= entry['height']
            mask[y1:y2, x1:x2] += 1
            bound += (x2 - x1 + y2 - y1) / 2 + 0.75
        assert mask.max() == 1  # no overlap
        assert abs(mask.sum() - share * mask.size) <= bound


@settings(max_examples=200, deadline=None)
@given(labels(), ANY_SHARE, ANY_SHARE, SETTINGS)
def test_smaller_shares_are_nested_in_larger_ones(full, one, other, options):
    options['aspect_range'] = (0.1, 10)
    small, large = (
        sparsify(full, share, **options) for share in sorted([one, other])
    )
    for inner, outer in zip(regions_of(small), regions_of(large)):
        for (x1, y1, x2, y2), (u1, v1, u2, v2) in zip(inner, outer):
            assert u1 <= x1 < x2 <= u2
            assert v1 <= y1 < y2 <= v2
    kept = [annotation['id'] for annotation in large['annotations']]
    assert {a['id'] for a in small['annotations']} <= set(kept)


def test_growing_by_single_pixels_stays_nested():
    # Neighbouring shares are where rounding would push an edge inwards.
    cells = [(11.3, 50.0), (64.0, 0.0), (37.0, 47.9)]
    for placement in PLACEMENTS:
        for seed in range(8):
            previous = None
            for share in np.linspace(0.01, 0.99, 500):
                region = one_field(
                    share,
                    cells,
                    (64, 48),
                    placement=placement,
                    seed=seed,
                    aspect_range=(0.1, 10),
                )[0]
                if previous is not None:
                    assert (np.array(region[:2]) <= previous[:2]).all()
                    assert (np.array(region[2:]) >= previous[2:]).all()
                previous = region


@settings(max_examples=100, deadline=None)
@given(labels(), SMALL_SHARE, SETTINGS, st.randoms(use_true_random=False))
def test_an_image_does_not_depend_on_the_others(full, share, options, random):
    expected = sparsify(full, share, **options)
    assert sparsify(full, share, **options) == expected
    kept = {
        entry['file_name']: [
            a for a in expected['annotations'] if a['image_id'] == entry['id']
        ]
        for entry in expected['images']
    }
    for entry, done in zip(full['images'], expected['images']):
        own = [a for a in full['annotations'] if a['image_id'] == entry['id']]
        random.shuffle(own)
        # Another id, other annotation order, another image beside it.
        alone = dataset(
            [image(7, 'another.png'), {**entry, 'id': 99}],
            [{**annotation, 'image_id': 99} for annotation in own],
        )
        sparse = sparsify(alone, share, **options)
        assert sparse['images'][1] == {**done, 'id': 99}
        ids = sorted(a['id'] for a in sparse['annotations'])
        assert ids == sorted(a['id'] for a in kept[entry['file_name']])


@settings(max_examples=150, deadline=None)
@given(labels(), ANY_SHARE, SETTINGS)
def test_placed_by_cells_each_part_holds_one_if_it_has_one(
    full, share, options
):
    options.update(placement='cells', aspect_range=(0.1, 10))
    for annotation in full['annotations']:
        annotation['iscrowd'] = 0
    sparse = sparsify(full, share, **options)
    almost_all = sparsify(full, 0.9999999, **options)  # the parts themselves
    for entry, parts in zip(sparse['images'], regions_of(almost_all)):
        size = entry['width'], entry['height']
        centres = [
            clipped_centre(annotation, size)
            for annotation in full['annotations']
            if annotation['image_id'] == entry['id']
        ]
        for region, part in zip(entry['annotated_regions'], parts):
            has_cell = any(is_inside(centre, part) for centre in centres)
            holds_one = any(is_inside(centre, region) for centre in centres)
            assert holds_one == has_cell


def test_ignored_cells_attract_no_region():
    crowd = cell(0, 0, (600, 600), iscrowd=1)
    other = cell(1, 0, (40, 40), iscrowd=0)
    for seed in range(20):
        sparse = sparsify(
            dataset([image(0)], [crowd, other]),
            0.02,
            placement='cells',
            seed=seed,
        )
        assert sparse['annotations'] == [other]


def test_ignored_cells_follow_the_same_rule():
    inside = cell(0, 0, (320, 320), iscrowd=1)
    outside = cell(1, 0, (5, 5), iscrowd=1)
    full = dataset([image(0)], [inside, outside])
    sparse = sparsify(full, 0.2, placement='center')
    assert sparse['annotations'] == [inside]


def test_random_places_and_aspects_are_spread_evenly():
    regions = np.array([one_field(0.1, seed=seed) for seed in range(2000)])
    x1, y1, x2, y2 = regions[:, 0].T
    for start, side in ((x1, x2 - x1), (y1, y2 - y1)):
        place = start / (640 - side)
        counts = np.histogram(place, bins=10, range=(0, 1))[0]
        assert (abs(counts - 200) < 60).all()  # 4.5 standard deviations
    octaves = np.log2((x2 - x1) / (y2 - y1))
    assert octaves.min() > -1.02
    assert octaves.max() < 1.02
    counts = np.histogram(octaves, bins=8, range=(-1, 1))[0]
    assert (abs(counts - 250) < 68).all()


def test_cells_are_chosen_evenly_and_lie_anywhere_in_the_region():
    centres = [(100, 100), (500, 120), (300, 550)]
    chosen, places = Counter(), []
    for seed in range(600):
        region = one_field(0.01, centres, placement='cells', seed=seed)[0]
        (held,) = [centre for centre in centres if is_inside(centre, region)]
        chosen[held] += 1
        places.append((held[0] - region[0]) / (region[2] - region[0]))
    assert all(abs(number - 200) < 55 for number in chosen.values())
    counts = np.histogram(places, bins=5, range=(0, 1))[0]
    assert (abs(counts - 120) < 50).all()


def test_center_is_the_middle_of_image_or_part():
    ((x1, y1, x2, y2),) = one_field(0.1, size=(640, 480), placement='center')
    assert abs(x1 + x2 - 640) <= 1
    assert abs(y1 + y2 - 480) <= 1
    middles = {
        ((x1 + x2) // 2 // 320, (y1 + y2) // 2 // 320)
        for x1, y1, x2, y2 in one_field(
            0.1, num_regions=4, placement='center', aspect_range=(1, 1)
        )
    }
    assert middles == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_seed_and_file_name_change_the_region():
    assert one_field(0.1, seed=0) != one_field(0.1, seed=1)
    first, second = regions_of(sparsify(dataset([image(0), image(1)]), 0.1))
    assert first != second


def test_the_drawn_numbers_are_those_of_every_version():
    # Shares compared across machines rest on it.
    assert one_field(0.2) == [[126, 94, 372, 427]]
    halves = [[63, 245, 240, 476], [396, 68, 600, 269]]
    assert one_field(0.2, num_regions=2) == halves
    cells = [(100, 100), (500, 120)]
    assert one_field(0.1, cells, placement='cells') == [[32, 31, 206, 267]]


@pytest.mark.parametrize('num_regions', range(1, 8))
@pytest.mark.parametrize('size', [(640, 640), (640, 480), (720, 726)])
def test_usual_budgets_fit_usual_images(size, num_regions):
    for seed in range(5):
        for share in (0.02, 0.05, 0.1, 0.2, 0.5):
            regions = one_field(
                share, size=size, num_regions=num_regions, seed=seed
            )
            for x1, y1, x2, y2 in regions:
                assert 0.45 < (x2 - x1) / (y2 - y1) < 2.2
            for one, other in combinations(regions, 2):
                assert (
                    one[2] <= other[0]
                    or other[2] <= one[0]
                    or one[3] <= other[1]
                    or other[3] <= one[1]
                )


def test_an_aspect_that_does_not_fit_is_moved_to_the_nearest():
    ((x1, y1, x2, y2),) = one_field(0.8, aspect_range=(0.1, 10), seed=1)
    assert 640 in (x2 - x1, y2 - y1)


def test_all_of_an_image_is_stated_by_leaving_regions_out():
    full = dataset([image(0)], [cell(0, 0, (5, 5))])
    assert sparsify(full, 1) == full
    assert sparsify(full, 1.0) == full
    assert sparsify(dataset([]), 0.1) == dataset([])


def test_numpy_numbers_are_numbers():
    options = dict(num_regions=np.int64(2), seed=np.int32(3))
    expected = sparsify(dataset([image(0)]), 0.25, num_regions=2, seed=3)
    done = sparsify(dataset([image(0)]), np.float32(0.25), **options)
    assert done == expected
    json.dumps(done)


def patients_labels():
    names = [f'{p}_{f}_1000_ALL.png' for p in ('4', '07', 'P2') for f in '123']
    return dataset(
        [image(i, name) for i, name in enumerate(names)],
        [cell(i, i, (320, 320)) for i in range(len(names))],
    )


def test_shares_by_patient():
    full = patients_labels()
    sparse = sparsify(full, 0.2, patient_shares={4: 0, '7': 1, 'p2': 0.05})
    plain = sparsify(full, 0.05)
    assert regions_of(dict(images=sparse['images'][:3])) == [[]] * 3
    assert sparse['images'][3:6] == full['images'][3:6]
    assert sparse['images'][6:] == plain['images'][6:]
    ids = {a['id'] for a in sparse['annotations']}
    assert not ids & {0, 1, 2}
    assert {3, 4, 5} <= ids
    # A patient that is not named has the share of all.
    sparse = sparsify(full, 0.05, patient_shares={'P2': 0.3})
    assert sparse['images'][:6] == plain['images'][:6]


@pytest.mark.parametrize('share', [0.1, 1])
def test_fields_by_patient(share):
    full = patients_labels()
    chosen = {}
    for number in range(1, 5):
        sparse = sparsify(full, share, max_fields_per_patient=number)
        chosen[number] = [
            entry['file_name']
            for entry in sparse['images']
            if entry.get('annotated_regions') != []
        ]
        patients = Counter(name.split('_')[0] for name in chosen[number])
        assert set(patients.values()) == {min(number, 3)}
        kept = {a['image_id'] for a in sparse['annotations']}
        names = {full['images'][i]['file_name'] for i in kept}
        assert names <= set(chosen[number])
    assert set(chosen[1]) < set(chosen[2]) < set(chosen[3])
    assert chosen[3] == chosen[4]
    # Regions are those drawn without the budget.
    whole = sparsify(full, share)['images']
    limited = sparsify(full, share, max_fields_per_patient=1)['images']
    assert all(
        entry == other
        for entry, other in zip(limited, whole)
        if entry['file_name'] in chosen[1]
    )
    drawn = {
        sparsify(full, 1, max_fields_per_patient=1, seed=seed)['annotations'][
            0
        ]['id']
        for seed in range(20)
    }
    assert drawn == {0, 1, 2}


def test_repeated_entries_are_one_image():
    repeated = [image(0, 'a.png'), image(1, 'a.png'), image(0, 'a.png')]
    cells = [cell(0, 0, (600, 600)), cell(1, 1, (600, 600))]
    sparse = sparsify(dataset(repeated, cells), 0.02, placement='cells')
    first, *others = regions_of(sparse)
    assert others == [first, first]
    assert sparse['annotations'] == cells
    single = dataset([image(0, 'a.png')], cells[:1])
    assert regions_of(sparsify(single, 0.02, placement='cells')) == [first]


def test_a_repeated_box_is_one_cell_to_choose():
    centres = [(100, 100), (500, 120)]
    for seed in range(10):
        once, often = (
            one_field(0.02, given, placement='cells', seed=seed)
            for given in (centres, centres[::-1] + centres[:1] * 9)
        )
        assert once == often


def test_annotations_of_images_not_listed_stay():
    full = dataset([image(0)], [cell(0, 5, (0, 0))])
    assert sparsify(full, 0.01)['annotations'] == full['annotations']


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(share=0), 'share=0, expected a number above 0'),
        (dict(share=-0.1), 'share=-0.1'),
        (dict(share=1.01), 'share=1.01'),
        (dict(share=float('nan')), 'share=nan'),
        (dict(share=True), 'share=True'),
        (dict(share='0.1'), "share='0.1'"),
        (dict(num_regions=0), 'num_regions=0, expected a whole number'),
        (dict(num_regions=1.5), 'num_regions=1.5'),
        (dict(placement='corner'), "placement='corner', expected one of 'r"),
        (dict(aspect_range=(2, 0.5)), 'aspect_range.*the smaller one first'),
        (dict(aspect_range=(0, 1)), 'aspect_range'),
        (dict(aspect_range=(1, float('inf'))), 'aspect_range'),
        (dict(aspect_range=1), 'aspect_range'),
        (dict(seed='a'), "seed='a'"),
        (dict(max_fields_per_patient=0), 'max_fields_per_patient=0'),
        (dict(patient_shares={'4': 1.5}), 'share 1.5 for the patient 4'),
        (dict(patient_shares={'4': None}), 'share None for the patient 4'),
        (dict(patient_shares={'5': 0.5}), 'no image is of the patient 5, exp'),
        (dict(patient_shares={'4': 0.5, 4: 0.1}), 'names the patient 4 twice'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        sparsify(patients_labels(), **{'share': 0.1, **options})


@pytest.mark.parametrize(
    'options',
    [dict(patient_shares={'4': 0.1}), dict(max_fields_per_patient=1)],
)
def test_a_budget_by_patient_needs_patients(options):
    full = patients_labels()
    full['images'].append(image(99, 'train_000_1000_PBC.jpg'))
    with pytest.raises(ValueError, match='image train_000.*no patient'):
        sparsify(full, 0.1, **options)
    assert len(sparsify(full, 0.1)['images']) == 10


def test_regions_that_are_there_are_an_error():
    for regions in ([], [[0, 0, 5, 5]]):
        full = dataset(
            [image(0), image(1, 'b.png', annotated_regions=regions)]
        )
        with pytest.raises(ValueError, match="image b.png already has 'anno"):
            sparsify(full, 0.1)


@pytest.mark.parametrize(
    'size, options, message',
    [
        ((640, 640), dict(share=0.5, aspect_range=(3, 4)), r'\(0.5, 2\)'),
        ((640, 100), dict(share=0.9), 'no rectangle of 0.9 of 640 x 100'),
        ((640, 640), dict(share=1e-7), 'would be 0 x 0 pixels'),
        ((2, 1), dict(share=0.5, num_regions=9), 'a rectangle of 0.5 of'),
    ],
)
def test_what_can_not_fit(size, options, message):
    full = dataset([image(0, 'a.png', size)])
    with pytest.raises(ValueError, match=f'image a.png.*{message}'):
        sparsify(full, **options)


@pytest.mark.parametrize(
    'images, annotations, message',
    [
        ([dict(id=0)], [], 'image entry 0 has the id 0 and the file_name No'),
        ([dict(file_name='a')], [], 'image entry 0 has the id None'),
        ([dict(id=0, file_name='a')], [], 'image a has the width and height'),
        ([image(0, size=(0, 9))], [], r'image 0.png has .*\(0, 9\)'),
        (
            [image(0, 'a'), image(1, 'a', (9, 9))],
            [],
            r'image a has .*\(9, 9\)',
        ),
        ([image(0, 'a'), image(0, 'b')], [], 'id 0 stands for a and b'),
        ([image(0)], [dict(id=3, image_id=0)], 'id 3. has the bbox None'),
        (
            [image(0)],
            [dict(id=3, image_id=0, bbox=[0, 0, 5, float('nan')])],
            'id 3. has the bbox',
        ),
        ([image(0)], [dict(id=3, bbox=[0] * 4)], 'annotation 0 .id 3. has'),
    ],
)
def test_records_that_lack_something(images, annotations, message):
    with pytest.raises(ValueError, match=message):
        sparsify(dataset(images, annotations), 0.1)


@pytest.mark.parametrize('name', ['pbc_fields', 'bccd_fields'])
def test_real_fields(name):
    path = ROOT / 'data' / name / 'json_labels/train.json'
    if not path.exists():
        pytest.skip(f'data/{name} is not there')
    full = json.loads(path.read_text())
    area = sum(entry['width'] * entry['height'] for entry in full['images'])
    with_cells = {
        a['image_id'] for a in full['annotations'] if not a['iscrowd']
    }
    for placement in PLACEMENTS:
        kept = {a['id'] for a in full['annotations']}
        for share in (0.2, 0.1, 0.05):
            sparse = sparsify(full, share, placement=placement)
            regions = regions_of(sparse)
            annotated = sum(
                (x2 - x1) * (y2 - y1) for ((x1, y1, x2, y2),) in regions
            )
            assert annotated / area == pytest.approx(share, rel=2e-3)
            fewer = {a['id'] for a in sparse['annotations']}
            assert fewer <= kept
            kept = fewer
            if placement == 'cells':
                left = {a['image_id'] for a in sparse['annotations']}
                assert with_cells <= left
