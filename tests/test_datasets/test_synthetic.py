# Copyright (c) mmleuk authors. All rights reserved.
import json
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmleuk.datasets import LLD_CLASSES, LLDDataset
from mmleuk.datasets.naming import LLD_SUBSETS
from mmleuk.datasets.synthetic import (
    CLASS_MIX,
    MORPHOLOGY,
    PRESETS,
    FilmPlan,
    Patient,
    draw_cell,
    draw_field,
    fields_of,
    photograph,
    sample_codes,
    write_films,
)
from mmleuk.datasets.synthetic.films import paint
from mmleuk.datasets.synthetic.morphology import SCHEMA

TYPED = [name for name in LLD_CLASSES if name != 'none']
SIZE, CHROMATIN, SHAPE, NUCLEOLUS, CYTOPLASM, BASOPHILIA, VACUOLES = range(7)
# A medium cell with a dark, smooth nucleus amid plenty of pale cytoplasm.
PLAIN = (1, 1, 0, 0, 1, 0, 0)
SEEDS = range(5)


def flip(attribute, value, codes=PLAIN):
    codes = list(codes)
    codes[attribute] = value
    return tuple(codes)


def pair(class_name, attribute, seed, codes=PLAIN):
    """One cell with either value of one binary attribute."""
    return [
        draw_cell(class_name, flip(attribute, value, codes), seed)
        for value in (0, 1)
    ]


def changed(first, second):
    return np.abs(first.density - second.density).max(2) > 0.03


def nucleus_of(sprite):
    """Largest dark part of a cell without dark granules."""
    dark = (sprite.density[..., 1] > 0.8).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(dark)
    return parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    """The films of the preset for tests, on disk."""
    folder = tmp_path_factory.mktemp('films')
    plan = PRESETS['tests']
    counts = write_films(folder, plan)
    return folder, plan, counts


