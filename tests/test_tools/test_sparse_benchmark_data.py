# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from mmleuk.datasets import LLDDataset

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
NUM_FIELDS = 10
FULL = 'data/pbc_fields/json_labels/train.json'
SPARSE = 'data/pbc_fields/json_labels/train_sparse.json'


@pytest.fixture
def data(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('sparse_data')


def write_labels(folder, full=FULL, sparse=SPARSE):
    """Write the labels of ten fields of ten cells, full and sparse."""
    images, annotations = [], []
    for number in range(NUM_FIELDS):
        name = f'{number}_1_1000_PBC.png'
        images.append(dict(id=number, file_name=name, width=200, height=100))
        annotations += [
            dict(
                id=len(annotations) + column,
                image_id=number,
                category_id=3,
                bbox=[20 * column, 40, 18, 18],
            )
            for column in range(10)
        ]
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=3, name='neutrophil')],
    )
    (folder / full).parent.mkdir(parents=True)
    (folder / full).write_text(json.dumps(content))
    # Told from what is cut by its one region, and in another order.
    region = [[0, 0, 20, 100]]
    content.update(
        images=[dict(im, annotated_regions=region) for im in images[::-1]],
        annotations=[a for a in annotations if a['bbox'][0] == 0],
    )
    (folder / sparse).write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with labels in it."""
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path)
    return tmp_path


def read(path):
    return json.loads(Path(path).read_text())


def fields_of(path):
    return {image['id'] for image in read(path)['images']}


@pytest.fixture
def annotations(data, folder):
    def make(part=None, name='pbc'):
        return data.Annotations(
            data.SOURCES[name], folder / 'annotations', part
        )

    return make


class TestAnnotations:
    def test_what_is_there_is_used_as_it_is(self, annotations, folder):
        assert annotations().train(1) == folder / FULL
        assert annotations().train(0.2) == folder / SPARSE
        assert not (folder / 'annotations').exists()

    def test_other_shares_are_cut_from_the_full_labels(self, annotations):
        path = annotations().train(0.1)
        assert path.is_absolute()
        content = read(path)
        assert len(content['images']) == NUM_FIELDS
        for image in content['images']:
            ((x1, y1, x2, y2),) = image['annotated_regions']
            area = (x2 - x1) * (y2 - y1)
            assert area == pytest.approx(0.1 * 200 * 100, rel=0.05)
        assert 0 < len(content['annotations']) < 50
        # The same file for every seed and every start.
        before = path.stat().st_mtime_ns
        assert annotations().train(0.1) == path
        assert path.stat().st_mtime_ns == before

    def test_rectangles_follow_their_seed(self, data, folder):
        cuts = [
            data.Annotations(
                data.SOURCES['pbc'], folder / str(seed), cut_seed=seed
            )
            for seed in (0, 1)
        ]
        for share in (0.2, 0.1):
            first, second = (read(cut.train(share)) for cut in cuts)
            assert first['images'] != second['images']
        assert cuts[0].train(1) == folder / FULL

    @pytest.mark.parametrize('share', [1, 0.2, 0.1])
    def test_held_out_fields_are_no_train_fields(self, annotations, share):
        chosen = annotations(part=3)
        held_out = chosen.held_out()
        assert fields_of(held_out) == {3, 7}
        assert not any(
            'annotated_regions' in image for image in read(held_out)['images']
        )
        assert len(read(held_out)['annotations']) == 20
        train = chosen.train(share)
        assert fields_of(train) == set(range(NUM_FIELDS)) - {3, 7}
        assert {a['image_id'] for a in read(train)['annotations']} <= (
            fields_of(train)
        )

    def test_each_field_is_held_out_once(self, annotations, folder):
        parts = []
        for part in range(4):
            chosen = annotations(part)
            # A file is written once and for all.
            chosen.folder = folder / f'part_{part}'
            parts.append(fields_of(chosen.held_out()))
        assert sorted(i for part in parts for i in part) == list(
            range(NUM_FIELDS)
        )

    def test_choosing_trains_on_the_same_labels(self, annotations):
        chosen = read(annotations(part=3).train(0.2))
        regions = [image['annotated_regions'] for image in chosen['images']]
        assert regions == [[[0, 0, 20, 100]]] * 8

    @pytest.mark.parametrize('share', [1, 0.2, 0.1])
    @pytest.mark.parametrize('part', [None, 0])
    def test_missing_films_are_told_how_to_make(
        self, annotations, share, part
    ):
        films = annotations(part, name='synthetic')
        with pytest.raises(
            FileNotFoundError,
            match='there is no data/synthetic_sparse/.*make it by .python '
            'tools/.* --preset sparse40x --out data/synthetic_sparse',
        ):
            films.train(share)

    def test_missing_data_are_named(self, annotations, folder):
        (folder / SPARSE).unlink()
        assert annotations().train(1) == folder / FULL
        with pytest.raises(FileNotFoundError, match='no data/pbc_.*get the'):
            annotations().train(0.2)

    def test_the_command_makes_the_films(self, data, folder, monkeypatch):
        """The command of the message, for fewer fields."""
        source = data.SOURCES['synthetic']
        python, tool, *arguments = source.command.split()
        assert python == 'python'
        tool = FOLDER.parents[2] / tool
        arguments += ['--train-fields', '1', '--test-fields', '0']
        monkeypatch.setattr(sys, 'argv', [str(tool), *arguments])
        runpy.run_path(str(tool), run_name='__main__')
        films = data.Annotations(source, folder / 'annotations')
        (full,) = read(films.train(1))['images']
        assert 'annotated_regions' not in full
        (sparse,) = read(films.train(0.2))['images']
        ((x1, y1, x2, y2),) = sparse['annotated_regions']
        area = (x2 - x1) * (y2 - y1)
        share = area / (sparse['width'] * sparse['height'])
        assert share == pytest.approx(data.READY_SHARE, abs=0.005)


def make_dataset(ann_file='json_labels/train_sparse.json', **kwargs):
    return dict(
        type='mmleuk.LLDDataset',
        data_root='data/pbc_fields/',
        ann_file=ann_file,
        data_prefix=dict(img='images/'),
        **kwargs,
    )


CROP = [dict(type='mmleuk.RegionCrop')]


def make_config(train, **kwargs):
    evaluation = dict(
        dataset=make_dataset('json_labels/val.json', test_mode=True)
    )
    return Config(
        dict(
            train_dataloader=dict(batch_size=20, dataset=train),
            val_dataloader=evaluation,
            test_dataloader=evaluation,
            train_cfg=dict(max_epochs=12),
            **kwargs,
        )
    )


class TestUseAnnotations:
    def test_every_dataset_that_trains(self, data, annotations):
        wrapped = dict(
            type='ConcatDataset',
            datasets=[make_dataset(), make_dataset(filter_cfg=None)],
        )
        mining = dict(dataset=make_dataset(test_mode=True))
        cfg = make_config(
            wrapped,
            mining_dataloader=mining,
            custom_hooks=[dict(type='MiningHook', dataloader=mining)],
        )
        files = annotations()
        data.use_annotations(cfg, files, 0.1)
        found = [d['ann_file'] for d in data.iter_datasets(dict(cfg.items()))]
        cut = str(files.train(0.1))
        assert sorted(found) == sorted(
            [cut] * 4 + ['json_labels/val.json'] * 2
        )

    def test_choosing_never_touches_validation_data(self, data, annotations):
        cfg = make_config(make_dataset())
        files = annotations(part=3)
        data.use_annotations(cfg, files, 0.2)
        for loader in ('val_dataloader', 'test_dataloader'):
            assert cfg[loader].dataset.ann_file == str(files.held_out())
            assert cfg[loader].dataset.test_mode
        assert cfg.train_dataloader.dataset.ann_file == str(files.train(0.2))

    def test_subsets(self, data, folder):
        """Full labels that only the name of the subset names."""
        path = folder / 'films' / 'H_100X_C1' / 'json_labels' / 'train.json'
        path.parent.mkdir(parents=True)
        path.write_text((folder / FULL).read_text())
        source = data.Source(
            'films/H_100X_C1/json_labels/train.json',
            'films/H_100X_C1/json_labels/train_sparse.json',
        )
        subset = dict(
            type='mmleuk.LLDDataset', data_root='films/', subset='H_100X_C1'
        )
        cfg = make_config(dict(subset, split='train'))
        for loader in ('val_dataloader', 'test_dataloader'):
            cfg[loader].dataset = dict(subset, split='test')
        files = data.Annotations(source, folder / 'cut', 3)
        data.use_annotations(cfg, files, 1)
        assert cfg.train_dataloader.dataset.ann_file == str(files.train(1))
        assert cfg.val_dataloader.dataset == dict(
            subset, split='train', ann_file=str(files.held_out())
        )

    @pytest.mark.parametrize(
        'ann_file, share',
        [
            (None, 0.2),
            ('json_labels/train.json', 0.2),
            ('json_labels/train_sparse.json', 1),
        ],
    )
    def test_a_config_that_reads_other_labels(
        self, data, annotations, ann_file, share
    ):
        """Such as one that sees the full labels that it should not see."""
        train = [make_dataset()]
        train += [make_dataset(ann_file)] if ann_file else []
        if ann_file is None:
            train = [make_dataset(subset=['A', 'B'])]
        cfg = make_config(dict(type='ConcatDataset', datasets=train))
        with pytest.raises(ValueError, match='expected .*json alone'):
            data.use_annotations(cfg, annotations(), share)

    def test_the_dataset_finds_file_and_images(self, data, annotations):
        """An absolute annotation file leaves the images where they are."""
        folder = Path('data/pbc_fields/images')
        folder.mkdir()
        image = Image.new('RGB', (200, 100))
        for number in range(NUM_FIELDS):
            image.save(folder / f'{number}_1_1000_PBC.png')
        cfg = make_config(make_dataset())
        data.use_annotations(cfg, annotations(), 0.1)
        settings = dict(cfg.train_dataloader.dataset)
        settings.pop('type')
        dataset = LLDDataset(**settings)
        assert len(dataset) == NUM_FIELDS
        assert dataset[0]['img_path'].startswith('data/pbc_fields/images/')
        assert len(dataset[0]['annotated_regions']) == 1


class TestUseBudget:
    def test_smaller_crops(self, data):
        cfg = make_config(make_dataset(pipeline=CROP))
        cfg.train_cfg.max_epochs = 60
        cfg.param_scheduler = [
            dict(type='LinearLR', by_epoch=False, end=100),
            dict(type='CosineAnnealingLR', end=60, T_max=60),
        ]
        data.use_budget(cfg, 0.05)
        assert cfg.train_dataloader.batch_size == 80
        assert cfg.train_cfg.max_epochs == 240
        assert [item.end for item in cfg.param_scheduler] == [100, 240]

    def test_the_share_that_configs_are_meant_for(self, data):
        cfg = make_config(make_dataset(pipeline=CROP))
        before = cfg.to_dict()
        data.use_budget(cfg, 0.2)
        assert cfg.to_dict() == before
