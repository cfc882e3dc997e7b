# Copyright (c) mmleuk authors. All rights reserved.
import gc
import json
import logging
import time
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmleuk.datasets import LLD_CLASSES, LLDDataset
from mmleuk.io.errors import AnnotationError
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SIZE = (64, 48)
CODES = (2, 1, 0, 1, 0, 1, 0)


def make(*args, **kwargs):
    # To serialise costs a garbage collection, 0.2 s each time.
    return LLDDataset(*args, **dict(serialize_data=False, **kwargs))


@pytest.fixture
def write_json(tmp_path, lld_files):
    """Write `tmp_path/<folder>` in the released JSON layout.

    `fields` gives for each file name a list of cells (category_id, bbox) or
    (category_id, bbox, extra keys).
    """

    def _write(folder, fields, split='train', regions=None):
        root = tmp_path / folder
        images, annotations = [], []
        for image_id, (name, cells) in enumerate(fields.items(), 100):
            lld_files.image(root / 'images' / split / name, SIZE)
            entry = dict(
                id=image_id, file_name=name, width=SIZE[0], height=SIZE[1]
            )
            if regions is not None:
                entry['annotated_regions'] = regions
            images.append(entry)
            for category_id, bbox, *extra in cells:
                annotations.append(
                    lld_files.annotation(
                        len(annotations),
                        image_id,
                        bbox,
                        category_id,
                        CODES if category_id else (4,) * 7,
                        **(extra[0] if extra else {}),
                    )
                )
        lld_files.json(
            root / 'json_labels' / f'{split}.json', images, annotations
        )
        return str(tmp_path)

    return _write


@pytest.fixture
def write_text(tmp_path, lld_files):
    """Write text labels of one image: (category_id, codes) of each cell."""

    def _write(*cells):
        lld_files.image(tmp_path / 'images' / '4_1_1000_ALL.png', SIZE)
        rows = [
            lld_files.row(category_id, (10 + i, 5, 30, 35), SIZE, codes)
            for i, (category_id, codes) in enumerate(cells)
        ]
        lld_files.text(tmp_path / 'labels' / '4_1_1000_ALL.txt', *rows)

    def read(**kwargs):
        dataset = make(
            'labels',
            data_root=str(tmp_path),
            data_prefix=dict(img='images'),
            **kwargs,
        )
        return dataset.get_data_info(0)['instances']

    _write.read = read
    return _write


@pytest.fixture
def records():
    """Records of the current logger."""
    logger = MMLogger.get_current_instance()
    kept = []

    class Keeper(logging.Handler):
        def emit(self, record):
            kept.append(record)

    keeper = Keeper()
    logger.addHandler(keeper)
    yield kept
    logger.removeHandler(keeper)


BOX = (10, 5, 20, 30)
FIELDS = {
    '4_15_1000_ALL.png': [(4, BOX), (0, (0, 0, 9, 9), dict(iscrowd=1))],
    '5_1_1000_AML.png': [],
    '07_2_1000_CML.png': [(2, BOX)],
}


def test_data_info(write_json):
    root = write_json('H_100x_C1', FIELDS)
    dataset = make(data_root=root, subset='h_100X_c1')
    assert len(dataset) == 3
    info = dataset.get_data_info(0)
    assert Path(info.pop('img_path')) == (
        Path(root, 'H_100x_C1', 'images', 'train', '4_15_1000_ALL.png')
    )
    assert info == dict(
        img_id=100,
        height=48,
        width=64,
        instances=[
            dict(
                bbox=[10, 5, 30, 35],
                bbox_label=4,
                ignore_flag=0,
                attributes=CODES,
            ),
            dict(
                bbox=[0, 0, 9, 9],
                bbox_label=0,
                ignore_flag=1,
                attributes=(-1,) * 7,
            ),
        ],
        num_attributes=7,
        annotated_regions=None,
        patient='4',
        field='15',
        magnification='100x',
        diagnosis='ALL',
        subset='H_100X_C1',
        sample_idx=0,
    )


def test_registered_and_described():
    init_default_scope('mmdet')
    assert DATASETS.get('mmleuk.LLDDataset') is LLDDataset
    metainfo = LLDDataset.METAINFO
    assert metainfo['classes'] == LLD_CLASSES
    assert metainfo['attributes'] == LLD_ATTRIBUTES


