# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from dataclasses import dataclass, field
from typing import List

from .faults import FAULTS
from .repair import IssueLog


class ConversionError(ValueError):
    """A conversion that would lose something, or can't be done."""


@dataclass
class ConversionReport:
    """Counts of a conversion: what went in, what came out, what did not.

    Args:
        num_in (int): Cells that the source states, ignored ones included.
        num_out (int): Cells written.
        num_fields (int): Images written.
        dropped (Counter): Cells left out, by reason.
        lost (Counter): What the target can't hold, by kind.
        unread (Counter): What the source states and no record keeps, by kind.
        notes (list[str]): What to know of the written files.
        issues (IssueLog): What was mended on reading.
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
        """Check that each cell is accounted for.

        Raises:
            RuntimeError: If one is not, which is a fault of this package.
        """
        dropped = sum(self.dropped.values())
        if self.num_in != self.num_out + dropped:
            raise RuntimeError(
                f'{self.num_in} cells went in, {self.num_out} came out and '
                f'{dropped} were dropped ({dict(self.dropped)}): a fault of '
                'the converter, so nothing is written. Please report it'
            )

    def lines(self) -> List[str]:
        """Put all counts into words.

        Returns:
            list[str]: One line a kind of count, the sum first.
        """
        dropped = sum(self.dropped.values())
        lines = [
            f'{self.num_fields} images, {self.num_in} cells in = '
            f'{self.num_out} out + {dropped} dropped'
        ]
        for title, counts in (
            ('dropped', self.dropped),
            ('not held by the target', self.lost),
            ('in the source but not kept', self.unread),
        ):
            if counts:
                lines.append(f'  {title}: {list_counts(counts)}')
        mended = Counter(
            {
                kind: number
                for kind, number in self.issues.counts.items()
                if not _drops_cells(kind)
            }
        )
        lines += [
            f'  on reading: {number} {kind} (first: {self.issues.first[kind]})'
            for kind, number in sorted(mended.items())
        ]
        return lines + [f'  note: {note}' for note in self.notes]


def _drops_cells(kind: str) -> bool:
    """Tell whether a kind of fault takes cells away.

    Kinds that are no fault of LLD's are those of the converters.
    """
    if kind in FAULTS:
        return FAULTS[kind].removes == 'annotations'
    return kind.endswith(' dropped')


def list_counts(counts: Counter) -> str:
    """Put counts into words.

    Args:
        counts (Counter): Numbers by what is counted.

    Returns:
        str: The counts, in the order of their names.
    """
    return ', '.join(
        f'{number} {kind}' for kind, number in sorted(counts.items())
    )