class TestAttributesAreDrawn:
    """A flipped attribute changes the cell in the way its name says."""

    @pytest.mark.parametrize('class_name', TYPED)
    def test_size(self, class_name):
        small, medium, large = (
            np.mean(
                [
                    draw_cell(class_name, flip(SIZE, code), seed).cover.sum()
                    for seed in SEEDS
                ]
            )
            for code in range(3)
        )
        assert medium > 1.5 * small
        assert large > 1.5 * medium

    @pytest.mark.parametrize('class_name', TYPED)
    def test_chromatin(self, class_name):
        texture, darkness = [], []
        for seed in SEEDS:
            cells = pair(class_name, CHROMATIN, seed)
            nucleus = cv2.erode(changed(*cells).astype(np.uint8), None) > 0
            values = [cell.density[..., 1][nucleus] for cell in cells]
            texture.append([value.std() for value in values])
            darkness.append([value.mean() for value in values])
        (fine, clumped), (pale, dark) = (
            np.mean(texture, 0),
            np.mean(darkness, 0),
        )
        assert dark > 1.3 * pale
        # Basophil granules hide the texture of the nucleus, as they do in
        # blood.
        if class_name != 'basophil':
            assert clumped > 1.3 * fine

    @pytest.mark.parametrize(
        'class_name',
        ['lymphoblast', 'neutrophil', 'monocyte', 'monoblast', 'lymphocyte'],
    )
    def test_nuclear_shape(self, class_name):
        solidity = []
        for seed in SEEDS:
            row = []
            for cell in pair(class_name, SHAPE, seed):
                nucleus = nucleus_of(cell)
                points = np.argwhere(nucleus)[:, None, ::-1].astype(np.int32)
                hull = cv2.contourArea(cv2.convexHull(points))
                row.append(nucleus.sum() / hull)
            solidity.append(row)
        regular, irregular = np.mean(solidity, 0)
        assert regular > 0.97
        assert irregular < regular - 0.03

    @pytest.mark.parametrize('class_name', TYPED)
    def test_nucleolus(self, class_name):
        spots = []
        for seed in SEEDS:
            without, with_them = pair(class_name, NUCLEOLUS, seed)
            np.testing.assert_array_equal(without.cover, with_them.cover)
            paler = without.density[..., 1] - with_them.density[..., 1] > 0.25
            darker = with_them.density[..., 1] - without.density[..., 1] > 0.25
            # Paler spots in the nucleus, with a darker ring around each.
            assert without.density[..., 1][paler].mean() > 0.8
            assert paler.sum() > 2 * darker.sum()
            where = changed(without, with_them)
            assert where.sum() < 0.25 * without.cover.sum()
            spots.append(paler.sum())
        # One spot of 0.85 um radius has 145 pixels.
        assert min(spots) > 120

    @pytest.mark.parametrize(
        'class_name', ['lymphoblast', 'monoblast', 'lymphocyte', 'neutrophil']
    )
    def test_cytoplasm(self, class_name):
        shares = [
            [
                nucleus_of(cell).sum() / cell.cover.sum()
                for cell in pair(class_name, CYTOPLASM, seed)
            ]
            for seed in SEEDS
        ]
        scanty, abundant = np.transpose(shares)
        assert scanty.min() > 0.5
        assert abundant.max() < 0.5

    @pytest.mark.parametrize('class_name', TYPED)
    @pytest.mark.parametrize('amount', [0, 1])
    def test_basophilia(self, class_name, amount):
        codes = flip(CYTOPLASM, amount)
        for seed in SEEDS:
            slight, moderate = pair(class_name, BASOPHILIA, seed, codes)
            where = changed(slight, moderate)
            share = where.sum() / slight.cover.sum()
            assert share > (0.15, 0.4)[amount]
            # Blue dye absorbs red more than blue.
            gain = (moderate.density - slight.density)[where].mean(0)
            assert gain[0] > 0.15
            assert gain[0] > 2 * gain[2]

    @pytest.mark.parametrize('class_name', TYPED)
    @pytest.mark.parametrize('amount', [0, 1])
    def test_vacuoles(self, class_name, amount):
        holes = []
        for seed in SEEDS:
            absent, prominent = pair(
                class_name, VACUOLES, seed, flip(CYTOPLASM, amount)
            )
            np.testing.assert_array_equal(absent.cover, prominent.cover)
            cleared = prominent.density.sum(2) < 0.4 * absent.density.sum(2)
            cleared &= absent.cover > 0.9
            assert prominent.density[cleared].mean() < 0.25
            holes.append(cleared.sum())
        # Four holes of 0.6 um radius have 290 pixels.
        assert min(holes) > 100
        assert np.mean(holes) > 250

    def test_same_codes_same_cell(self):
        for class_name in LLD_CLASSES:
            cells = [draw_cell(class_name, PLAIN, 7) for _ in range(2)]
            np.testing.assert_array_equal(cells[0].density, cells[1].density)
            other = draw_cell(class_name, PLAIN, 8)
            assert not np.array_equal(cells[0].density, other.density)

    def test_granules_tell_classes_apart(self):
        red_green_blue = {
            name: np.mean(
                [
                    draw_cell(name, PLAIN, seed).density.sum((0, 1))
                    / draw_cell(name, PLAIN, seed).cover.sum()
                    for seed in SEEDS
                ],
                0,
            )
            for name in ('neutrophil', 'eosinophil', 'basophil')
        }
        # Orange granules absorb blue rather than red, dark violet ones both.
        blue_to_red = {
            name: density[2] / density[0]
            for name, density in red_green_blue.items()
        }
        assert blue_to_red['eosinophil'] > 1.5 * blue_to_red['neutrophil']
        assert blue_to_red['eosinophil'] > 1.5 * blue_to_red['basophil']
        darkness = {
            name: density.sum() for name, density in red_green_blue.items()
        }
        assert darkness['basophil'] > 1.25 * darkness['neutrophil']

    @pytest.mark.parametrize(
        'codes', [(1, 1, 0, 0, 1, 0, 2), (3, 1, 0, 0, 1, 0, 0), (4,) * 7]
    )
    def test_refuses_codes_without_meaning(self, codes):
        with pytest.raises(ValueError, match='attribute codes'):
            draw_cell('monocyte', codes, 0)

    def test_refuses_unknown_class(self):
        with pytest.raises(ValueError, match='platelet'):
            draw_cell('platelet', PLAIN, 0)
        with pytest.raises(ValueError, match='platelet'):
            sample_codes(np.random.default_rng(0), 'platelet')


