# Copyright (c) mmleuk authors. All rights reserved.
"""Results that the documentation states are those of the records."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'tools' / 'dev' / 'benchmarks'
FOLDERS = sorted(
    path for path in (ROOT / 'configs').iterdir() if path.name != '_base_'
)
CROP = 'configs/baselines/crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
OTHER = 'configs/baselines/other.py'
README = f"""
A box AP of 0.700 in both tables. The setting `0.123` is no result.

<!-- results: {{data: pbc, share: 0.2}} -->

| method | seeds | box AP | minutes |
| --- | --- | --- | --- |
| `full` (all labels) | 1 | 0.875 | 5.0 |
| **`crop`** | 2 | 0.700 ± 0.141 (80 %) | 10.0 ± 0.0 (200 %) |

<!-- results: {{rows: [{{repeats: {OTHER}}}]}} -->

| model | box AP | attributes end to end |
| --- | --- | --- |
| other | 0.555 | |

<!-- results: {{data: pbc, method: crop, seed: 1,
  numbers: [{{key: bbox_mAP}}]}} -->

Seed 1 has 0.800 of 1,234 cells.
"""
BASELINES = """
<!-- unrecorded: python tools/train.py CONFIG -->

| config | box AP |
| --- | --- |
| [other](other.py) | 0.555 |

| setting | value |
| --- | --- |
| momentum | 0.5, and 0.125 later |

```
| box AP |
| --- |
| 0.999 |
```
"""
METAFILE = f"""
Collections:
  - Name: Baselines

Models:
  - Name: crop
    Config: {CROP}
    Results:
      - Task: Object Detection
        Dataset: PBC fields, a fifth annotated
        Metrics:
          box AP: 0.700
  - Name: other
    Config: {OTHER}
    Results:
      - Task: Object Detection
        Dataset: PBC fields
        Metrics:
          box AP: 0.555
  - Name: not run
    Config: configs/baselines/not_run.py
