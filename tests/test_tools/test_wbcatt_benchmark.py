# Copyright (c) mmleuk authors. All rights reserved.
"""The benchmark on WBCAtt fields, with stubs for trainings and tests."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import HOOKS

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
NAMES = [f'{index}.jpg' for index in range(8)]


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    folder = Path('data/wbcatt_fields/json_labels')
    folder.mkdir(parents=True)
    images = [
        dict(id=index, file_name=name, width=600, height=605)
        for index, name in enumerate(NAMES)
    ]
    cells = [
        dict(id=i, image_id=i, category_id=0, bbox=[9, 9, 90, 90], iscrowd=0)
        for i in range(8)
    ]
    categories = [dict(id=0, name='monocyte')]
    (folder / 'train.json').write_text(
        json.dumps(
            dict(images=images, annotations=cells, categories=categories)
        )
    )
    return importlib.import_module('wbcatt')


@pytest.fixture
def run(benchmark, monkeypatch, capsys):
    """Run the benchmark with stubs; give what it prints."""

    def run_logged(command, work_dir, resumes=False):
        work_dir.mkdir(parents=True, exist_ok=True)
        with open('trained.txt', 'a') as file:
            file.write(f'{work_dir}\n')
        return 30.0

    def score(job):
        base = 0.8 + job.about['seed'] / 10
        scores = {
            'lld/bbox_mAP': base,
            'confusion/myelocyte/myelocyte': 3,
            'confusion/myelocyte/basophil': 1,
        }
        if job.about['variant'] != 'boxes':
            scores['lld/attr_macro_f1'] = base
            scores['lld/attr_granularity_macro_f1_within_types'] = 0.25
            scores['six/attr_cytoplasm_macro_f1'] = 0.125
        return scores

    monkeypatch.setattr(benchmark.runs, 'run_logged', run_logged)
    monkeypatch.setattr(benchmark, 'score', score)
    monkeypatch.setattr(
        benchmark.compare_configs, 'count_parameters', lambda config: 7.5e6
    )

    def run(*arguments):
        command = ['wbcatt.py', *arguments, '--work-dir', 'out']
        monkeypatch.setattr(sys, 'argv', command)
        benchmark.main()
        return capsys.readouterr().out

    return run


def prepare(benchmark, monkeypatch, name, *arguments):
    command = ['wbcatt.py', '--variants', name, *arguments]
    monkeypatch.setattr(sys, 'argv', command)
    job = benchmark.prepare(name, 1, benchmark.parse_args(), Path('out'))
    return Config.fromfile(job.config)


def test_every_variant_differs_in_its_settings_alone(benchmark, monkeypatch):
    plain = prepare(benchmark, monkeypatch, 'head')
    for name in benchmark.VARIANTS:
        cfg = prepare(benchmark, monkeypatch, name)
        assert cfg.train_cfg == plain.train_cfg, name
        assert cfg.optim_wrapper == plain.optim_wrapper, name
        assert (cfg.to_dict() == plain.to_dict()) == (name == 'head'), name
        model = MODELS.build(cfg.model)
        assert hasattr(model.roi_head, 'attribute_head') == (name != 'boxes')
        for hook in cfg.get('custom_hooks', []):
            HOOKS.build(hook)


def test_variants_are_combined(benchmark, monkeypatch):
    cfg = prepare(benchmark, monkeypatch, 'logit-adjusted+jitter+512px')
    head = cfg.model.roi_head
    assert head.attribute_head.long_tail.type == 'mmleuk.LogitAdjustment'
    assert head.attribute_size_std == 0.1
    for part in ('train', 'val', 'test'):
        pipeline = cfg[f'{part}_dataloader'].dataset.pipeline
        (scale,) = [t.scale for t in pipeline if t.type == 'Resize']
        assert tuple(scale) == (512, 512)
    for name, message in (
        ('head+tail', 'got tail, expected some of head'),
        ('attridet+boxes', 'expected one config'),
        ('logit-adjusted+class-balanced', 'long_tail twice'),
    ):
        with pytest.raises(ValueError, match=message):
            benchmark.find_variant(name)


def test_settings_are_chosen_on_train_fields(benchmark, monkeypatch):
    cfg = prepare(benchmark, monkeypatch, 'head', '--choose', '--fields', '4')
    assert cfg.train_dataloader.dataset.indices == 4
    assert cfg.train_cfg.max_epochs == benchmark.FEW_EPOCHS
    names = {}
    for part in ('train', 'val', 'test'):
        file = cfg[f'{part}_dataloader'].dataset.ann_file
        content = json.loads(Path(file).read_text())
        names[part] = {image['file_name'] for image in content['images']}
    # Every fourth from the second, since the seed is 1.
    assert names['test'] == names['val'] == {'1.jpg', '5.jpg'}
    assert names['train'] == set(NAMES) - names['test']
    metainfo = cfg.test_dataloader.dataset.metainfo
    assert len(metainfo.attributes) == 11


def test_tables_and_record(run):
    printed = run(
        *('--variants', 'head', 'boxes', '--seeds', '0', '1'),
        *('--record', 'kept.jsonl'),
    )
    assert Path('out/table.md').read_text() in printed
    rows = [line.strip('| ').split(' | ') for line in printed.splitlines()]
    rows = [row for row in rows if len(row) > 1]
    by_name = {tuple(row[:2]): row for row in rows}
    head = by_name['`head`', '0, 1']
    assert head[2] == head[4] == '0.850 ± 0.071'
    assert by_name['`boxes`', '0, 1'][4] == '–'
    assert by_name['`head`', 'myelocyte'][2:] == [
        *('75.0 %', '0.0 %', '0.0 %', '25.0 %', '0.0 %')
    ]
    (mean, of_six) = [row for row in rows if row[0] == 'mean']
    assert mean[1] == '0.850 ± 0.071'
    assert mean[-2:] == ['0.947', '0.9127']
    assert of_six[-2:] == ['0.951', '–']
    (granularity,) = [row for row in rows if row[0] == 'granularity']
    assert granularity[5] == '0.250 ± 0.000'
    (cytoplasm,) = [row for row in rows if row[0] == 'cytoplasm']
    assert cytoplasm[1] == '0.125 ± 0.000'
    lines = Path('kept.jsonl').read_text().splitlines()
    assert len(lines) == 4
    # What is finished is not repeated.
    trained = Path('trained.txt').read_text()
    run('--variants', 'head', 'boxes', '--seeds', '0', '1')
    table = Path('out/table.md').read_text()
    printed = run('--report-only', '--record', 'kept.jsonl')
    assert printed.strip() == table.strip()
    assert Path('trained.txt').read_text() == trained
    assert Path('kept.jsonl').read_text().splitlines() == lines


def test_bad_arguments(run, capsys):
    for arguments, message in (
        (['--variants', 'hed'], 'got hed, expected some of head'),
        (['--choose', '--record', 'a.jsonl'], '--record is for scores'),
        (['--fields', '0'], '--fields is 0, expected at least 1'),
        (['--report-only'], 'out holds no results'),
    ):
        with pytest.raises(SystemExit) as error:
            run(*arguments)
        assert message in capsys.readouterr().err + str(error.value)


def test_the_six_follow_from_the_eleven(benchmark):
    """As many codes as an attribute has values; names of the schema."""
    path = Path(benchmark.runs.ROOT, 'configs/_base_/schemas/wbcatt.py')
    sizes = {
        attribute['name']: len(attribute['values'])
        for attribute in Config.fromfile(path).attributes
    }
    assert {
        source: len(codes) for source, codes in benchmark.SIX.values()
    } == {source: sizes[source] for source, _ in benchmark.SIX.values()}
    assert [*sizes, 'mean'] == list(benchmark.HUMAN)
    assert [*benchmark.SIX, 'mean'] == list(benchmark.HUMAN_OF_SIX)
