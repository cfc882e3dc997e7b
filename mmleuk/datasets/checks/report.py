# Copyright (c) mmleuk authors. All rights reserved.
"""Reports of the data check, as text and as plain objects."""

from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional

from terminaltables import AsciiTable

from .misplaced_boxes import BoxMove
from .overlapping_fields import Overlap

# Name of a patient, subset, ... that the file name does not state.
UNNAMED = 'unnamed'

# Exit statuses.
CLEAN, FAULTY, REFUSED = 0, 1, 2

VERDICTS = {
    CLEAN: 'no fault found',
    FAULTY: 'faults found; all that is not named above can be used',
    REFUSED: 'data refused: it can not be used as it is',
}


@dataclass
class FaultCount:
    """How often one kind of fault was found.

    Args:
        kind (str): Its text in ``FAULTS``.
        outcome (str): What becomes of such records.
        count (int): Number of records.
        places (list[str]): The first of them.
        fix (str): What to do about the data.
    """

    kind: str
    outcome: str
    count: int
    places: List[str]
    fix: str


@dataclass
class SourceReport:
    """Contents of one dataset of one split.

    Args:
        name (str): Its name for people: the subset or the file.
        split (str): The split, such as ``'train'``.
        images (int): Images that can be used.
        cells (int): Cells that are not ignored.
        ignored (int): Ignored cells.
        partly_annotated (int): Images with annotated regions.
        classes (dict[str, int]): Cells by class.
        patients, subsets, magnifications, diagnoses (dict[str, int]): Images
            by what their names state.
        attributes (dict[str, dict[str, int]]): Cells by attribute and value.
        majorities (dict[str, dict[str, dict[str, float | None]]]): What
            :func:`score_majorities` returns.
        balance (dict[str, dict[str, int]]): Numbers ``read``, ``kept`` and
            ``removed`` because of faults, by unit of the annotations.
        faults (list[FaultCount]): What was found.
        error (str, optional): Why the dataset can't be used at all.
    """

    name: str
    split: str
    images: int = 0
    cells: int = 0
    ignored: int = 0
    partly_annotated: int = 0
    classes: Dict[str, int] = field(default_factory=dict)
    attributes: Dict[str, Dict[str, int]] = field(default_factory=dict)
    majorities: Dict[str, dict] = field(default_factory=dict)
    patients: Dict[str, int] = field(default_factory=dict)
    subsets: Dict[str, int] = field(default_factory=dict)
    magnifications: Dict[str, int] = field(default_factory=dict)
    diagnoses: Dict[str, int] = field(default_factory=dict)
    balance: Dict[str, Dict[str, int]] = field(default_factory=dict)
    faults: List[FaultCount] = field(default_factory=list)
    error: Optional[str] = None

    def to_text(self) -> str:
        """Write the report for people."""
        head = f'== {self.split}'
        if self.name != self.split:
            head = f'{head}: {self.name}'
        if self.error is not None:
            return f'{head}\nREFUSED: {self.error}'
        lines = [
            head,
            f'{self.images} images ({self.partly_annotated} annotated in '
            f'regions), {self.cells} cells, {self.ignored} ignored cells',
        ]
        for unit, numbers in self.balance.items():
            if numbers['removed']:
                lines.append(
                    f'{unit}: {numbers["read"]} read = {numbers["kept"]} '
                    f'kept + {numbers["removed"]} removed'
                )
        table = AsciiTable([['cells by type', ''], *self.classes.items()])
        table.justify_columns[1] = 'right'
        lines.append(table.table)
        if any(
            counts['missing'] < self.cells
            for counts in self.attributes.values()
        ):
            lines += [self._attribute_table(), self._majority_table()]
        else:
            lines.append('no cell states an attribute')
        for title in ('subsets', 'magnifications', 'diagnoses', 'patients'):
            counts = getattr(self, title)
            if set(counts) - {UNNAMED}:
                listed = ', '.join(f'{key}: {n}' for key, n in counts.items())
                lines.append(f'images by {title}: {listed}')
        lines.append(_list_faults(self.faults))
        return '\n'.join(lines)

    def _attribute_table(self) -> str:
        """Draw the counts of all attributes, one row each."""
        width = max(map(len, self.attributes.values())) - 1
        rows = [['cells by attribute', *[''] * width, 'missing']]
        for name, counts in self.attributes.items():
            *values, (_, missing) = counts.items()
            cells = [f'{value} {n}' for value, n in values]
            cells += [''] * (width - len(cells))
            rows.append([name, *cells, str(missing)])
        return AsciiTable(rows).table

    def _majority_table(self) -> str:
        """Draw what the majorities of groups score, attribute by attribute."""
        groups = list(next(iter(self.majorities.values())))
        rows = [['accuracy / macro-F1 of the majority of', *groups]]
        for name, scores in self.majorities.items():
            cells = [
                '-'
                if score['accuracy'] is None
                else f'{score["accuracy"]:.3f} / {score["macro_f1"]:.3f}'
                for score in scores.values()
            ]
            rows.append([name, *cells])
        return AsciiTable(rows).table


@dataclass
class DataReport:
    """Contents of all datasets, and what they have in common.

    Args:
        sources (list[SourceReport]): One report a dataset.
        across (list[FaultCount]): What only all datasets together show:
            patients and images in two splits, images that can't be decoded.
        misplaced (dict[str, BoxMove]): Where the boxes of an image file
            belong, if they are misplaced.
        overlaps (list[Overlap]): Pairs of fields that show the same cells.
        checked_images (int): Images that were decoded.
        unnamed_images (int): Images whose name states no patient, so that
            nobody can tell whether patients are shared.
    """

    sources: List[SourceReport]
    across: List[FaultCount] = field(default_factory=list)
    misplaced: Dict[str, BoxMove] = field(default_factory=dict)
    overlaps: List[Overlap] = field(default_factory=list)
    checked_images: int = 0
    unnamed_images: int = 0

    @property
    def status(self) -> int:
        """int: 0 without a fault, 1 with some, 2 where data is refused."""
        if any(source.error is not None for source in self.sources):
            return REFUSED
        found = self.across or any(source.faults for source in self.sources)
        return FAULTY if found else CLEAN

    def to_dict(self) -> dict:
        """Turn the report into plain objects, as ``--json`` prints it."""
        return dict(asdict(self), status=self.status)

    def to_text(self) -> str:
        """Write the report for people."""
        parts = [source.to_text() for source in self.sources]
        parts.append('== all splits together')
        if self.checked_images:
            parts.append(f'{self.checked_images} images decoded')
        else:
            parts.append('images not decoded or compared (--no-images)')
        if self.unnamed_images:
            parts.append(
                f'{self.unnamed_images} images name no patient: whether '
                'splits share patients can not be told for them'
            )
        parts.append(_list_faults(self.across))
        parts.append(f'Result: {VERDICTS[self.status]}.')
        return '\n'.join(parts)


def _list_faults(faults: List[FaultCount]) -> str:
    """List the faults with their places."""
    if not faults:
        return 'faults: none'
    lines = ['faults:']
    for fault in sorted(faults, key=lambda fault: -fault.count):
        lines.append(f'  {fault.count:6d} {fault.kind} [{fault.outcome}]')
        lines += [f'           {place}' for place in fault.places]
        lines.append(f'           -> {fault.fix}')
    return '\n'.join(lines)