class TestMorphology:
    def test_every_class_and_diagnosis(self):
        assert sorted(MORPHOLOGY) == sorted(TYPED)
        assert set().union(*CLASS_MIX.values()) == set(LLD_CLASSES)
        assert list(CLASS_MIX) == ['ALL', 'AML', 'APML', 'CLL', 'CML']

    @pytest.mark.parametrize('class_name', TYPED)
    def test_frequencies(self, class_name):
        rng = np.random.default_rng(1)
        drawn = np.array([sample_codes(rng, class_name) for _ in range(600)])
        for column, chances in zip(
            drawn.T, MORPHOLOGY[class_name].frequencies
        ):
            found = np.bincount(column, minlength=len(chances)) / len(column)
            slack = 4 * np.sqrt(np.multiply(chances, np.subtract(1, chances)))
            assert sum(chances) == pytest.approx(1)
            assert (np.abs(found - chances) <= slack / np.sqrt(600)).all()
            # The class never settles an attribute.
            assert min(chances) >= 0.01

    def test_none_has_no_attributes(self):
        assert sample_codes(np.random.default_rng(0), 'none') == (-1,) * 7

    @pytest.mark.parametrize('attribute', range(7))
    def test_attributes_depend_on_the_class(self, attribute):
        last = [
            kind.frequencies[attribute][-1] for kind in MORPHOLOGY.values()
        ]
        assert max(last) - min(last) > 0.3

    def test_patients_differ(self):
        first, second, sixth = (Patient.sample(0, k) for k in (1, 2, 6))
        assert first == Patient.sample(0, 1)
        assert first.diagnosis == sixth.diagnosis == 'ALL'
        assert second.diagnosis == 'AML'
        assert first.mix != sixth.mix
        assert first.blood.stain != sixth.blood.stain


