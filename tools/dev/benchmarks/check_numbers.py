# Copyright (c) mmleuk authors. All rights reserved.
"""Check that the results that README files and metafiles state are recorded.

Reads ``README.md``, README and metafile of each folder of configs,
``docs/sparse_benchmark.md`` and ``docs/morphology.md``, and names each result
that is not that of the records in ``docs/results``::

    python tools/dev/benchmarks/check_numbers.py
    python tools/dev/benchmarks/check_numbers.py --fix

A result is a number with three decimals, a cell of a table with a percentage
with decimals, or any cell in a column of scores (``KEYS``). An HTML comment
above a table or a paragraph says where its results come from:

- ``<!-- results: {data: pbc, share: 0.2} -->``: runs of ``sparse.jsonl``, or
  of another ``record``, that have these settings. Columns ``method`` and
  ``data`` add the settings of a row, or ``rows`` has them in order. In a
  paragraph ``numbers`` has key and settings of each number.
- ``<!-- unrecorded: COMMAND -->``: no record is kept. If its rows link to a
  config, they are what other pages may repeat of that config, in a row
  with ``{repeats: PATH}``.

A table with results and without such a comment is an error. Without a comment
a paragraph may only repeat numbers of tables. ``--fix`` fills the empty cells
of a new row, too.
"""

import argparse
import re
import statistics
import sys
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
)

import records
import runs
import sparse
import yaml
from sparse_report import ATTRIBUTES, COLUMNS, compare, values_of

PAGES = (
    'README.md',
    'configs/*/README.md',
    'docs/sparse_benchmark.md',
    'docs/morphology.md',
)
METAFILES = 'configs/*/metafile.yml'
RECORDS = 'docs/results'
# What a column or a metric holds, by its title.
KEYS = {
    **COLUMNS,
    'attributes given a match': ATTRIBUTES,
    'attributes, macro-F1 given a match': ATTRIBUTES,
    'attributes macro-F1': ATTRIBUTES,
    'of the majority of the type': f'{ATTRIBUTES}_type_majority',
    'attributes end to end': f'{ATTRIBUTES}_e2e',
    'attributes macro-F1 end to end': f'{ATTRIBUTES}_e2e',
    'minutes': 'minutes',
    'of the predicted type': f'{ATTRIBUTES}_predicted_type',
    'within types': f'{ATTRIBUTES}_within_types',
    # Of the attribute that a row of a mark names.
    'given a match': '{attribute}_macro_f1',
    'end to end': '{attribute}_macro_f1_e2e',
    'majority of the true type': '{attribute}_macro_f1_type_majority',
    'majority of the predicted type': '{attribute}_macro_f1_predicted_type',
    'F1 within types': '{attribute}_macro_f1_within_types',
}
# Columns of figures that others have published.
CITED = ('second human', 'published ResNet-50')
# Names of data sets in tables that differ from those of the benchmark.
DATA = {'lld_40x': 'lld'}
# The same in metafiles, where all labels are used.
DATASETS = dict(
    pbc='PBC fields',
    bccd='BCCD fields',
    synthetic='synthetic films, 40x',
    lld='LLD fields, 40x',
)
# The share that the configs of sparse sets have.
SHARE, SHARE_NAME = 0.2, ', a fifth annotated'
RECORD = 'sparse'  # if a mark names no other
# Settings that a run does not have if a mark does not state them.
CHANGES = ('redrawn', 'cfg_options')
# Keys of a mark and of its rows that are no settings of a run.
MARK_KEYS = ('record', 'rows', 'numbers', 'key', 'attribute')

DECIMALS = r'[01]?\.\d{3}'
NUMBER = re.compile(rf'(?<![\w.]){DECIMALS}(?!\d)')
CELL = re.compile(rf'{DECIMALS}(?: ± {DECIMALS})?(?: \(\d+ %\))?|\d+\.\d+ %')
# Below the titles of a table.
RULE = re.compile(r'\s*\|[ :]*-')
MARK = re.compile(r'<!--\s*((?:results|unrecorded):.*?)-->', re.DOTALL)
CONFIG_LINK = re.compile(r'\]\(([^)\s]+\.py)\)')


