# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
METHODS = ['full', 'crop', 'mined']
DATA = ['pbc', 'bccd']


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('sparse_report')


def make_result(
    method, share, seed, ap, f1=None, data='pbc', minutes=5.0, options=()
):
    scores = {'lld/bbox_mAP': ap, 'lld/bbox_mAP_50': ap}
    if f1 is not None:
        scores['lld/attr_macro_f1'] = f1
    return dict(
        method=method,
        data=data,
        share=share,
        seed=seed,
        cfg_options=list(options),
        minutes=minutes,
        revision=f'rev{seed}',
        scores=scores,
    )


RESULTS = [
    make_result('mined', 0.2, 0, 0.7, 0.6),
    make_result('mined', 0.2, 1, 0.8, 0.7),
    make_result('mined', 0.1, 0, 0.4, 0.5),
    make_result('crop', 0.2, 0, 0.6, float('nan'), minutes=10.0),
    make_result('full', 1, 0, 0.75, 0.8),
    make_result('full', 1, 1, 0.85, 0.8),
]


def make_table(report, results):
    groups = report.group_results(results, METHODS, DATA)
    lines = report.make_table(groups, 'full').splitlines()
    return [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('|') and '---' not in line
    ]


def test_table(report):
    header, *rows = make_table(report, RESULTS)
    assert header[:5] == ['labelled', 'method', 'seeds', 'box AP', 'box AP50']
    assert [row[:3] for row in rows] == [
        ['100 %', 'full', '2'],
        ['20 %', 'crop', '1'],
        ['20 %', 'mined', '2'],
        ['10 %', 'mined', '1'],
    ]
    full, crop, mined, _ = [dict(zip(header, row)) for row in rows]
    assert full['box AP'] == '0.800 ± 0.071'
    assert mined['box AP'] == '0.750 ± 0.071 (94 %)'
    f1 = 'attribute macro-F1, given a match'
    assert mined[f1] == '0.650 ± 0.071 (81 %)'
    assert crop[f1] == '–'
    assert crop['attribute macro-F1, end to end'] == '–'
    assert crop['minutes'] == '10.0 (200 %)'
    assert crop['revision'] == 'rev0'
    assert mined['revision'] == 'rev0, rev1'


def test_no_ceiling_no_share_of_it(report):
    _, row = make_table(report, [make_result('mined', 0.2, 0, 0.7)])
    assert row[3] == '0.700'


def test_overrides_are_apart_and_have_the_ceiling_of_their_own(report):
    options = ('optim_wrapper.optimizer.lr=0.1',)
    results = [
        *RESULTS,
        make_result('mined', 0.2, 0, 0.2, options=options),
        make_result('crop', 0.2, 0, 0.4, options=['a=1']),
        make_result('full', 1, 0, 0.4, options=options),
    ]
    rows = make_table(report, results)
    table = {row[1]: row[3] for row in rows if row[0] == '20 %'}
    assert table['mined'] == '0.750 ± 0.071 (94 %)'
    assert table[f'mined `{options[0]}`'] == '0.200 (50 %)'
    assert table['crop `a=1`'] == '0.400 (50 %)'


def test_data_sets_have_a_table_each(report):
    results = [*RESULTS, make_result('crop', 0.2, 0, 0.5, data='bccd')]
    groups = report.group_results(results, METHODS, DATA)
    text = report.make_table(groups, 'full')
    assert text.index('**pbc**') < text.index('**bccd**')
    # Of the other data set's ceiling nothing is a share.
    assert '| 0.500 |' in text


@pytest.mark.parametrize(
    'heights, expected',
    [
        ([], []),
        ([0.1, 0.9, 0.5], [0.1, 0.9, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.48, 0.9], [0.54, 0.44, 0.9]),
        # The first two reach the third, which moves too.
        (
            [0.2, 0.2, 0.27],
            [0.2 + 0.07 / 3 - 0.1, 0.2 + 0.07 / 3, 0.2 + 0.07 / 3 + 0.1],
        ),
    ],
)
def test_names_keep_their_distance(report, heights, expected):
    assert report.spread_out(heights, 0.1) == pytest.approx(expected)


def test_curves(report):
    results = [*RESULTS, make_result('crop', 0.2, 0, 0.5, data='bccd')]
    groups = report.group_results(results, METHODS, DATA)
    figure = report.draw_curves(groups, 'full')
    panels = {axes.get_title(loc='left'): axes for axes in figure.axes}
    ap = panels['pbc: box AP']
    names = {text.get_text() for text in ap.texts}
    assert names == {'full (all labels)', 'crop', 'mined'}
    shares, means = ap.containers[-1].lines[0].get_data()
    assert list(means) == pytest.approx([0.4, 0.75])
    assert list(shares) == pytest.approx([0.1, 0.2], rel=0.02)
    assert [label.get_text() for label in ap.get_xticklabels()] == [
        '10 %',
        '20 %',
    ]
    # What has no value is not drawn: attributes of crop, and of all of bccd.
    f1 = panels['pbc: attribute macro-F1, given a match']
    assert {text.get_text() for text in f1.texts} == names - {'crop'}
    assert 'bccd: box AP' in panels
    assert sum(axes.axison for axes in figure.axes) == 3


def test_only_the_ceiling_is_there(report):
    groups = report.group_results(RESULTS[-2:], METHODS, DATA)
    figure = report.draw_curves(groups, 'full')
    assert [text.get_text() for text in figure.axes[0].texts] == [
        'full (all labels)'
    ]


def test_files(report, tmp_path, capsys):
    for number, result in enumerate(RESULTS):
        path = tmp_path / 'runs' / 'some' / str(number) / 'result.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(result))
    results = report.load_results(tmp_path)
    assert len(results) == len(RESULTS)
    report.write_report(results, tmp_path, METHODS, DATA, 'full')
    table = (tmp_path / 'table.md').read_text()
    assert table in capsys.readouterr().out
    assert (tmp_path / 'curve.png').read_bytes()[1:4] == b'PNG'
    # Text stays text.
    assert 'full (all labels)' in (tmp_path / 'curve.svg').read_text()


def test_without_matplotlib_the_table_is_written(
    report, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError, match=r"pip install 'mmleuk\[plot\]'"):
        report.write_report(RESULTS, tmp_path, METHODS, DATA, 'full')
    assert 'mined' in (tmp_path / 'table.md').read_text()


def test_every_method_has_a_style(report):
    methods = importlib.import_module('sparse').METHODS
    assert set(report.STYLES) == set(methods) - {'full'}
    styles = list(report.STYLES.values())
    assert len(set(styles)) == len(styles)