class TestFields:
    plan = FilmPlan(size=(320, 256), cells=4.0)

    def test_seed(self):
        one, two = (
            draw_field(self.plan, 'H_100X_C1', Patient.sample(0, 3), 2)
            for _ in range(2)
        )
        np.testing.assert_array_equal(one.image, two.image)
        assert one.record == two.record
        other = draw_field(
            replace(self.plan, seed=1), 'H_100X_C1', Patient.sample(1, 3), 2
        )
        assert not np.array_equal(one.image, other.image)

    def test_image(self):
        field = draw_field(self.plan, 'L_40X_C2', Patient.sample(0, 3), 2)
        assert field.image.shape == (256, 320, 3)
        assert field.image.dtype == np.uint8
        assert field.record.file_name == '3_2_400_APML.png'
        assert (field.record.width, field.record.height) == (320, 256)
        assert field.record.annotated_regions is None
        assert field.sparse is None

    @pytest.mark.parametrize('class_name', LLD_CLASSES)
    @pytest.mark.parametrize('place', [(100.0, 80.0), (3.0, 157.0)])
    def test_box_is_tight(self, class_name, place):
        """The box against all that the cell leaves on an empty field."""
        for seed in SEEDS:
            canvas = np.zeros((160, 200, 3), np.float32)
            sprite = draw_cell(class_name, PLAIN, seed, 6.4)
            x1, y1, x2, y2 = paint(canvas, sprite, *place)
            trace = canvas.sum(2) > 0.02
            columns = np.flatnonzero(trace.any(0))
            rows = np.flatnonzero(trace.any(1))
            drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            # Soft edges of smudges reach some pixels out of the box.
            slack = 9 if class_name == 'none' else 2
            np.testing.assert_allclose((x1, y1, x2, y2), drawn, atol=slack)
            assert 0 <= x1 < x2 <= 200
            assert 0 <= y1 < y2 <= 160

    @pytest.mark.parametrize(
        'subset, squeeze',
        [('H_100X_C1', 1.0), ('H_100X_C1', 0.6), ('H_40X_C1', 1.0)],
    )
    def test_nuclei_are_in_boxes(self, subset, squeeze):
        plan = FilmPlan(size=(400, 320), squeeze=squeeze, cells=8.0)
        inside = outside = 0
        for number in range(1, 5):
            field = draw_field(plan, subset, Patient.sample(0, 1), number)
            boxes = np.zeros((320, 400), bool)
            for cell in field.record.cells:
                x1, y1, x2, y2 = cell.bbox
                assert 0 <= x1 < x2 <= 400
                assert 0 <= y1 < y2 <= 320
                boxes[
                    int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))
                ] = True
            # Platelets are small enough to be wiped out by the opening.
            dark = (field.image[..., 1] < 110).astype(np.uint8)
            width = 9 if '100X' in subset else 5
            kernel = np.ones((width, max(int(width * squeeze), 3)), np.uint8)
            dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, kernel) > 0
            inside += (dark & boxes).sum()
            outside += (dark & ~boxes).sum()
        assert inside > 2000
        assert outside < 0.02 * inside

    def test_magnification_is_a_scale(self):
        sizes = {}
        for power, side in (('100X', 512), ('40X', 320), ('10X', 128)):
            plan = FilmPlan(size=(side, side), cells=4.0)
            sizes[power] = np.median(
                [
                    max(
                        cell.bbox[2] - cell.bbox[0],
                        cell.bbox[3] - cell.bbox[1],
                    )
                    for number in range(1, 7)
                    for cell in draw_field(
                        plan, f'H_{power}_C1', Patient.sample(0, 2), number
                    ).record.cells
                    if 0 < min(cell.bbox) and max(cell.bbox) < side
                ]
            )
        assert sizes['40X'] / sizes['100X'] == pytest.approx(0.4, rel=0.25)
        assert sizes['10X'] / sizes['100X'] == pytest.approx(0.1, rel=0.25)

    def test_more_cells_at_lower_power(self):
        plan = FilmPlan(size=(640, 640))
        counts = {
            power: np.mean(
                [
                    len(
                        draw_field(
                            plan, f'H_{power}_C1', Patient.sample(0, 1), k
                        ).record.cells
                    )
                    for k in range(1, 4)
                ]
            )
            for power in ('100X', '40X')
        }
        assert 2 <= counts['100X'] <= 8
        assert counts['40X'] >= 15

    def test_equipment_changes_pixels_not_cells(self):
        fields = {
            subset: draw_field(self.plan, subset, Patient.sample(0, 4), 1)
            for subset in LLD_SUBSETS
            if '100X' in subset
        }
        one = fields.pop('H_100X_C1')
        for field in fields.values():
            assert field.record.cells == one.record.cells
            assert not np.array_equal(field.image, one.image)

    def test_microscope_and_camera(self):
        # A checkered field shows blur, its white half the camera's colour.
        density = np.zeros((128, 128, 3), np.float32)
        density[:, :64] = np.indices((128, 64)).sum(0)[..., None] // 8 % 2
        images = {
            subset: photograph(np.random.default_rng(0), density, subset)
            for subset in ('H_100X_C1', 'L_100X_C1', 'H_100X_C2')
        }
        edges = {
            subset: cv2.Laplacian(image[:, :60, 1], cv2.CV_64F).std()
            for subset, image in images.items()
        }
        assert edges['H_100X_C1'] > 1.5 * edges['L_100X_C1']
        blue, green, red = images['H_100X_C1'][:, 80:].mean((0, 1))
        assert red > green > blue
        assert images['H_100X_C2'][:, 80:, 2].mean() < red - 20

    def test_squeeze(self):
        """Width over height of the same kind of cells."""
        ratios = []
        for squeeze in (1.0, 0.6):
            plan = FilmPlan(size=(320, 320), cells=12.0, squeeze=squeeze)
            found = []
            for number in range(1, 6):
                field = draw_field(
                    plan, 'H_40X_C1', Patient.sample(0, 1), number
                )
                for cell in field.record.cells:
                    x1, y1, x2, y2 = cell.bbox
                    if cell.category != 'none' and 0 < x1 and x2 < 320:
                        found.append((x2 - x1) / (y2 - y1))
            ratios.append(np.median(found))
        assert ratios[0] == pytest.approx(1, abs=0.06)
        assert ratios[1] == pytest.approx(0.6, abs=0.05)

    def test_missing_codes(self):
        plan = FilmPlan(size=(320, 320), cells=6.0, missing=0.3)
        codes = np.array(
            [
                cell.attributes
                for field in fields_of(
                    replace(plan, test_fields=10), 'H_40X_C1', 'test'
                )
                for cell in field.record.cells
                if cell.category != 'none'
            ]
        )
        assert (codes == -1).mean() == pytest.approx(0.3, abs=0.08)


