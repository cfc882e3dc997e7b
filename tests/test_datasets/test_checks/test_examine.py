# Copyright (c) mmleuk authors. All rights reserved.
import json

import pytest
from faulty_dataset import FaultyDataset
from lld_files import JSON_KEYS
from mmengine.config import Config

from mmleuk.datasets.checks import Source, examine, find_sources
from mmleuk.datasets.checks.examine import group_films


@pytest.fixture
def faulty_dataset(tmp_path):
    faulty_dataset = FaultyDataset(tmp_path / 'data', 'sparse_json')
    faulty_dataset.add_cell(iscrowd=1)
    no_attributes = dict.fromkeys(JSON_KEYS, 4)
    faulty_dataset.add_cell((8, 6, 5, 5), category_id=0, **no_attributes)
    return faulty_dataset


def test_counts(faulty_dataset):
    faulty_dataset.write()
    report = examine([Source('train', faulty_dataset.options)], workers=1)
    (source,) = report.sources
    assert (report.status, report.across) == (0, [])
    assert (report.checked_images, report.unnamed_images) == (6, 0)
    assert source.name == str(faulty_dataset.folder / 'train.json')
    assert (source.images, source.cells, source.ignored) == (6, 13, 1)
    assert source.partly_annotated == 6
    assert len(source.classes) == 14
    assert source.classes['myeloblast'] == 12
    assert source.classes['none'] == 1
    assert source.attributes['Nucleolus'] == dict(
        inconspicuous=0, prominent=12, missing=1
    )
    assert source.majorities['Nucleolus'] == dict.fromkeys(
        ('all', 'type', 'patient', 'type in patient'),
        dict(accuracy=1, macro_f1=1),
    )
    assert source.patients == dict.fromkeys('012345', 1)
    assert source.magnifications == {'100x': 6}
    assert source.diagnoses == {'ALL': 6}
    assert source.balance['annotations'] == dict(read=14, kept=14, removed=0)
    text = report.to_text()
    assert '| myeloblast            | 12 |' in text
    assert 'images by patients: 0: 1, 1: 1' in text
    assert 'Nucleolus                              | 1.000 / 1.000 |' in text
    assert 'Result: no fault found.' in text


def test_faults_and_their_places(faulty_dataset):
    faulty_dataset.add_cell((8, 6, 0, 5))
    faulty_dataset.add_image('not there.png', draw=False)
    faulty_dataset.write()
    report = examine(
        [Source('train', faulty_dataset.options)], with_images=False
    )
    (source,) = report.sources
    assert report.status == 1
    assert report.checked_images == 0
    assert {fault.kind: fault.count for fault in source.faults} == {
        'boxes without an area in the image dropped': 1,
        'annotated images that are not there dropped': 1,
    }
    assert source.faults[1].outcome == 'dropped'
    assert source.faults[1].places == [
        f'{faulty_dataset.json_path}, annotation 14 (id 14)'
    ]
    assert source.balance['images'] == dict(read=7, kept=6, removed=1)
    text = report.to_text()
    assert 'annotations: 15 read = 14 kept + 1 removed' in text
    assert 'annotation 14 (id 14)' in text
    content = json.loads(json.dumps(report.to_dict()))
    assert content['status'] == 1
    assert content['sources'][0]['faults'][1]['count'] == 1


def test_refused_data_does_not_stop_the_rest(faulty_dataset, tmp_path):
    faulty_dataset.write()
    broken = FaultyDataset(tmp_path / 'broken')
    broken.raw = b'['
    broken.write()
    sources = [
        Source('train', broken.options),
        Source('val', dict(faulty_dataset.options, ann_file='none.json')),
        Source('test', faulty_dataset.options),
    ]
    report = examine(sources, with_images=False)
    assert report.status == 2
    assert 'no JSON' in report.sources[0].error
    assert 'none.json' in report.sources[1].error
    assert report.sources[2].images == 6
    assert 'REFUSED: ' in report.to_text()


def test_patients_and_images_in_two_splits(faulty_dataset):
    faulty_dataset.write()
    sources = [
        Source(split, faulty_dataset.options) for split in ('train', 'test')
    ]
    report = examine(sources, workers=1)
    assert {fault.kind: fault.count for fault in report.across} == {
        'patients in more than one split': 6,
        'identical images in more than one split': 6,
    }
    assert report.across[0].places[0] == (
        'patient 0: 1 images in train, 1 images in test'
    )
    # Within a split, one file in two annotation files is no leak.
    report = examine([Source('train', faulty_dataset.options)] * 2, workers=1)
    assert report.across == []


