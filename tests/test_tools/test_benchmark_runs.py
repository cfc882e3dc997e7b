# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('runs')


def write_log(work_dir, *rows, name='20260101_000000'):
    log = work_dir / name / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(map(json.dumps, rows)))
    return log


def test_last_validation_is_read(runs, tmp_path):
    write_log(
        tmp_path,
        {'loss': 1.0},
        {'lld/bbox_mAP': 0.9, 'step': 5},
        {'loss': 0.5},
        {'lld/bbox_mAP': 0.7, 'lld/attr_macro_f1': 0.6, 'step': 10},
        {'loss': 0.4},
    )
    assert runs.read_scores(tmp_path) == {
        'lld/bbox_mAP': 0.7,
        'lld/attr_macro_f1': 0.6,
    }


def test_of_teacher_and_student_the_teacher_is_read(runs):
    row = {'teacher/lld/bbox_mAP': 0.9, 'student/lld/bbox_mAP': 0.8, 'step': 1}
    assert runs.pick_scores(row) == {'lld/bbox_mAP': 0.9}
    assert runs.pick_scores({'loss': 0.1}) is None


def test_a_run_without_scores_is_an_error(runs, tmp_path):
    with pytest.raises(RuntimeError, match='no validation scores'):
        runs.read_scores(tmp_path)


@pytest.mark.parametrize(
    'jobs, before, after',
    [(1, None, None), (2, None, '3'), (9, None, '1'), (2, '5', '5')],
)
def test_runs_at_a_time_share_the_cores(
    runs, monkeypatch, jobs, before, after
):
    monkeypatch.setattr(
        os, 'sched_getaffinity', lambda pid: set(range(6)), raising=False
    )
    # Set first, so that what the test leaves is undone.
    monkeypatch.setenv('OMP_NUM_THREADS', before or '')
    if before is None:
        monkeypatch.delenv('OMP_NUM_THREADS')
    runs.share_cores(jobs)
    assert os.environ.get('OMP_NUM_THREADS') == after


class TestFinalScores:
    @pytest.fixture
    def read(self, runs, tmp_path):
        """Reads scores of a run whose checkpoint is older than its log."""
        (tmp_path / 'last_checkpoint').write_text('epoch_12.pth')
        os.utime(tmp_path / 'last_checkpoint', (1e9, 1e9))
        return lambda: runs.read_final_scores(tmp_path)

    def test_validation_comes_last(self, read, tmp_path):
        write_log(tmp_path, {'loss': 1.0}, {'lld/bbox_mAP': 0.7, 'step': 12})
        assert read() == {'lld/bbox_mAP': 0.7}

    def test_training_went_on_after_it(self, read, tmp_path):
        write_log(tmp_path, {'lld/bbox_mAP': 0.7}, {'loss': 1.0})
        assert read() is None

    def test_the_checkpoint_is_newer(self, read, tmp_path):
        log = write_log(tmp_path, {'lld/bbox_mAP': 0.7})
        os.utime(log, (1e9 - 1, 1e9 - 1))
        assert read() is None

    def test_the_newest_log_counts(self, read, tmp_path):
        write_log(tmp_path, {'lld/bbox_mAP': 0.7})
        write_log(tmp_path, {'loss': 0.1}, name='20260102_000000')
        assert read() is None

    def test_nothing_was_logged(self, read):
        assert read() is None


def command(code):
    return [sys.executable, '-c', code]


def test_output_and_time_are_kept(runs, tmp_path):
    minutes = runs.run_logged(command('print("begun")'), tmp_path)
    assert (tmp_path / 'stdout.log').read_text() == 'begun\n'
    assert json.loads((tmp_path / 'minutes.json').read_text()) == minutes
    assert 0 < minutes < 1


@pytest.mark.parametrize('resumes', [True, False])
def test_time_before_an_interruption(runs, tmp_path, resumes):
    (tmp_path / 'minutes.json').write_text('30.0')
    (tmp_path / 'stdout.log').write_text('before\n')
    minutes = runs.run_logged(command('print("after")'), tmp_path, resumes)
    assert (minutes > 30) == resumes
    log = (tmp_path / 'stdout.log').read_text()
    assert log == ('before\nafter\n' if resumes else 'after\n')


def test_time_is_noted_while_it_runs(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'NOTE_INTERVAL', 0.01)
    path = tmp_path / 'minutes.json'
    # Written in the same place again and again, so read until it is whole.
    wait = f"""
import pathlib, time
path = pathlib.Path({str(path)!r})
end = time.monotonic() + 60
while not (text := path.exists() and path.read_text()):
    assert time.monotonic() < end, 'nothing was noted'
    time.sleep(0.01)
print(text)
"""
    minutes = runs.run_logged(command(wait), tmp_path)
    noted = float((tmp_path / 'stdout.log').read_text())
    assert 0 < noted < minutes


def test_a_failed_command_names_its_log(runs, tmp_path):
    with pytest.raises(RuntimeError, match='code 3; its output is in .*log'):
        runs.run_logged(command('raise SystemExit(3)'), tmp_path)


def test_result_of_a_run(runs, tmp_path):
    result = runs.run(
        command('pass'),
        tmp_path / 'run',
        dict(seed=3),
        score=lambda folder: {'lld/bbox_mAP': 0.5},
    )
    assert result['seed'] == 3
    assert result['scores'] == {'lld/bbox_mAP': 0.5}
    # A finished run is not repeated.
    again = runs.run(command('raise SystemExit(3)'), tmp_path / 'run', {})
    assert again == result


def test_undefined_scores_are_no_scores(runs):
    assert runs.spread([float('nan'), None, -1]) == '–'
    assert runs.spread([0.5, float('nan')]) == '0.500'
    assert runs.spread([4, 6], '.1f') == '5.0 ± 1.4'


def test_markdown_table(runs):
    assert runs.markdown_table([['a', 'b'], ['1', '2']]) == (
        '| a | b |\n| --- | --- |\n| 1 | 2 |'
    )


def test_revision_tells_changed_files(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'ROOT', tmp_path)
    assert runs.revision() == 'unknown'

    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b']
        subprocess.run(
            ['git', *identity, *arguments], cwd=tmp_path, check=True
        )

    git('init', '--quiet')
    (tmp_path / 'code.py').write_text('')
    git('add', '.')
    git('commit', '--quiet', '-m', 'code')
    revision = runs.revision()
    assert re.fullmatch('[0-9a-f]{7,}', revision)
    (tmp_path / 'code.py').write_text('changed')
    assert runs.revision() == f'{revision}-dirty'
