# Copyright (c) mmleuk authors. All rights reserved.
"""The command ``mmleuk``: the tools under one roof.

``mmleuk train CONFIG`` is ``python tools/train.py CONFIG`` in a clone, and
works without one.
"""

import argparse
import ast
import runpy
import sys
from pathlib import Path
from typing import Optional

from mmleuk.version import __version__

TOOLS = Path(__file__).resolve().parent / '.mim' / 'tools'
COMMANDS = {
    'train': 'train.py',
    'self-train': 'self_train.py',
    'test': 'test.py',
    'predict': 'image_demo.py',
    'report': 'report.py',
    'check': 'analysis_tools/check_dataset.py',
    'check-checkpoint': 'analysis_tools/check_checkpoint.py',
    'browse': 'analysis_tools/browse_dataset.py',
    'plot': 'analysis_tools/plot_results.py',
    'calibrate': 'analysis_tools/calibrate.py',
    'cell-recall': 'analysis_tools/cell_recall.py',
    'mining-reliability': 'analysis_tools/mining_reliability.py',
    'convert': 'dataset_converters/convert.py',
    'split': 'dataset_converters/split.py',
    'sparsify': 'dataset_converters/sparsify.py',
    'synthetic-films': 'dataset_converters/make_synthetic_films.py',
    'export': 'deployment/export_onnx.py',
    'self-check': 'self_check.py',
}


def list_commands() -> str:
    """List the commands, with the first line that each tool says of itself."""
    lines = ['commands:']
    for name, file in COMMANDS.items():
        source = (TOOLS / file).read_text(encoding='utf-8')
        docstring = ast.get_docstring(ast.parse(source)) or ''
        summary = docstring.partition('\n')[0]
        lines.append(f'  {name:<20}{summary}')
    return '\n'.join(lines)


def main() -> Optional[int]:
    """Run a tool.

    Returns:
        int | None: Its exit status.
    """
    parser = argparse.ArgumentParser(
        prog='mmleuk',
        usage='%(prog)s [-h] [--version] COMMAND ...',
        epilog=list_commands(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument(
        'command',
        choices=COMMANDS,
        metavar='COMMAND',
        help='a tool; the rest of the line is for it, `mmleuk COMMAND --help` '
        'says what it takes',
    )
    command = parser.parse_args(sys.argv[1:2]).command
    tool = TOOLS / COMMANDS[command]
    sys.argv = [f'mmleuk {command}', *sys.argv[2:]]
    # Tools of a folder share modules.
    sys.path.append(str(tool.parent))
    return runpy.run_path(str(tool))['main']()


if __name__ == '__main__':
    sys.exit(main())