def test_serialised_unless_told_otherwise(write_json):
    root = write_json('H_100X_C1', FIELDS)
    one = LLDDataset(data_root=root, subset='H_100X_C1')
    other = LLDDataset(
        data_root=root, subset='H_100X_C1', serialize_data=False
    )
    assert one.data_list == []
    assert len(other.data_list) == 3
    assert [one.get_data_info(i) for i in range(3)] == [
        other.get_data_info(i) for i in range(3)
    ]
    part = one.get_subset([2])
    assert part.get_data_info(0)['patient'] == '07'
    assert len(LLDDataset(data_root=root, subset='H_100X_C1', indices=2)) == 2


def test_lazy_init_reads_nothing(tmp_path):
    dataset = make(data_root=str(tmp_path), subset='H_100X_C1', lazy_init=True)
    assert dataset.metainfo['classes'] == LLD_CLASSES
    with pytest.raises(FileNotFoundError):
        dataset.full_init()


def test_filter_counts_only_cells_that_are_not_ignored(write_json):
    fields = dict(FIELDS, **{'8_1_1000_ALL.png': [(1, BOX, dict(iscrowd=1))]})
    root = write_json('H_100X_C1', fields)
    kwargs = dict(data_root=root, subset='H_100X_C1')
    cfg = dict(filter_empty_gt=True, min_size=32)
    dataset = make(**kwargs, filter_cfg=cfg)
    patients = [dataset.get_data_info(i)['patient'] for i in range(2)]
    assert patients == ['4', '07']
    assert len(dataset) == 2
    assert len(make(**kwargs)) == 4
    assert len(make(**kwargs, filter_cfg=cfg, test_mode=True)) == 4
    assert len(make(**kwargs, filter_cfg=dict(min_size=48))) == 4
    with pytest.raises(ValueError, match='no image is left of 4'):
        make(**kwargs, filter_cfg=dict(min_size=49))


def test_get_cat_ids(write_json):
    root = write_json('H_100X_C1', FIELDS)
    dataset = make(data_root=root, subset='H_100X_C1')
    assert [dataset.get_cat_ids(i) for i in range(3)] == [[4], [], [2]]