class TestFilms:
    def test_counts(self, films):
        folder, plan, counts = films
        assert list(counts) == list(plan.subsets)
        for subset in plan.subsets:
            for split, fields in (('train', 4), ('test', 2)):
                images = folder / subset / 'images' / split
                assert len(list(images.glob('*.png'))) == fields
                labels = json.loads(
                    (
                        folder / subset / 'json_labels' / f'{split}.json'
                    ).read_text()
                )
                assert counts[subset][f'{split}_images'] == fields
                cells = len(labels['annotations'])
                assert counts[subset][f'{split}_cells'] == cells > 0

    def test_json_has_the_keys_of_the_release(self, films):
        folder, plan, _ = films
        labels = json.loads(
            (folder / 'H_100X_C1/json_labels/train.json').read_text()
        )
        assert [c['name'] for c in labels['categories']] == list(LLD_CLASSES)
        for cell in labels['annotations']:
            assert 'nuclear_chromatio' in cell
            assert cell['iscrowd'] == 0
            codes = [cell[attribute.json_key] for attribute in SCHEMA]
            assert (codes == [4] * 7) == (cell['category_id'] == 0)

    @pytest.mark.parametrize('subset', PRESETS['tests'].subsets)
    @pytest.mark.parametrize('split', ['train', 'test'])
    def test_dataset_reads_json(self, films, subset, split):
        folder, plan, _ = films
        dataset = LLDDataset(
            data_root=str(folder), subset=subset, split=split, test_mode=True
        )
        drawn = {
            field.record.file_name: field
            for field in fields_of(plan, subset, split)
        }
        assert len(dataset) == len(drawn)
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            field = drawn[info['img_path'].split('/')[-1]]
            image = cv2.imread(info['img_path'])
            np.testing.assert_array_equal(image, field.image)
            assert info['annotated_regions'] is None
            assert info['subset'] == subset
            assert info['diagnosis'] in CLASS_MIX
            assert info['magnification'] == subset.split('_')[1].lower()
            cells = field.record.cells
            assert len(info['instances']) == len(cells)
            for item, cell in zip(info['instances'], cells):
                np.testing.assert_allclose(item['bbox'], cell.bbox, atol=0.01)
                name = LLD_CLASSES[item['bbox_label']]
                assert name == cell.category
                assert tuple(item['attributes']) == cell.attributes

    def test_text_says_the_same_as_json(self, films):
        folder, _, _ = films
        by_json = LLDDataset(
            data_root=str(folder),
            subset='H_100X_C1',
            ann_format='json',
            test_mode=True,
        )
        by_text = LLDDataset(
            data_root=str(folder),
            subset='H_100X_C1',
            ann_format='text',
            test_mode=True,
        )
        texts = {
            info['img_path']: info
            for info in map(by_text.get_data_info, range(len(by_text)))
        }
        assert len(by_text) == len(by_json)
        for index in range(len(by_json)):
            info = by_json.get_data_info(index)
            text = texts[info['img_path']]
            assert len(info['instances']) == len(text['instances'])
            for one, two in zip(info['instances'], text['instances']):
                np.testing.assert_allclose(one['bbox'], two['bbox'], atol=0.01)
                assert one['bbox_label'] == two['bbox_label']
                assert tuple(one['attributes']) == tuple(two['attributes'])

    @pytest.mark.parametrize('order', ['x1x2y1y2', 'x1y1x2y2'])
    def test_sparse_labels(self, tmp_path, order):
        plan = FilmPlan(
            subsets=('H_40X_C1',),
            train_patients=2,
            test_patients=1,
            train_fields=6,
            test_fields=1,
            size=(320, 240),
            cells=9.0,
            sparse=True,
            text=True,
            region_order=order,
        )
        write_films(tmp_path, plan)
        full, sparse, text = (
            LLDDataset(
                data_root=str(tmp_path),
                subset='H_40X_C1',
                test_mode=True,
                **kwargs,
            )
            for kwargs in (
                {},
                dict(ann_file='json_labels/train_sparse.json'),
                dict(ann_file='txt_labels/Sparse/train', region_order=order),
            )
        )
        assert len(full) == len(sparse) == len(text) == 6
        texts = {
            info['img_path']: info
            for info in map(text.get_data_info, range(len(text)))
        }
        kept = 0
        for index in range(6):
            whole, part = (
                data.get_data_info(index) for data in (full, sparse)
            )
            assert whole['img_path'] == part['img_path']
            # <patient>_<100x field>_<40x field>_400_<diagnosis>.png
            assert part['field'].count('_') == 1
            [(x1, y1, x2, y2)] = part['annotated_regions']
            assert 0 <= x1 < x2 <= 320
            assert 0 <= y1 < y2 <= 240
            share = (x2 - x1) * (y2 - y1) / (320 * 240)
            assert share == pytest.approx(0.2, abs=0.01)
            boxes = np.reshape(
                [i['bbox'] for i in whole['instances']], (-1, 4)
            )
            x, y = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1::2].mean(1)
            inside = (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)
            expected = [
                item for item, hit in zip(whole['instances'], inside) if hit
            ]
            assert part['instances'] == expected
            kept += len(expected)
            # A file without rows can't state its rectangle.
            rows = texts[part['img_path']]
            assert len(rows['instances']) == len(expected)
            regions = part['annotated_regions'] if expected else []
            np.testing.assert_allclose(
                np.reshape(rows['annotated_regions'], (-1, 4)),
                np.reshape(regions, (-1, 4)),
            )
        everything = sum(
            len(full.get_data_info(index)['instances']) for index in range(6)
        )
        assert 0 < kept < 0.5 * everything

    def test_test_split_is_never_sparse(self, films):
        folder, _, _ = films
        names = {path.name for path in folder.rglob('*.json')}
        assert names == {
            'train.json',
            'train_sparse.json',
            'test.json',
            'synthetic.json',
        }

    def test_splits_share_no_patient(self, films):
        folder, plan, _ = films
        for subset in plan.subsets:
            patients = [
                {
                    path.name.split('_')[0]
                    for path in (folder / subset / 'images' / split).iterdir()
                }
                for split in ('train', 'test')
            ]
            assert patients == [{'1', '2'}, {'3'}]

    def test_same_seed_same_bytes(self, films, tmp_path):
        folder, plan, _ = films
        write_films(tmp_path, plan)
        assert tree(tmp_path) == tree(folder)

    def test_keeps_what_is_there(self, tmp_path):
        plan = replace(
            PRESETS['tests'], subsets=('H_100X_C1',), train_fields=1
        )
        write_films(tmp_path, plan)
        image = next((tmp_path / 'H_100X_C1/images/train').iterdir())
        written = image.stat().st_mtime_ns
        assert write_films(tmp_path, plan) == {}
        assert image.stat().st_mtime_ns == written

        other = replace(plan, seed=5)
        with pytest.raises(FileExistsError, match=r'other settings \(seed\)'):
            write_films(tmp_path, other)
        assert image.stat().st_mtime_ns == written
        assert list(write_films(tmp_path, other, overwrite=True)) == [
            'H_100X_C1'
        ]
        assert image.stat().st_mtime_ns != written

    def test_draws_an_unfinished_subset_again(self, films, tmp_path):
        folder, plan, _ = films
        plan = replace(plan, subsets=('H_100X_C1',))
        write_films(tmp_path, plan)
        complete = tree(tmp_path)
        manifest = tmp_path / 'H_100X_C1/synthetic.json'
        settings = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**settings, 'complete': False}))
        next((tmp_path / 'H_100X_C1/images/test').iterdir()).unlink()
        write_films(tmp_path, plan)
        assert tree(tmp_path) == complete

    def test_never_touches_other_data(self, tmp_path):
        precious = tmp_path / 'H_100X_C1' / 'images' / 'train' / 'real.png'
        precious.parent.mkdir(parents=True)
        precious.write_bytes(b'real')
        with pytest.raises(FileExistsError, match='delete it by hand'):
            write_films(
                tmp_path,
                replace(PRESETS['tests'], subsets=('H_100X_C1',)),
                overwrite=True,
            )
        assert precious.read_bytes() == b'real'


