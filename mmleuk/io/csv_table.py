# Copyright (c) mmleuk authors. All rights reserved.
import csv
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

from .atomic_write import atomic_write

# A text that starts so is a formula to a spreadsheet, full-width signs
# included (OWASP, "CSV Injection").
_FORMULA_SIGNS = ('=', '+', '-', '@', '＝', '＋', '－', '＠')


@contextmanager
def csv_table(
    path: Path, columns: Iterable[str], keep_partial: bool = False
) -> Iterator[Callable[[Iterable], Any]]:
    """Write a table for spreadsheets, complete or not at all.

    Text that a spreadsheet would run as a formula gets an apostrophe in
    front. The file starts with a byte order mark, by which Excel recognises
    UTF-8.

    Args:
        path (Path): The file. Its folder is made.
        columns (Iterable[str]): Names of the columns.
        keep_partial (bool): As for :func:`atomic_path`.

    Yields:
        Callable: Writes a row.
    """
    with atomic_write(
        path,
        encoding='utf-8-sig',
        keep_partial=keep_partial,
        errors='replace',
        newline='',
    ) as stream:
        writer = csv.writer(stream)

        def write_row(row: Iterable) -> None:
            writer.writerow(map(_defuse, row))

        write_row(columns)
        yield write_row


def _defuse(value: Any) -> Any:
    """Keep a spreadsheet from reading text as a formula."""
    if not isinstance(value, str):
        return value
    # A spreadsheet skips blanks and control characters in front.
    bare = value.lstrip()
    starts_odd = value != bare or not value[:1].isprintable()
    if bare.startswith(_FORMULA_SIGNS) or (starts_odd and value):
        return f"'{value}"
    return value