class TestSubsets:
    def test_several_have_ids_of_their_own(self, write_json):
        write_json('H_100X_C1', FIELDS)
        root = write_json('L_40x_C2', {'4_15_400_ALL.png': [(1, BOX)]})
        dataset = make(data_root=root, subset=['L_40X_C2', 'H_100X_C1'])
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [info['img_id'] for info in infos] == [0, 1, 2, 3]
        assert [info['subset'] for info in infos] == [
            'L_40X_C2',
            *['H_100X_C1'] * 3,
        ]
        assert all(Path(info['img_path']).exists() for info in infos)
        assert infos[0]['magnification'] == '40x'

    def test_split(self, write_json):
        write_json('H_100X_C1', FIELDS)
        root = write_json(
            'H_100X_C1', {'9_1_1000_CLL.png': [(7, BOX)]}, split='test'
        )
        dataset = make(
            data_root=root, subset='H_100X_C1', split='test', test_mode=True
        )
        assert dataset.get_data_info(0)['diagnosis'] == 'CLL'

    def test_paths_inside_the_subset_can_be_given(self, write_json, tmp_path):
        root = write_json('H_100X_C1', FIELDS)
        (tmp_path / 'H_100X_C1' / 'json_labels').rename(
            tmp_path / 'H_100X_C1' / 'labels'
        )
        (tmp_path / 'H_100X_C1' / 'images').rename(
            tmp_path / 'H_100X_C1' / 'fields'
        )
        dataset = make(
            data_root=root,
            subset='H_100X_C1',
            ann_file='labels/train.json',
            data_prefix=dict(img='fields/train'),
        )
        assert Path(dataset.get_data_info(0)['img_path']).exists()

    def test_text_labels(self, tmp_path, lld_files):
        root = tmp_path / 'H_100X_C1'
        lld_files.image(root / 'images' / 'train' / '4_1_1000_ALL.png', SIZE)
        labels = root / 'txt_labels' / 'AttriDet' / 'train'
        lld_files.text(
            labels / '4_1_1000_ALL.txt',
            lld_files.row(9, (10, 5, 30, 35), SIZE, CODES),
        )
        dataset = make(data_root=str(tmp_path), subset='H_100X_C1')
        info = dataset.get_data_info(0)
        assert info['img_id'] == 0
        (instance,) = info['instances']
        assert instance['bbox'] == pytest.approx([10, 5, 30, 35], abs=1e-3)
        assert instance['bbox_label'] == 9
        assert instance['attributes'] == CODES
        assert info['annotated_regions'] is None

    @pytest.mark.parametrize('class_map', [None, 'wbc', {'none': 'monocyte'}])
    def test_a_none_has_no_attributes(self, write_text, class_map):
        write_text((0, [2] * 7), (1, CODES))
        instances = write_text.read(class_map=class_map)
        assert [item['attributes'] for item in instances] == [(-1,) * 7, CODES]

    def test_other_classes_without_attributes(self, write_text):
        write_text((0, CODES), (1, CODES))
        metainfo = dict(classes_without_attributes=['Myeloblast'])
        instances = write_text.read(metainfo=metainfo)
        assert [item['attributes'] for item in instances] == [CODES, (-1,) * 7]
        with pytest.raises(TypeError, match='classes_without_attributes'):
            write_text.read(metainfo=dict(classes_without_attributes='none'))

    def test_columns_of_the_files(self, write_text):
        write_text((1, CODES))
        metainfo = dict(attributes=LLD_ATTRIBUTES[1:])
        with pytest.raises(AnnotationError, match='got 12 columns, of which'):
            write_text.read(metainfo=metainfo)
        names = [item['name'] for item in LLD_ATTRIBUTES]
        (cell,) = write_text.read(metainfo=dict(metainfo, text_columns=names))
        assert cell['attributes'] == CODES[1:]
        (cell,) = write_text.read(metainfo=dict(text_columns=names[::-1]))
        assert cell['attributes'] == (0, 1, 0, 1, 0, 1, -1)

    def test_json_comes_first_unless_the_format_is_set(
        self, write_json, tmp_path, lld_files
    ):
        root = write_json('H_100X_C1', {'4_1_1000_ALL.png': [(1, BOX)]})
        lld_files.text(
            tmp_path.joinpath(
                'H_100X_C1/txt_labels/AttriDet/train/4_1_1000_ALL.txt'
            ),
            lld_files.row(9, (10, 5, 30, 35), SIZE, CODES),
        )
        labels = {}
        for ann_format in ('auto', 'json', 'text'):
            dataset = make(
                data_root=root, subset='H_100X_C1', ann_format=ann_format
            )
            info = dataset.get_data_info(0)
            labels[ann_format] = info['instances'][0]['bbox_label']
        assert labels == dict(auto=1, json=1, text=9)

    def test_an_empty_or_missing_subset_is_named(self, tmp_path):
        (tmp_path / 'L_10X_C1').mkdir()
        with pytest.raises(FileNotFoundError, match='L_10X_C1 has no annot'):
            make(data_root=str(tmp_path), subset='L_10X_C1')
        with pytest.raises(FileNotFoundError, match='found L_10X_C1'):
            make(data_root=str(tmp_path), subset='H_10X_C1')
        with pytest.raises(FileNotFoundError, match='found none'):
            make(data_root=str(tmp_path / 'no'), subset='H_10X_C1')

    def test_a_subset_must_be_named_once(self, tmp_path):
        for subset in ([], ['H_100X_C1', 'h_100x_c1']):
            with pytest.raises(ValueError, match='different'):
                make(data_root=str(tmp_path), subset=subset)

    def test_nothing_named(self):
        with pytest.raises(ValueError, match='neither `subset` nor'):
            make()


