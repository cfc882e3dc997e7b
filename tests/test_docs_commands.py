# Copyright (c) mmleuk authors. All rights reserved.
"""Tools take the arguments that the documentation gives them."""

import argparse
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from doc_blocks import (
    BLOCK,
    CURRENT,
    ROOT,
    block_id,
    blocks_in,
    blocks_of,
    page_id,
    read,
)
from mkdocs.__main__ import cli as mkdocs
from torch.distributed.run import get_args_parser

BASH = shutil.which('bash')
# No program is found, so that each command goes to the handle.
PRELUDE = """
set -eu
cd() { :; }
. () { :; }
command_not_found_handle() { printf '%q ' "$@" >&3; echo >&3; }
"""
# A command in a sentence or a table.
INLINE = re.compile(
    r'(?<!`)`((?:[A-Z_]+=\S+ )*(?:python[\d.]*|bash|mmleuk|mkdocs|pip|'
    r'torchrun) [^`]+)`'
)
# What a tool only takes if it is there, or by its suffix.
PLACEHOLDERS = {
    'CONFIG': 'attribute_rcnn/attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py',
    'CHECKPOINT': 'checkpoint.pth',
}
# Takes a folder, without a parser.
WITHOUT_PARSER = ('tools/dev/setup/download_wheels.py',)
# Not ours: their arguments are not checked.
OF_OTHERS = (
    *('coverage', 'cp', 'curl', 'git', 'ln', 'ls', 'mkdir', 'mv', 'mypy'),
    *('pre-commit', 'unzip'),
)


class CommandLineRead(Exception):
    """A tool has read its arguments, and would now do its work."""


def commands_in(code, tmp_path):
    """The commands that bash would run, each a list of words."""
    out = tmp_path / 'commands'
    result = subprocess.run(
        [BASH, '-c', f'exec 3>{shlex.quote(str(out))}; {PRELUDE}\n{code}'],
        env=dict(PATH=str(tmp_path / 'nothing')),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    lines = out.read_text(encoding='utf-8').splitlines()
    return [shlex.split(line) for line in lines]


def check_commands(code, tmp_path):
    commands = commands_in(code, tmp_path)
    assert commands, 'there is no command'
    for command in commands:
        check_command(*command)


def check_command(program, *words):
    """Fail if a program is unknown or does not take its arguments."""
    words = [PLACEHOLDERS.get(word, word) for word in words]
    if re.fullmatch(r'python[\d.]*', program):
        check_python(words)
    elif program == 'mmleuk':
        check_tool('mmleuk/__main__.py', words)
    elif program == 'torchrun':
        args = get_args_parser().parse_args(words)
        module = ['-m'] if args.module else []
        check_python(
            [*module, args.training_script, *args.training_script_args]
        )
    elif program == 'bash':
        script, *arguments = words
        assert unknown_options(ROOT / script, arguments) == []
    elif program == 'pip':
        assert [x for x in extras_in(words) if not is_extra(x)] == []
    elif program == 'mkdocs':
        mkdocs.commands[words[0]].make_context(words[0], words[1:])
    else:
        assert program in OF_OTHERS, (
            f'nothing here checks {program}: extend this file, or mark the '
            'block as not run'
        )


def check_python(words):
    if words[:2] == ['-m', 'mmleuk']:
        # A sentence may name the command alone.
        check_tool('mmleuk/__main__.py', words[2:] or ['--help'])
    elif words[0] == '-m':
        assert find_spec(words[1])
        paths = [word for word in words[2:] if word.startswith('tests/')]
        assert [path for path in paths if not (ROOT / path).exists()] == []
    elif words[0] == '-c':
        exec(compile(words[1], '-c', 'exec'), {})
    elif words[0] in WITHOUT_PARSER:
        assert (ROOT / words[0]).is_file()
    else:
        check_tool(words[0], words[1:])


def check_tool(tool, words):
    """Let a tool read its arguments, and no more."""
    script = ROOT / tool
    # Without a parser it would do its work.
    assert 'ArgumentParser' in sources(script), f'{tool} has no parser'
    read_line = argparse.ArgumentParser.parse_args

    def parse_args(self, *args, **kwargs):
        parsed = read_line(self, *args, **kwargs)
        if self.prog == 'mmleuk':  # Followed by that of the tool.
            return parsed
        raise CommandLineRead

    modules = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
        patch.setattr(sys, 'argv', [str(script), *words])
        patch.syspath_prepend(script.parent)
        try:
            runpy.run_path(str(script), run_name='__main__')
        except CommandLineRead:
            pass
        except SystemExit as error:
            if error.code:  # 0 after --help.
                pytest.fail(f'{tool} does not take {words}')
        else:
            pytest.fail(f'{tool} did not read its arguments')
    # Tools of other folders have modules of the same names.
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], '__file__', None) or ''
        if file.startswith(str(ROOT / 'tools')):
            del sys.modules[name]


def sources(script):
    """Text of a script and of the modules beside it."""
    text = read(script)
    beside = re.findall(r'^(?:import|from) (\w+)', text, re.MULTILINE)
    files = [script.parent / f'{name}.py' for name in beside]
    return text + ''.join(read(file) for file in files if file.is_file())


def unknown_options(script, words):
    text = read(script)
    return [word for word in words if word[:2] == '--' and word not in text]


def extras_in(words):
    for word in words:
        match = re.fullmatch(r'(?:\.|mmleuk)\[(.+)\]', word)
        yield from match[1].split(',') if match else ()


def is_extra(name):
    return f'\n{name} = [' in read(ROOT / 'pyproject.toml')


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize('block', blocks_in('bash'), ids=block_id)
def test_a_block_of_commands(block, tmp_path):
    if block.why_not_run is not None:
        subprocess.run([BASH, '-n', '-c', block.code], check=True)
    else:
        check_commands(settings_before(block) + block.code, tmp_path)


def settings_before(block):
    """Lines such as NAME=value, in the blocks above."""
    above = [x.code for x in blocks_of(block.page) if x.line < block.line]
    lines = re.findall(r'^[A-Z]+=\S+\n', ''.join(above), re.MULTILINE)
    return ''.join(lines)


@pytest.mark.parametrize('page', CURRENT, ids=page_id)
def test_commands_in_sentences(page, tmp_path):
    for code in INLINE.findall(BLOCK.sub('', read(page))):
        check_commands(code, tmp_path)


@pytest.mark.parametrize(
    'code',
    [
        'python tools/train.py CONFIG --resum auto --no-such-option',
        'python tools/train.py',
        'python tools/no_such_tool.py',
        'python tools/report.py predictions.json --level high',
        'python -m no_such_module',
        'mmleuk no-such-command',
        'torchrun --nproc_per_node 2 tools/train.py NO_CONFIG.py',
        'bash tools/check.sh --no-such-option',
        "pip install '.[no_such_extra]'",
        'no_such_program',
        'echo "no end',
    ],
)
def test_a_wrong_command_is_found(code, tmp_path):
    with pytest.raises((AssertionError, OSError, pytest.fail.Exception)):
        check_commands(code, tmp_path)