"""


@pytest.fixture(scope='module')
def tool():
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module('check_numbers')
    sys.path.remove(str(FOLDER))


def result(method, seed, ap, **settings):
    return dict(
        dict(data='pbc', share=0.2, redrawn=False, cfg_options=[]),
        method=method,
        seed=seed,
        minutes=5.0 if method == 'full' else 10.0,
        revision='abc',
        scores={'lld/bbox_mAP': ap},
        **settings,
    )


@pytest.fixture
def clone(tmp_path):
    """Files with results, all of which are recorded."""
    results = [
        result('full', 0, 0.875) | {'share': 1},
        result('crop', 0, 0.6),
        result('crop', 1, 0.8),
        # Of other settings.
        result('crop', 2, 0.1) | {'redrawn': True},
        result('crop', 2, 0.2) | {'share': 0.1},
        result('crop', 2, 0.3) | {'cfg_options': ['a=1']},
    ]
    for name, text in {
        'README.md': README,
        'configs/baselines/README.md': BASELINES,
        'configs/baselines/metafile.yml': METAFILE,
        'docs/results/sparse.jsonl': '\n'.join(map(json.dumps, results)),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def test_the_documentation_states_recorded_results(tool):
    assert tool.NumberCheck(ROOT).run() == []


def test_the_command_names_and_mends_numbers(tool, clone, monkeypatch, capsys):
    monkeypatch.setattr(tool.runs, 'ROOT', clone)
    monkeypatch.setattr(sys, 'argv', ['check_numbers.py'])
    replace(clone / 'README.md', '| 0.875 |', '| 0.874 |')
    with pytest.raises(SystemExit) as stop:
        tool.main()
    assert stop.value.code == 1
    assert "README.md:8: got '0.874': docs/results" in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['check_numbers.py', '--fix'])
    with pytest.raises(SystemExit):
        tool.main()
    assert '1 of 1 were replaced' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['check_numbers.py'])
    with pytest.raises(SystemExit) as stop:
        tool.main()
    assert stop.value.code == 0
    # A record that cannot be read is one sentence.
    (clone / 'docs/results/sparse.jsonl').write_text('{')
    with pytest.raises(SystemExit, match='sparse.jsonl, line 1: got'):
        tool.main()


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: path.name)
def test_every_folder_of_configs_has_a_readme_and_a_metafile(folder):
    assert (folder / 'README.md').is_file()
    assert (folder / 'metafile.yml').is_file()


def test_recorded_results_pass(tool, clone):
    assert tool.NumberCheck(clone).run() == []


@pytest.mark.parametrize(
    ('name', 'old', 'new', 'got', 'reason'),
    [
        ('README.md', '0.700 ±', '0.701 ±', '0.701 ±', 'nearest .* 0.700 of'),
        ('README.md', '(80 %)', '(81 %)', '0.700 ±', "'0.700 .* [(]80 %[)]'"),
        ('README.md', '| 0.875 |', '| |', '', "'0.875' as lld/bbox_mAP"),
        ('README.md', '| 5.0 |', '| 5.1 |', '5.1', "'5.0' as minutes"),
        ('README.md', '| 2 |', '| 3 |', '3', "'2' as seeds"),
        ('README.md', '| 0.555 |', '| 0.556 |', '0.556', "other.py has '0.55"),
        ('README.md', 'both', '0.499, both', '0.499', 'no marked table'),
        ('README.md', '1 has 0.800', '1 has 0.700', '0.700', "has '0.800'"),
        ('README.md', 'share: 0.2', 'share: 0.5', '0.700', "has '–'"),
        ('README.md', '| minutes |', '| IoU |', '', ''),
        (
            'README.md',
            '| box AP | minutes |',
            '| mine | minutes |',
            '',
            'KEYS',
        ),
        (
            'configs/baselines/README.md',
            '0.5, and 0.125 later',
            '0.125',
            'setting',
            'needs a comment',
        ),
        (
            'configs/baselines/README.md',
            '| --- | --- |\n| momentum | 0.5, and 0.125 later',
            '|:--|--:|\n| recall | 12.5 %',
            'setting',
            'needs a comment',
        ),
        (
            'configs/baselines/README.md',
            '<!-- unrecorded: python tools/train.py CONFIG -->',
            '',
            'config',
            'needs a comment',
        ),
        ('configs/baselines/metafile.yml', '0.700', '0.7', '0.7', "'0.700'"),
        ('configs/baselines/metafile.yml', '0.555', '0.5', '0.5', "'0.555'"),
        (
            'configs/baselines/metafile.yml',
            ', a fifth',
            ', a tenth',
            'PBC fields, a tenth',
            'a fifth annotated',
        ),
        ('configs/baselines/metafile.yml', OTHER, 'x.py', '0.555', "has '–'"),
        (
            'configs/baselines/metafile.yml',
            'box AP: 0.555',
            'AP: 0.555',
            '0.555',
            "metric 'AP' is no score",
        ),
    ],
)
def test_other_numbers_are_named(tool, clone, name, old, new, got, reason):
    replace(clone / name, old, new)
    found = tool.NumberCheck(clone).run()
    if old == '| minutes |':
        # A column of other numbers than scores is left alone.
        assert found == []
        return
    assert any(
        mismatch.path == clone / name
        and mismatch.cell.text.startswith(got)
        and tool.re.search(reason, mismatch.reason)
        for mismatch in found
    ), found


def test_results_of_compare_configs(tool, clone):
    runs = [
        dict(config='other', cfg_options=options, gpus=1, seed=0, minutes=1.0)
        | dict(revision='abc', scores={'lld/bbox_mAP': ap})
        for options, ap in [({}, 0.555), ({'a': 1}, 0.1)]
    ]
    path = clone / 'docs' / 'results' / 'others.jsonl'
    path.write_text('\n'.join(map(json.dumps, runs)))
    page = clone / 'configs' / 'baselines' / 'README.md'
    new = 'results: {record: others, rows: [{config: other}]}'
    replace(page, 'unrecorded: python tools/train.py CONFIG', new)
    replace(
        clone / 'README.md', f'results: {{rows: [{{repeats: {OTHER}}}]}}', new
    )
    assert tool.NumberCheck(clone).run() == []
    path.write_text(path.read_text().replace('0.555', '0.444'))
    found = tool.NumberCheck(clone).run()
    assert [mismatch.new for mismatch in found] == ['0.444'] * 3
    assert len({mismatch.path for mismatch in found}) == 3


def test_the_line_of_a_number_is_named(tool, clone):
    replace(clone / 'README.md', ' ± 0.141', ' ± 0.140')
    (found,) = tool.NumberCheck(clone).run()
    line = (clone / 'README.md').read_text().splitlines()[found.cell.line - 1]
    assert line[found.cell.start :].strip().startswith('0.700 ± 0.140')


def test_fix_writes_what_the_record_has(tool, clone):
    texts = {
        name: (clone / name).read_text()
        for name in ('README.md', 'configs/baselines/metafile.yml')
    }
    replace(clone / 'README.md', '0.700 ± 0.141 (80 %)', '0.1 (9 %)')
    replace(clone / 'README.md', '10.0 ± 0.0 (200 %)', '7.0 (9 %)')
    replace(clone / 'README.md', '| 2 |', '| 3 |')
    replace(clone / 'README.md', '| 0.875 |', '| |')
    replace(clone / 'configs/baselines/metafile.yml', 'AP: 0.700', 'AP: 0.1')
    assert tool.fix(tool.NumberCheck(clone).run()) == 5
    assert tool.NumberCheck(clone).run() == []
    for name, text in texts.items():
        assert (clone / name).read_text().split() == text.split()


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('data: pbc, share: 0.2}', 'data', 'README.md:4: got .*expected "res'),
        ('data: pbc, share: 0.2}', 'dat: 1}', 'README.md:8: got the settings'),
        ('share: 0.2}', 'record: x}', "README.md:8: got record 'x'"),
        (
            f'{{repeats: {OTHER}}}',
            '',
            'README.md:13: .* has 0 rows, the table',
        ),
        ('{key: bbox_mAP}', '', 'README.md:20: .* 0 numbers, .* has 1: 0.800'),
    ],
)
def test_a_faulty_comment_is_named(tool, clone, old, new, message):
    replace(clone / 'README.md', old, new)
    with pytest.raises(ValueError, match=message):
        tool.NumberCheck(clone).run()