class TestExplicitPaths:
    def test_as_in_coco_dataset(self, write_json, tmp_path):
        write_json('mine', FIELDS)
        dataset = make(
            'json_labels/train.json',
            data_root=str(tmp_path / 'mine'),
            data_prefix=dict(img='images/train/'),
        )
        info = dataset.get_data_info(2)
        assert (info['img_id'], info['subset']) == (102, None)
        assert Path(info['img_path']).exists()

    def test_missing_files_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='a.json: no annotations'):
            make('a.json', data_root=str(tmp_path))

    def test_missing_images_are_an_error(self, write_json, tmp_path):
        write_json('mine', FIELDS)
        with pytest.raises(FileNotFoundError, match='3 of 3 annotated images'):
            make(str(tmp_path / 'mine' / 'json_labels' / 'train.json'))

    def test_format_must_be_known(self):
        with pytest.raises(ValueError, match="ann_format is 'xml'"):
            make('a.xml', ann_format='xml')

    def test_forced_format(self, write_json, tmp_path):
        write_json('mine', FIELDS, regions=[])
        kwargs = dict(
            ann_file='json_labels/train.json',
            data_root=str(tmp_path / 'mine'),
            data_prefix=dict(img='images/train/'),
        )
        with pytest.raises(AnnotationError, match='sparse_json'):
            make(**kwargs, ann_format='json')
        assert len(make(**kwargs, ann_format='sparse_json')) == 3


class TestRegions:
    REGIONS = [[0, 0, 40, 40]]

    def test_stated_regions_and_none(self, write_json):
        root = write_json('H_40X_C1', FIELDS, regions=self.REGIONS)
        dataset = make(data_root=root, subset='H_40X_C1')
        assert dataset.get_data_info(0)['annotated_regions'] == self.REGIONS
        root = write_json('H_40X_C1', FIELDS, regions=[])
        dataset = make(data_root=root, subset='H_40X_C1')
        assert dataset.get_data_info(0)['annotated_regions'] == []

    def test_unused_regions_make_the_rest_background(self, write_json):
        for regions in (self.REGIONS, []):
            root = write_json('H_40X_C1', FIELDS, regions=regions)
            dataset = make(
                data_root=root, subset='H_40X_C1', use_regions=False
            )
            assert dataset.get_data_info(0)['annotated_regions'] is None

    def test_sparse_text_with_its_order(self, tmp_path, lld_files):
        root = tmp_path / 'H_40X_C1'
        images = root / 'images' / 'train'
        labels = root / 'txt_labels' / 'AttriDet' / 'train'
        row = lld_files.row(1, (12, 32, 18, 38), SIZE, CODES, (10, 20, 30, 40))
        for name, rows in {
            '4_1_1_400_ALL': [row],
            '4_1_2_400_ALL': [],
        }.items():
            lld_files.image(images / f'{name}.png', SIZE)
            lld_files.text(labels / f'{name}.txt', *rows)
        kwargs = dict(data_root=str(tmp_path), subset='H_40X_C1')
        for order, region in (
            ('x1x2y1y2', [10, 30, 20, 40]),
            ('x1y1x2y2', [10, 20, 30, 40]),
        ):
            dataset = make(**kwargs, region_order=order)
            infos = [dataset.get_data_info(i) for i in range(2)]
            assert infos[0]['annotated_regions'] == [region]
            assert infos[1]['annotated_regions'] == []
            assert infos[1]['field'] == '1_2'
        with pytest.raises(AnnotationError, match='both orders'):
            make(**kwargs)


class TestPatients:
    @pytest.fixture
    def build(self, write_json):
        root = write_json('H_100X_C1', FIELDS)

        def _build(**kwargs):
            dataset = make(data_root=root, subset='H_100X_C1', **kwargs)
            return [
                dataset.get_data_info(i)['patient']
                for i in range(len(dataset))
            ]

        return _build

    def test_in_and_out(self, build):
        assert build(patients=[7, '4']) == ['4', '07']
        assert build(exclude_patients=['7']) == ['4', '5']
        assert build(patients=[4, 5], exclude_patients=['05']) == ['4']

    def test_the_choice_leaves_ids_alone(self, write_json):
        root = write_json('H_100X_C1', FIELDS)
        dataset = make(data_root=root, subset='H_100X_C1', patients=['7'])
        assert dataset.get_data_info(0)['img_id'] == 102

    def test_absent_patients_are_said(self, build, records):
        assert build(exclude_patients=['99', '4']) == ['5', '07']
        assert any('patients 99 that' in r.getMessage() for r in records)

    def test_nobody_left(self, build):
        with pytest.raises(ValueError, match='no image is left.*`patients`'):
            build(patients=['99'])
        with pytest.raises(ValueError, match='no image is left'):
            build(patients=[])

    def test_a_bare_patient_is_refused(self, build):
        for patient in ('4', 4):
            with pytest.raises(TypeError, match='expected a list such as'):
                build(patients=patient)

    def test_images_without_a_patient_cannot_be_chosen(self, write_json):
        fields = dict(FIELDS, **{'train_1_1000_PBC.png': []})
        root = write_json('H_100X_C1', fields)
        for key in ('patients', 'exclude_patients'):
            with pytest.raises(ValueError, match="1 of 4 images can't be"):
                make(data_root=root, subset='H_100X_C1', **{key: ['4']})