class TestPlan:
    @pytest.mark.parametrize(
        'setting, value',
        [
            ('subsets', ()),
            ('subsets', ('H_100X_C3',)),
            ('train_fields', -1),
            ('test_patients', 0),
            ('size', (640, 20)),
            ('squeeze', 0.0),
            ('region_share', 0.0),
            ('region_order', 'y1x1y2x2'),
            ('missing', 1.0),
            ('seed', -1),
        ],
    )
    def test_refuses(self, setting, value):
        with pytest.raises(ValueError, match='expected'):
            FilmPlan(**{setting: value})

    def test_subset_in_any_casing(self):
        assert FilmPlan(subsets=('h_100x_c1',)).subsets == ('H_100X_C1',)

    def test_sparse40x_is_dense_and_has_every_class(self):
        plan = PRESETS['sparse40x']
        assert (plan.train_fields, plan.test_fields) == (60, 20)
        (subset,) = plan.subsets
        few = replace(plan, train_fields=2 * plan.train_patients)
        fields = list(fields_of(few, subset, 'train'))
        counts = [len(field.record.cells) for field in fields]
        assert np.median(counts) > 20
        for field in fields:
            [(x1, y1, x2, y2)] = field.sparse.annotated_regions
            height, width = field.image.shape[:2]
            share = (x2 - x1) * (y2 - y1) / (height * width)
            assert share == pytest.approx(0.2, abs=0.005)
        cells = [cell.category for f in fields for cell in f.record.cells]
        assert set(cells) == set(LLD_CLASSES)

    def test_demo_has_every_class_to_learn(self):
        plan = PRESETS['demo']
        assert (plan.train_fields, plan.test_fields) == (60, 20)
        assert plan.subsets == ('H_100X_C1',)
        patients = [
            Patient.sample(plan.seed, number + 1)
            for number in range(plan.train_patients)
        ]
        share = Counter()
        for patient in patients:
            share.update(patient.mix)
        assert set(share) == set(LLD_CLASSES)