class Cell(NamedTuple):
    """A text of a file and where it is.

    Args:
        text (str): The text without surrounding spaces.
        line (int): Number of its line, from 1.
        start (int): Index of its first character in the line.
    """

    text: str
    line: int
    start: int


class Block(NamedTuple):
    """Lines of a page without an empty line between them.

    Args:
        line (int): Number of the first one, from 1.
        lines (list[str]): The lines.
        mark (dict, optional): The comment above it: ``results`` with a
            mapping, or ``unrecorded`` with a command.
    """

    line: int
    lines: List[str]
    mark: Optional[dict]

    @property
    def is_table(self) -> bool:
        """bool: Whether it is a table."""
        return len(self.lines) > 1 and bool(RULE.match(self.lines[1]))


class Mismatch(NamedTuple):
    """A number that no committed result explains.

    Args:
        path (Path): The file.
        cell (Cell): The number, or the first text of a row or table.
        reason (str): What is wrong.
        new (str, optional): The text that the record gives.
    """

    path: Path
    cell: Cell
    reason: str
    new: Optional[str] = None


def read_mark(text: str, path: Path, line: int) -> dict:
    """Read the content of a comment.

    Raises:
        ValueError: If it has no mapping after ``results``, or no command
            after ``unrecorded``.
    """
    try:
        mark = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = error
    expected = dict(results=dict, unrecorded=str)
    if (
        not isinstance(mark, dict)
        or len(mark) != 1
        or not all(isinstance(v, expected[k]) for k, v in mark.items())
    ):
        raise ValueError(
            f'{path}:{line}: got the comment {text.strip()!r}, expected '
            '"results: {KEY: VALUE, ...}" or "unrecorded: COMMAND"'
        )
    return mark


def read_blocks(path: Path) -> Iterator[Block]:
    """Read the blocks of a page, without code."""

    def blank(match: re.Match) -> str:
        return '\n' * match.group().count('\n')

    text = path.read_text(encoding='utf-8')
    text = re.sub(r'^```.*?^```', blank, text, flags=re.DOTALL | re.MULTILINE)
    marks: Dict[int, dict] = {}
    for match in MARK.finditer(text):
        line = text.count('\n', 0, match.start()) + 1
        last = line + match.group().count('\n')
        marks[last] = read_mark(match.group(1), path, line)
    text = re.sub(r'<!--.*?-->', blank, text, flags=re.DOTALL)
    mark: Optional[dict] = None
    block: List[str] = []
    for number, line in enumerate([*text.split('\n'), ''], 1):
        if line.strip():
            block.append(line)
        elif block:
            yield Block(number - len(block), block, mark)
            mark, block = None, []
        mark = marks.get(number, mark)


def read_row(line: str, number: int) -> List[Cell]:
    """Read the cells of a row of a table."""
    return [
        Cell(match.group().strip(), number, match.start())
        for match in re.finditer(r'(?<=\|)[^|]+(?=\|)', line)
    ]


def first_number(text: str) -> str:
    """Take the first number of a cell, the mean."""
    return text.split(' ', 1)[0]