class TestClasses:
    @pytest.fixture
    def build(self, write_json):
        root = write_json(
            'H_100X_C1',
            {
                '4_15_1000_ALL.png': [
                    (0, (0, 0, 9, 9)),
                    (6, (10, 0, 9, 9)),
                    (10, (20, 0, 9, 9)),
                ]
            },
        )

        def _build(**kwargs):
            dataset = make(data_root=root, subset='H_100X_C1', **kwargs)
            instances = dataset.get_data_info(0)['instances']
            classes = dataset.metainfo['classes']
            assert len(dataset.metainfo['palette']) >= len(classes)
            return classes, [
                'ignored'
                if instance['ignore_flag']
                else classes[instance['bbox_label']]
                for instance in instances
            ]

        return _build

    def test_none_is_a_class(self, build):
        assert build()[1] == ['none', 'monoblast', 'monocyte']

    def test_ready_made_maps(self, build):
        assert build(class_map='wbc') == (('wbc',), ['wbc'] * 3)
        classes, names = build(class_map='blast')
        assert set(classes) == {'blast', 'non-blast'}
        assert names == ['ignored', 'blast', 'non-blast']

    def test_own_map(self, build):
        classes, names = build(
            class_map=dict(none=None, monoblast='ignore', monocyte='mono')
        )
        assert names == ['ignored', 'mono']
        assert len(classes) == 12
        assert 'mono' in classes

    def test_own_map_with_own_classes(self, build):
        metainfo = dict(classes=('mono', 'rest'))
        class_map = {'*': 'rest', 'monocyte': 'mono', 'monoblast': 'mono'}
        assert build(metainfo=metainfo, class_map=class_map) == (
            ('mono', 'rest'),
            ['rest', 'mono', 'mono'],
        )

    def test_overridden_classes_are_matched_by_name(self, build):
        metainfo = dict(classes=('Monocyte', 'none', 'monoblast'))
        classes, names = build(metainfo=metainfo)
        assert names == ['none', 'monoblast', 'Monocyte']

    def test_unknown_classes_are_an_error(self, build):
        metainfo = dict(classes=('none', 'monoblast'))
        with pytest.raises(
            AnnotationError,
            match="train.json, image 4_15_1000_ALL.png: .*'monocyte'.*"
            '`class_map`',
        ):
            build(metainfo=metainfo)
        _, names = build(metainfo=metainfo, class_map=dict(monocyte=None))
        assert names == ['none', 'monoblast']

    def test_malformed_metainfo_is_refused(self, build):
        with pytest.raises(TypeError, match='tuple of names'):
            build(metainfo=dict(classes='monocyte'))
        with pytest.raises(TypeError, match='expected a dict'):
            build(metainfo=['monocyte'])

    def test_overridden_attributes(self, write_json):
        root = write_json('H_100X_C1', FIELDS)
        attributes = [
            dict(name='nucleolus', values=('no', 'yes')),
            dict(name='cell_size', values=('small', 'large')),
        ]
        dataset = make(
            data_root=root,
            subset='H_100X_C1',
            metainfo=dict(attributes=attributes),
        )
        assert dataset.schema == AttributeSchema(attributes)
        assert dataset.metainfo['classes'] == LLD_CLASSES
        instances = dataset.get_data_info(0)['instances']
        assert instances[0]['attributes'] == (1, -1)


