# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from contextlib import contextmanager
from typing import Dict, Iterator, List, Tuple, Union

from .errors import AnnotationError
from .faults import FAULTS, MOSTLY_FAULTY, Fault

# Places that are remembered of each kind of fault.
MAX_PLACES = 5


class IssueLog:
    """Counts the annotations that were read and the faults in them.

    Args:
        strict (bool): Whether the first fault is an error.

    Attributes:
        counts (Counter): Number of faults by kind.
        first (dict[str, str]): First place of each kind.
        places (dict[str, list[str]]): First ``MAX_PLACES`` places of each
            kind.
        seen (Counter): What the source holds, by unit (``'images'``,
            ``'annotations'``, ``'regions'``, ``'label files'``).
        kept (Counter): What of it is in the records, by unit.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter = Counter()
        self.first: Dict[str, str] = {}
        self.places: Dict[str, List[str]] = {}
        self.seen: Counter = Counter()
        self.kept: Counter = Counter()

    def add(
        self, kind: Union[Fault, str], where: str, number: int = 1
    ) -> None:
        """Count a fault.

        Args:
            kind (Fault | str): The fault, or its text in the plural.
            where (str): File and record.
            number (int): How often it was found there.

        Raises:
            AnnotationError: If the log is strict.
        """
        kind = str(kind)
        # JSON can hold half a surrogate pair, which no log can write.
        where = where.encode('utf-8', 'backslashreplace').decode('utf-8')
        if self.strict:
            fault = FAULTS.get(kind)
            raise AnnotationError(
                where,
                '',
                f'a fault that would be counted under "{kind}", expected '
                'faultless data with strict=True',
                fault.fix if fault else 'Correct the record',
                fault,
            )
        self.counts[kind] += number
        self.first.setdefault(kind, where)
        places = self.places.setdefault(kind, [])
        if len(places) < MAX_PLACES:
            places.append(where)

    def balance(self) -> Dict[str, Tuple[int, int, int]]:
        """Compare what was seen with what was kept and removed.

        Returns:
            dict[str, tuple[int]]: (seen, kept, removed) by unit. If seen is
            not kept + removed, a reader has lost something.
        """
        removed: Counter = Counter()
        for kind, number in self.counts.items():
            fault = FAULTS.get(kind)
            if fault is not None and fault.removes:
                removed[fault.removes] += number
        return {
            unit: (self.seen[unit], self.kept[unit], removed[unit])
            for unit in self.seen
        }

    def lines(self) -> List[str]:
        """Describe each kind of fault that was found in one line, sorted."""
        return [
            f'{number} {kind} (first: {self.first[kind]})'
            for kind, number in sorted(self.counts.items())
        ]

    def summary(self) -> str:
        """Join :meth:`lines` to one line, empty if there was no fault."""
        return '; '.join(self.lines())


@contextmanager
def limit_fault_rates(issues: IssueLog, source: str) -> Iterator[None]:
    """Reject a source of which more than half is found to be faulty.

    If most records are faulty, the source was probably read in the wrong
    format: raise instead of dropping nearly everything.

    Args:
        issues (IssueLog): The log of the block that reads the source.
        source (str): The annotation file or folder.

    Raises:
        AnnotationError: If more than half of any unit is faulty; names the
            commonest fault of that unit.
    """
    counts, seen = Counter(issues.counts), Counter(issues.seen)
    num_places = {kind: len(places) for kind, places in issues.places.items()}
    yield
    found = issues.counts - counts
    for unit, number in (issues.seen - seen).items():
        faults = {
            fault: found[fault.text]
            for fault in FAULTS.values()
            if fault.limited_to_half_of == unit and found[fault.text]
        }
        if sum(faults.values()) * 2 <= number:
            continue
        fault = max(faults, key=faults.get)
        # If the list was full before, its last place is of another source.
        places = issues.places[fault.text][num_places.get(fault.text, 0) :]
        raise AnnotationError(
            source,
            '',
            f'of {number} {unit}, {sum(faults.values())} are faulty, most of '
            f'them {fault.text} (first: {(places or [source])[0]}). Expected '
            'at most half: the data may be of another format',
            fault.fix,
            MOSTLY_FAULTY,
        )