class NumberCheck:
    """Compares the numbers of pages and metafiles with the records.

    Args:
        root (Path): The clone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results = {
            path.stem: records.read_record(path)
            for path in sorted((root / RECORDS).glob('*.jsonl'))
        }
        self.mismatches: List[Mismatch] = []
        # Cells of unrecorded tables by config, then by score.
        self.unrecorded: Dict[str, Dict[str, str]] = {}
        # All numbers of marked tables.
        self.stated = set()

    def run(self) -> List[Mismatch]:
        """Check all files.

        Returns:
            list[Mismatch]: What is wrong, in the order of files and lines.

        Raises:
            ValueError: If a mark or a record cannot be read.
        """
        pages = {
            path: list(read_blocks(path))
            for pattern in PAGES
            for path in sorted(self.root.glob(pattern))
        }
        tables, texts = [], []
        for path, blocks in pages.items():
            for block in blocks:
                (tables if block.is_table else texts).append((path, block))
        # Other pages repeat these rows.
        for path, table in tables:
            if table.mark and 'unrecorded' in table.mark:
                self.read_unrecorded(path, table)
        for path, table in tables:
            self.check_table(path, table)
        for path, text in texts:
            self.check_text(path, text)
        for path in sorted(self.root.glob(METAFILES)):
            self.check_metafile(path)
        return sorted(self.mismatches, key=lambda f: (f.path, f.cell.line))

    def select(self, settings: dict) -> List[dict]:
        """Find the results of some settings.

        Raises:
            ValueError: If there is no such record or setting.
        """
        wanted = {k: v for k, v in settings.items() if k not in MARK_KEYS}
        changes = set(CHANGES) - set(wanted)
        record = settings.get('record', RECORD)
        if record not in self.results:
            raise ValueError(
                f'got record {record!r}, expected one of {RECORDS}: '
                f'{", ".join(self.results)}'
            )
        if wanted.get('method') == sparse.FULL:
            wanted['share'] = 1
        for result in self.results[record]:
            if not wanted.keys() <= result.keys():
                raise ValueError(
                    f'got the settings {", ".join(wanted)}, expected some '
                    f'of those of {RECORDS}/{record}.jsonl: '
                    f'{", ".join(result.keys() - set(records.OUTCOME))}'
                )
        return [
            result
            for result in self.results[record]
            if all(result[key] == value for key, value in wanted.items())
            and not any(result.get(key) for key in changes)
        ]

    def nearest(self, keys: Sequence[str], text: str) -> str:
        """Say which recorded mean of some scores is nearest to a number."""
        try:
            number = float(first_number(text))
        except ValueError:
            return ''
        groups: Dict[str, List[dict]] = {}
        for record, results in self.results.items():
            for result in results:
                about = [
                    f'{k}={result[k]}'
                    for k in ('config', 'data', 'method', 'share', *CHANGES)
                    if result.get(k)
                ]
                name = f'{", ".join(about)} in {RECORDS}/{record}.jsonl'
                groups.setdefault(name, []).append(result)
        means = {
            f'{key} of {name}': statistics.mean(values_of(group, key))
            for name, group in groups.items()
            for key in keys
            if values_of(group, key)
        }
        if not means:
            return ''
        name = min(means, key=lambda name: abs(means[name] - number))
        return f'; the nearest result is {means[name]:.3f} of {name}'

    def compare_cell(
        self, path: Path, cell: Cell, key: str, expected: str, source: str
    ) -> None:
        """Note a mismatch if a cell does not have the expected text."""
        if expected == '–' and not cell.text:
            return
        if cell.text != expected:
            self.mismatches.append(
                Mismatch(
                    path,
                    cell,
                    f'{source} has {expected!r} as {key}'
                    + self.nearest([key], cell.text),
                    expected,
                )
            )

    def read_unrecorded(self, path: Path, table: Block) -> None:
        """Keep the rows of a table that link to a config."""
        header = read_row(table.lines[0], table.line)
        for line in table.lines[2:]:
            row = read_row(line, 0)
            link = CONFIG_LINK.search(row[0].text)
            if not link:
                continue
            config = (path.parent / link.group(1)).resolve()
            name = config.relative_to(self.root.resolve()).as_posix()
            self.unrecorded[name] = {
                KEYS[title.text]: cell.text
                for title, cell in zip(header, row)
                if title.text in KEYS and cell.text
            }

    def check_table(self, path: Path, table: Block) -> None:
        """Check a table."""
        header, _, *rows = [
            read_row(line, table.line + number)
            for number, line in enumerate(table.lines)
        ]
        titles = [cell.text for cell in header]
        if table.mark is None:
            is_result = any(title in KEYS for title in titles) or any(
                CELL.fullmatch(cell.text) for row in rows for cell in row
            )
            if is_result:
                reason = (
                    'a table with results needs a comment above it that says '
                    'where they come from: see the docstring of '
                    f'{Path(__file__).name}'
                )
                self.mismatches.append(Mismatch(path, header[0], reason))
            return
        self.stated.update(
            number for line in table.lines for number in NUMBER.findall(line)
        )
        if 'unrecorded' in table.mark:
            return
        mark = table.mark['results']
        settings = mark.get('rows', [{}] * len(rows))
        if len(settings) != len(rows):
            raise ValueError(
                f'{path}:{table.line}: the comment has {len(settings)} rows, '
                f'the table {len(rows)}'
            )
        # Where one result has its ratio to all labels, its column has.
        ratios = {
            title
            for row in rows
            for title, cell in zip(titles, row)
            if cell.text.endswith(' %)')
        }
        for row, own in zip(rows, settings):
            self.check_row(path, titles, row, {**mark, **own}, ratios)

    def check_row(
        self,
        path: Path,
        titles: List[str],
        row: List[Cell],
        settings: dict,
        ratios: Set[str],
    ) -> None:
        """Check a row of a table of recorded results.

        Args:
            path (Path): The page.
            titles (list[str]): Titles of the columns.
            row (list[Cell]): The cells.
            settings (dict): What the mark says of the row.
            ratios (set[str]): Titles of columns with ratios to all labels.
        """
        columns = dict(zip(titles, row))
        if 'repeats' in settings:
            config = settings['repeats']
            known = self.unrecorded.get(config, {})
            for title, cell in columns.items():
                if title in KEYS:
                    expected = known.get(KEYS[title], '–')
                    source = f'the table of {config}'
                    self.compare_cell(
                        path, cell, KEYS[title], expected, source
                    )
            return
        if 'method' in columns:
            name = re.search(r'`([\w-]+)`', columns['method'].text)
            settings['method'] = name.group(1) if name else None
        if 'data' in columns:
            data = columns['data'].text
            settings['data'] = DATA.get(data, data)
        try:
            results = self.select(settings)
            ceiling = []
            if ratios and settings.get('method') != sparse.FULL:
                ceiling = self.select({**settings, 'method': sparse.FULL})
        except ValueError as error:
            raise ValueError(f'{path}:{row[0].line}: {error}') from error
        source = f'{RECORDS}/{settings.get("record", RECORD)}'
        if 'seeds' in columns:
            self.compare_cell(
                path, columns['seeds'], 'seeds', str(len(results)), source
            )
        for title, cell in columns.items():
            if title in KEYS:
                most = ceiling if title in ratios else []
                key = KEYS[title]
                if '{attribute}' in key:
                    key = key.format(attribute=settings.get('attribute'))
                expected = compare(results, most, key)
                self.compare_cell(path, cell, key, expected, source)
            elif title not in CITED and CELL.fullmatch(cell.text):
                reason = f'the column {title!r} is no score of KEYS'
                self.mismatches.append(Mismatch(path, cell, reason))

    def check_text(self, path: Path, block: Block) -> None:
        """Check the numbers of a paragraph or list."""
        if block.mark and 'unrecorded' in block.mark:
            return
        found = []
        for number, line in enumerate(block.lines, block.line):
            # Code states settings, no results.
            text = re.sub(r'`[^`]*`', lambda m: ' ' * len(m.group()), line)
            found += [
                Cell(match.group(), number, match.start())
                for match in NUMBER.finditer(text)
            ]
        if not block.mark:
            for cell in found:
                if cell.text not in self.stated:
                    reason = 'no marked table has this number'
                    reason += self.nearest(list(KEYS.values()), cell.text)
                    self.mismatches.append(Mismatch(path, cell, reason))
            return
        mark = block.mark['results']
        numbers = mark.get('numbers', [])
        if len(numbers) != len(found):
            raise ValueError(
                f'{path}:{block.line}: the comment explains {len(numbers)} '
                f'numbers, the paragraph has {len(found)}: '
                f'{", ".join(cell.text for cell in found)}'
            )
        for cell, own in zip(found, numbers):
            settings = {**mark, **own}
            key = f'lld/{settings["key"]}'
            try:
                results = self.select(settings)
            except ValueError as error:
                raise ValueError(f'{path}:{cell.line}: {error}') from error
            expected = first_number(compare(results, [], key))
            self.compare_cell(path, cell, key, expected, RECORDS)

    def check_metafile(self, path: Path) -> None:
        """Check the metrics of a metafile."""
        root = yaml.compose(path.read_text(encoding='utf-8'))
        for model in as_dict(root)['Models'].value:
            fields = as_dict(model)
            config = fields['Config'].value
            for result in getattr(fields.get('Results'), 'value', []):
                parts = as_dict(result)
                dataset = as_cell(parts['Dataset'])
                metrics = {
                    title: as_cell(node)
                    for title, node in as_dict(parts['Metrics']).items()
                }
                self.check_metrics(path, config, dataset, metrics)

    def check_metrics(
        self, path: Path, config: str, dataset: Cell, metrics: Dict[str, Cell]
    ) -> None:
        """Check the metrics of one config.

        Args:
            path (Path): The metafile.
            config (str): Path of the config in the clone.
            dataset (Cell): Name of the data set.
            metrics (dict): The numbers by their titles.
        """
        run = CONFIGS.get(config)
        # As compare_configs.py records them.
        results = [
            result
            for record in self.results.values()
            for result in record
            if result.get('config') == Path(config).stem
            and not result['cfg_options']
        ]
        known, source = {}, RECORDS
        if run:
            results = self.select(run)
            name = DATASETS[run['data']]
            if run['method'] != sparse.FULL:
                name += SHARE_NAME
            self.compare_cell(path, dataset, 'Dataset', name, config)
        elif not results and config in self.unrecorded:
            known, source = self.unrecorded[config], f'the table of {config}'
        for title, cell in metrics.items():
            if title not in KEYS:
                reason = f'the metric {title!r} is no score of KEYS'
                self.mismatches.append(Mismatch(path, cell, reason))
                continue
            text = known.get(KEYS[title]) or compare(results, [], KEYS[title])
            expected = first_number(text)
            self.compare_cell(path, cell, KEYS[title], expected, source)


def as_dict(node: yaml.MappingNode) -> Dict[str, Any]:
    """Index the values of a YAML mapping by their keys."""
    return {key.value: value for key, value in node.value}


def as_cell(node: yaml.ScalarNode) -> Cell:
    """Take text and place of a YAML scalar."""
    mark = node.start_mark
    return Cell(node.value, mark.line + 1, mark.column)


def config_runs() -> Dict[str, dict]:
    """Settings of the benchmark that a config is run with, by its path."""
    return {
        run.config.relative_to(runs.ROOT).as_posix(): dict(
            method=run.method, data=run.data, share=run.share
        )
        for method in sparse.METHODS
        for data in sparse.DATA_NAMES
        for run in [sparse.Run(method, data, SHARE, 0)]
    }


CONFIGS = config_runs()


def fix(mismatches: Sequence[Mismatch]) -> int:
    """Write what the records have into the files.

    Args:
        mismatches (Sequence[Mismatch]): The mismatches.

    Returns:
        int: Number of texts that were replaced.
    """
    count = 0
    for path in {mismatch.path for mismatch in mismatches}:
        lines = path.read_text(encoding='utf-8').split('\n')
        # From the right, so that columns before stay where they are.
        for mismatch in sorted(mismatches, key=lambda f: -f.cell.start):
            cell = mismatch.cell
            if mismatch.path != path or mismatch.new in (None, '–'):
                continue
            line = lines[cell.line - 1]
            head, tail = line[: cell.start], line[cell.start :]
            if cell.text:
                tail = tail.replace(cell.text, mismatch.new, 1)
            else:
                tail = f' {mismatch.new}{tail}'
            lines[cell.line - 1] = head + tail
            count += 1
        path.write_text('\n'.join(lines), encoding='utf-8')
    return count


def main() -> None:
    """Check all numbers; exit with 1 if one is not recorded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--fix',
        action='store_true',
        help='write the recorded results into tables and metafiles',
    )
    args = parser.parse_args()
    try:
        check = NumberCheck(runs.ROOT)
        mismatches = check.run()
    except ValueError as error:
        sys.exit(str(error))
    for mismatch in mismatches:
        path = mismatch.path.relative_to(runs.ROOT)
        text, line, _ = mismatch.cell
        print(f'{path}:{line}: got {text!r}: {mismatch.reason}')
    if args.fix:
        print(f'{fix(mismatches)} of {len(mismatches)} were replaced')
    elif not mismatches:
        print('All results are recorded, or marked as not recorded.')
    sys.exit(bool(mismatches))


if __name__ == '__main__':
    main()