class TestFaults:
    def test_one_line_a_kind_says_what_was_repaired(self, write_json, records):
        root = write_json(
            'H_100X_C1',
            {'4_1_1000_ALL.png': [(1, BOX), (1, BOX), (2, (60, 0, 20, 9))]},
        )
        dataset = make(data_root=root, subset='H_100X_C1')
        assert dataset.issues.counts == {
            'repeated boxes dropped': 1,
            'boxes over the edge clipped': 1,
        }
        head, *kinds = records
        message = head.getMessage()
        assert head.levelno == logging.INFO
        assert '1 images with 2 cells and 0 ignored ones' in message
        assert message.endswith('faults: 2 kind(s), named below')
        assert [record.levelno for record in kinds] == [logging.WARNING] * 2
        edge, repeated = (record.getMessage() for record in kinds)
        assert '1 boxes over the edge clipped (first: ' in edge
        assert '1 repeated boxes dropped (first: ' in repeated
        assert 'annotation 1 (id 1)' in repeated

    def test_strict_raises_at_the_first_fault(self, write_json):
        root = write_json(
            'H_100X_C1', {'4_1_1000_ALL.png': [(1, BOX), (1, BOX)]}
        )
        with pytest.raises(
            AnnotationError,
            match=r'train.json, annotation 1 \(id 1\): .*repeated boxes',
        ):
            make(data_root=root, subset='H_100X_C1', strict=True)
        root = write_json('H_100X_C1', FIELDS)
        assert len(make(data_root=root, subset='H_100X_C1', strict=True)) == 3

    def test_an_image_may_be_missing(self, write_json, tmp_path):
        root = write_json('H_100X_C1', FIELDS)
        (tmp_path / 'H_100X_C1/images/train/5_1_1000_AML.png').unlink()
        dataset = make(data_root=root, subset='H_100X_C1')
        assert [info['img_id'] for info in dataset.data_list] == [100, 102]
        (place,) = dataset.issues.places[
            'annotated images that are not there dropped'
        ]
        assert place.endswith('train.json, image 5_1_1000_AML.png')

    def test_damaged_pixels_are_an_error_that_names_the_image(
        self, write_json, tmp_path
    ):
        root = write_json('H_100X_C1', FIELDS)
        path = tmp_path / 'H_100X_C1/images/train/5_1_1000_AML.png'
        content = bytearray(path.read_bytes())
        content[-20] ^= 0xFF  # in the pixels, whose check sum is then wrong
        path.write_bytes(bytes(content))
        dataset = make(
            data_root=root,
            subset='H_100X_C1',
            pipeline=[dict(type='LoadImageFromFile')],
        )
        assert not dataset.issues.counts
        assert dataset[0]['img'].shape == (48, 64, 3)
        with pytest.raises(AssertionError, match='5_1_1000_AML.png'):
            dataset[1]

    def test_garbage_collection_goes_on_after_an_error(self, tmp_path):
        (tmp_path / 'a.json').write_text('[')
        with pytest.raises(AnnotationError):
            make('a.json', data_root=str(tmp_path))
        assert gc.isenabled()

    def test_a_clean_file_is_no_warning(self, write_json, records):
        root = write_json('H_100X_C1', FIELDS)
        make(data_root=root, subset='H_100X_C1')
        (record,) = records
        assert record.levelno == logging.INFO
        assert record.getMessage().endswith('faults: none')

    def test_a_conflict_of_classes_is_ignored(self, write_json):
        root = write_json(
            'H_100X_C1', {'4_1_1000_ALL.png': [(1, BOX), (2, BOX)]}
        )
        dataset = make(data_root=root, subset='H_100X_C1')
        (instance,) = dataset.get_data_info(0)['instances']
        assert instance['ignore_flag'] == 1


def test_ten_thousand_cells_are_read_quickly(tmp_path, lld_files):
    lld_files.image(tmp_path / '0.png', (640, 640))
    image = (tmp_path / '0.png').read_bytes()
    images, annotations = [], []
    for image_id in range(2000):
        (tmp_path / f'{image_id}.png').write_bytes(image)
        images.append(
            dict(
                id=image_id,
                file_name=f'{image_id}.png',
                width=640,
                height=640,
            )
        )
        for x in range(5):
            annotations.append(
                lld_files.annotation(
                    len(annotations), image_id, (100 * x, 50, 80, 80)
                )
            )
    lld_files.json(tmp_path / 'a.json', images, annotations)
    start = time.process_time()
    dataset = LLDDataset('a.json', data_root=str(tmp_path))
    spent = time.process_time() - start
    assert sum(len(dataset.get_cat_ids(i)) for i in range(2000)) == 10000
    # Takes about 0.6 s; the limit leaves room for slow machines.
    assert spent < 6, f'{spent:.1f} s'


