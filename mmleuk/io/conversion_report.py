# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from dataclasses import dataclass, field
from typing import List

from .faults import FAULTS
from .issue_log import IssueLog


class ConversionError(ValueError):
    """A conversion that is impossible or would lose something."""


@dataclass
class ConversionReport:
    """Counts of a conversion.

    Args:
        num_in (int): Cells of the source, ignored ones included.
        num_out (int): Cells written.
        num_fields (int): Images written.
        dropped (Counter): Cells left out, by reason.
        lost (Counter): What the target format can not hold, by kind.
        unread (Counter): What the source states and no record keeps, by kind.
        notes (list[str]): Notes on the written files.
        issues (IssueLog): Faults found on reading.
    """

    num_in: int = 0
    num_out: int = 0
    num_fields: int = 0
    dropped: Counter = field(default_factory=Counter)
    lost: Counter = field(default_factory=Counter)
    unread: Counter = field(default_factory=Counter)
    notes: List[str] = field(default_factory=list)
    issues: IssueLog = field(default_factory=IssueLog)

    def take_drops(self) -> None:
        """Count the cells that reading has dropped."""
        for kind, number in self.issues.counts.items():
            if _drops_cells(kind):
                self.dropped[kind.removesuffix(' dropped')] += number

    def check(self) -> None:
        """Check that no cell was lost without being counted.

        Raises:
            RuntimeError: If one was, which is a bug of this package.
        """
        dropped = sum(self.dropped.values())
        if self.num_in != self.num_out + dropped:
            raise RuntimeError(
                f'{self.num_in} cells went in, {self.num_out} came out and '
                f'{dropped} were dropped ({dict(self.dropped)}): a fault of '
                'the converter, so nothing is written. Please report it'
            )

    def lines(self) -> List[str]:
        """Describe all counts: the total, then one line a kind of count."""
        lines = [
            f'{self.num_fields} images, {self.num_in} cells in = '
            f'{self.num_out} out + {sum(self.dropped.values())} dropped'
        ]
        for title, counts in (
            ('dropped', self.dropped),
            ('not held by the target', self.lost),
            ('in the source but not kept', self.unread),
        ):
            if counts:
                lines.append(f'  {title}: {list_counts(counts)}')
        lines += [
            f'  on reading: {number} {kind} (first: {self.issues.first[kind]})'
            for kind, number in sorted(self.issues.counts.items())
            if not _drops_cells(kind)
        ]
        return lines + [f'  note: {note}' for note in self.notes]


def _drops_cells(kind: str) -> bool:
    """Tell whether an issue removes cells, which converters name by text."""
    if kind in FAULTS:
        return FAULTS[kind].removes == 'annotations'
    return kind.endswith(' dropped')


def list_counts(counts: Counter) -> str:
    """List counts in the order of their names: '2 images, 1 region'."""
    return ', '.join(
        f'{number} {kind}' for kind, number in sorted(counts.items())
    )