@pytest.mark.parametrize('with_images', [True, False])
def test_a_file_in_two_splits_is_a_leak(faulty_dataset, with_images):
    faulty_dataset.write()
    link = faulty_dataset.folder.parent / 'link'
    link.symlink_to(faulty_dataset.folder)
    sources = [
        Source('train', faulty_dataset.options),
        Source('val', dict(faulty_dataset.options, data_root=str(link))),
    ]
    report = examine(sources, with_images, workers=1)
    assert report.status == 1
    counts = {fault.kind: fault.count for fault in report.across}
    assert counts['identical images in more than one split'] == 6


@pytest.mark.parametrize('with_images', [True, False])
def test_indices_split_a_file(faulty_dataset, with_images):
    faulty_dataset.write()
    dataset = dict(type='mmleuk.LLDDataset', **faulty_dataset.options)

    def check(train, val):
        cfg = Config(
            dict(
                train_dataloader=dict(dataset=dict(dataset, indices=train)),
                val_dataloader=dict(dataset=dict(dataset, indices=val)),
            )
        )
        report = examine(find_sources(cfg), with_images, workers=1)
        images = tuple(source.images for source in report.sources)
        return images, sorted(fault.count for fault in report.across)

    assert check([0, 1, 2, 3], [4, 5]) == ((4, 2), [])
    assert check(4, -2) == ((4, 2), [])
    # One image, and so its patient, is in both.
    assert check([0, 1, 2, 3], [3, 4, 5]) == ((4, 3), [1, 1])


def test_filtered_images_are_not_in_a_split(faulty_dataset):
    faulty_dataset.add_image('7_1_1000_ALL.png')
    faulty_dataset.write()
    dataset = dict(
        type='mmleuk.LLDDataset',
        **faulty_dataset.options,
        filter_cfg=dict(filter_empty_gt=True),
    )
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dataset),
            test_dataloader=dict(dataset=dict(dataset, test_mode=True)),
        )
    )
    report = examine(find_sources(cfg), with_images=False)
    assert [source.images for source in report.sources] == [6, 7]


def test_patients_of_two_names_are_one(faulty_dataset, tmp_path):
    faulty_dataset.write()
    other = FaultyDataset(tmp_path / 'other')
    for image in other.images:
        path = other.image_path(image['file_name'])
        image['file_name'] = '9' + image['file_name'].replace('_1_', '_2_')
        path.unlink()
        other.draw(image['file_name'])
    other.add_image('003_7_1000_ALL.png')
    other.add_image('no_patient.png')
    other.write()
    sources = [
        Source('train', faulty_dataset.options),
        Source('test', other.options),
    ]
    report = examine(sources, workers=1)
    (fault,) = report.across
    assert fault.places == ['patient 3: 1 images in train, 1 images in test']
    assert report.unnamed_images == 1
    assert '1 images name no patient' in report.to_text()


class TestFindSources:
    DATASET = dict(type='mmleuk.LLDDataset', ann_file='a.json', pipeline=[1])

    def test_wrapped_datasets(self):
        wrapped = dict(
            type='RepeatDataset',
            dataset=dict(
                type='ConcatDataset',
                datasets=[self.DATASET, dict(self.DATASET, ann_file='b.json')],
            ),
        )
        cfg = Config(
            dict(
                train_dataloader=dict(dataset=wrapped),
                val_dataloader=dict(dataset=dict(self.DATASET, split='test')),
                test_dataloader=dict(
                    dataset=dict(self.DATASET, split='test', test_mode=True)
                ),
            )
        )
        sources = find_sources(cfg)
        assert [source.split for source in sources] == [
            'train',
            'train',
            'val and test',
        ]
        assert [source.name for source in sources] == [
            'a.json',
            'b.json',
            'a.json',
        ]
        assert 'pipeline' not in sources[0].options

    def test_test_of_its_own(self):
        cfg = Config(
            dict(
                train_dataloader=None,
                val_dataloader=dict(dataset=self.DATASET),
                test_dataloader=dict(
                    dataset=dict(self.DATASET, subset=['A', 'B'])
                ),
            )
        )
        splits = {source.name: source.split for source in find_sources(cfg)}
        assert splits == {'a.json': 'val', 'A, B': 'test'}

    def test_none(self):
        cfg = Config(
            dict(train_dataloader=dict(dataset=dict(type='CocoDataset')))
        )
        with pytest.raises(ValueError, match='no dataloader has a dataset'):
            find_sources(cfg)


@pytest.mark.parametrize(
    ('subsets', 'groups'),
    [
        (dict(H_40X_C1='ab', H_40X_C2='c'), ['ab', 'c']),
        # What states no subset may belong to any.
        ({'H_40X_C1': 'ab', None: 'bc'}, ['abc']),
        ({None: 'ab'}, ['ab']),
    ],
)
def test_images_of_a_film_are_grouped(subsets, groups):
    paths = {name: dict.fromkeys(text) for name, text in subsets.items()}
    found = [''.join(group) for group in group_films({'5': paths})]
    assert found == groups