def test_return_classes_as_in_mmdet(write_json):
    root = write_json('H_100X_C1', FIELDS)
    dataset = make(data_root=root, subset='H_100X_C1', return_classes=True)
    info = dataset.get_data_info(0)
    assert info['text'] == LLD_CLASSES
    assert info['custom_entities'] is True


DATA = Path(__file__).parents[2] / 'data'
PBC = DATA / 'pbc_fields'
BCCD = DATA / 'bccd_fields'


@pytest.mark.skipif(not PBC.exists(), reason='data/pbc_fields is not there')
class TestPbcFields:
    @staticmethod
    def build(name, **kwargs):
        return make(
            f'json_labels/{name}.json',
            data_root=str(PBC),
            data_prefix=dict(img='images/'),
            **kwargs,
        )

    @staticmethod
    def count(dataset, flag):
        return sum(
            instance['ignore_flag'] == flag
            for i in range(len(dataset))
            for instance in dataset.get_data_info(i)['instances']
        )

    @pytest.mark.parametrize(
        'name, images, cells, ignored',
        [
            ('train', 87, 348, 17),
            ('val', 25, 100, 5),
            ('train_sparse', 87, 75, 3),
        ],
    )
    def test_counts(self, name, images, cells, ignored):
        dataset = self.build(name)
        assert len(dataset) == images
        assert self.count(dataset, 0) == cells
        assert self.count(dataset, 1) == ignored
        assert not dataset.issues.counts

    def test_values_are_those_of_the_file(self):
        dataset = self.build('train')
        with open(PBC / 'json_labels' / 'train.json') as file:
            content = json.load(file)
        expected = {}
        for item in content['annotations']:
            expected.setdefault(item['image_id'], []).append(item)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            items = expected[info['img_id']]
            assert len(items) == len(info['instances'])
            for item, instance in zip(items, info['instances']):
                x, y, w, h = item['bbox']
                assert instance['bbox'] == [x, y, x + w, y + h]
                assert instance['bbox_label'] == item['category_id']
                codes = [
                    item[a.get('json_key', a['name'])] for a in LLD_ATTRIBUTES
                ]
                assert instance['attributes'] == tuple(
                    -1 if code == 4 else code for code in codes
                )

    def test_sparse_fields(self):
        dataset = self.build('train_sparse')
        empty = 0
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            ((x1, y1, x2, y2),) = info['annotated_regions']
            area = (x2 - x1) * (y2 - y1)
            share = area / info['width'] / info['height']
            assert share == pytest.approx(0.2, abs=0.01)
            cells = [
                item['bbox']
                for item in info['instances']
                if not item['ignore_flag']
            ]
            empty += not cells
            for left, top, right, bottom in cells:
                assert x1 <= (left + right) / 2 <= x2
                assert y1 <= (top + bottom) / 2 <= y2
        assert empty == 12
        kept = self.build(
            'train_sparse', filter_cfg=dict(filter_empty_gt=True)
        )
        assert len(kept) == 75

    def test_five_classes_do(self):
        names = (
            'neutrophil',
            'lymphocyte',
            'monocyte',
            'eosinophil',
            'basophil',
        )
        # The ignored cells are of the class "none", and need none.
        dataset = self.build('val', metainfo=dict(classes=names))
        labels = [label for i in range(25) for label in dataset.get_cat_ids(i)]
        assert set(labels) == set(range(5))
        assert self.count(dataset, 1) == 5

    def test_names_are_not_taken_for_patients(self):
        info = self.build('val').get_data_info(0)
        assert info['patient'] is info['diagnosis'] is None


@pytest.mark.skipif(not BCCD.exists(), reason='data/bccd_fields is not there')
def test_bccd_fields():
    classes = ('platelet', 'erythrocyte', 'white blood cell')
    dataset = make(
        'json_labels/train.json',
        data_root=str(BCCD),
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=classes),
    )
    labels = [label for i in range(150) for label in dataset.get_cat_ids(i)]
    assert [labels.count(i) for i in range(3)] == [162, 3505, 158]
    instances = dataset.get_data_info(0)['instances']
    assert {instance['attributes'] for instance in instances} == {(-1,) * 7}
