# Copyright (c) mmleuk authors. All rights reserved.
"""Workflows, forms and the citation are valid, and agree with the docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmleuk import __version__

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / '.github'
WORKFLOWS = sorted((GITHUB / 'workflows').glob('*.yml'))
FORMS = sorted((GITHUB / 'ISSUE_TEMPLATE').glob('*.yml'))
FORM_CONFIG = GITHUB / 'ISSUE_TEMPLATE' / 'config.yml'
# Schemas that come with check-jsonschema.
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, 'github-workflows'),
    **dict.fromkeys(FORMS, 'github-issue-forms'),
    FORM_CONFIG: 'github-issue-config',
    GITHUB / 'dependabot.yml': 'dependabot',
    ROOT / 'docs' / 'CITATION.cff': 'citation-file-format',
}
PINNED = re.compile(r'[\w-]+(?:/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+')
LOCAL = re.compile(r'\./(\.github/workflows/\w+\.yml)')


def validate(path, schema):
    return subprocess.run(
        [sys.executable, '-m', 'check_jsonschema']
        + ['--builtin-schema', f'vendor.{schema}']
        + ['--default-filetype', 'yaml', str(path)],
        capture_output=True,
        text=True,
    )


def load(path):
    # YAML 1.1 takes the key "on" for true.
    return yaml.load(path.read_text(encoding='utf-8'), yaml.BaseLoader)


def matrix(job):
    jobs = load(GITHUB / 'workflows' / 'ci.yml')['jobs']
    return jobs[job]['strategy']['matrix']


def documented_runs():
    """Python, torch and stack of each run that the installation page lists."""
    text = (ROOT / 'docs' / 'installation.md').read_text(encoding='utf-8')
    rows = re.findall(
        r'^\| (3\.\d+)\S* \| (\d+\.\d+\.\d+),[^|]*\| `(\w+)` \|', text, re.M
    )
    assert rows
    return set(rows)


@pytest.mark.parametrize('path', SCHEMAS, ids=lambda path: path.name)
def test_files_follow_their_schemas(path):
    done = validate(path, SCHEMAS[path])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('schema', sorted(set(SCHEMAS.values())))
def test_schemas_refuse_other_files(schema, tmp_path):
    path = tmp_path / 'file.yml'
    path.write_text('jobs: [1]\n')
    done = validate(path, schema)
    assert done.returncode == 1
    assert 'Schema validation errors' in done.stdout, done.stderr


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_pinned_actions_with_least_permissions(path):
    used = re.findall(r'\buses: (.+)', path.read_text(encoding='utf-8'))
    assert used
    for name in used:
        local = LOCAL.fullmatch(name)
        assert local or PINNED.fullmatch(name), name
        assert not local or (ROOT / local.group(1)).is_file()
    workflow = load(path)
    assert workflow['permissions'] == {'contents': 'read'}
    for job in workflow['jobs'].values():
        assert 'permissions' not in job


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_check_sh_alone(path):
    for job in load(path)['jobs'].values():
        for step in job.get('steps', []):
            for line in step.get('run', '').splitlines():
                assert line.startswith(('bash tools/check.sh', '# '))


def test_a_newer_commit_ends_the_run_of_an_older_one():
    concurrency = load(GITHUB / 'workflows' / 'ci.yml')['concurrency']
    assert concurrency['cancel-in-progress'] == 'true'
    assert 'github.ref' in concurrency['group']


def test_the_matrix_is_what_the_installation_page_lists():
    tested = {
        (row['python'], row['torch'], row['stack'])
        for row in matrix('tests')['include']
    }
    assert tested == documented_runs()
    untested = matrix('untested')
    for python, torch, stack in tested:
        assert (
            python not in untested['python']
            or torch not in untested['torch']
            or stack not in untested['stack']
        )


def test_pythons_of_pyproject_are_those_that_were_run():
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    oldest = re.search(r'requires-python = ">=(3\.\d+)"', text).group(1)
    stated = set(re.findall(r'"Programming Language .* (3\.\d+)"', text))
    assert stated == {oldest} | {python for python, _, _ in documented_runs()}


def test_the_workflows_use_the_torch_of_the_set_up():
    text = (ROOT / 'tools/dev/setup/install.py').read_text(encoding='utf-8')
    version = re.search(r"^TORCH_VERSION = '(.+)'", text, re.M).group(1)
    inputs = load(GITHUB / 'workflows' / 'check.yml')['on']['workflow_call']
    assert inputs['inputs']['torch']['default'] == version


def test_the_other_stack_runs_the_tests_that_ci_run_names():
    script = (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
    second = script.split('--stack onedl', 1)[1].replace('\\\n', ' ')
    expected = second.splitlines()[0].split()
    (row,) = (
        row
        for row in matrix('tests')['include']
        if row['stack'] == 'onedl' and row['python'] == '3.11'
    )
    assert row['tests'].split() == expected
    for row in matrix('tests')['include']:
        for path in re.findall(r'tests/\S+', row['tests']):
            assert (ROOT / path).exists()


def test_the_citation_is_of_this_version():
    citation = load(ROOT / 'docs' / 'CITATION.cff')
    assert citation['version'] == __version__
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    assert f'license = "{citation["license"]}"' in text
