# Copyright (c) mmleuk authors. All rights reserved.
"""Notes on the quality of the data."""

from collections import Counter
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from mmleuk.structures import PredictionHeader
from mmleuk.structures.metainfo import LLD_CLASSES

from .patient_summary import PatientSummary
from .wording import number, percent

# Cells of a manual differential: 100 at the least; 200 by the reference
# method (CLSI H20-A2) and for blasts in blood (WHO; 500 in marrow).
FEWEST_CELLS, ENOUGH_CELLS = 100, 200

# Below it a cell is as likely of another type, or none.
_DOUBTFUL = 0.5

# Share of doubtful or unnamed cells that is worth a note.
_MANY = 0.1

# Fewer focus values have no median worth comparing with.
_FEWEST_FOCUS = 5

# A calibration on fewer cells is itself a guess.
_FEWEST_CALIBRATION_CELLS = 200


@dataclass(frozen=True)
class Note:
    """One note on the quality of the data.

    Args:
        code (str): Subject, for programs.
        title (str): Subject, for people.
        text (str): The finding and what it means.
        caution (bool): Whether it may change how to read the numbers.
        items (tuple[str]): Names of the fields it applies to.
    """

    code: str
    title: str
    text: str
    caution: bool = True
    items: Tuple[str, ...] = ()


def find_notes(summary: PatientSummary, labels: Sequence[str]) -> List[Note]:
    """Note what limits the data of a patient, cautions first."""
    notes = [
        *_on_numbers(summary),
        *_on_model(summary),
        *_on_confidence(summary),
        *_on_fields(summary, labels),
        *_on_mixtures(summary),
    ]
    return sorted(notes, key=lambda note: not note.caution)


def untrained_types(summary: PatientSummary) -> Tuple[str, ...]:
    """List the types of the model without a training cell.

    None are listed if the training data are not known.
    """
    profile = summary.header.type_profile
    if profile is None:
        return ()
    trained = {
        profile.types[row]
        for table in profile.counts.values()
        for row in np.flatnonzero(table.any(axis=1))
    }
    return tuple(n for n in summary.counted_types if n not in trained)


def untrained_attributes(header: PredictionHeader) -> Tuple[str, ...]:
    """List the names of a model's attributes without a training label.

    None are listed if the training data are not known.
    """
    if header.type_profile is None or header.schema is None:
        return ()
    counts = header.type_profile.counts
    return tuple(
        name
        for name in header.schema.names
        if name not in counts or not counts[name].any()
    )


def _on_numbers(summary: PatientSummary) -> Iterator[Note]:
    cells = summary.num_named
    if cells < ENOUGH_CELLS:
        few = cells < FEWEST_CELLS
        yield Note(
            'few-cells',
            'Few cells' if few else 'Fewer than 200 cells',
            f'{number(cells, "cell")} counted. A manual differential takes '
            f'{FEWEST_CELLS} at the least, {ENOUGH_CELLS} by the reference '
            f'method (CLSI H20) and for blasts in blood (WHO; 500 in marrow). '
            'The intervals show how little fewer cells can tell.',
            caution=few,
        )
    with_cells = sum(field.num_cells > 0 for field in summary.readable)
    if cells and with_cells < summary.settings.min_fields:
        yield Note(
            'few-fields',
            'Few fields',
            f'The cells lie in {number(with_cells, "field")}. How much fields '
            'differ cannot be seen from so few, so the intervals take cells '
            'as independent and may be too narrow.',
        )


def _on_model(summary: PatientSummary) -> Iterator[Note]:
    header = summary.header
    if header.calibration is None:
        yield Note(
            'uncalibrated',
            'Uncalibrated model',
            'Its scores rank cells but are no probabilities: 0.9 need not '
            'mean that nine in ten are right. They are shown as scores.',
        )
    else:
        fitted_on = header.calibration.get('num_cells')
        if fitted_on is not None and fitted_on < _FEWEST_CALIBRATION_CELLS:
            yield Note(
                'thin-calibration',
                'Calibrated on few cells',
                f'Confidences rest on {number(fitted_on, "labelled cell")}.',
                caution=False,
            )
    known = {*header.types, summary.settings.unnamed_type}
    absent = [name for name in LLD_CLASSES if name not in known]
    if absent:
        yield Note(
            'unknown-types',
            'Types that the model lacks',
            f'{", ".join(absent)}: such cells are missed or named as another '
            'type.',
        )
    untrained = untrained_types(summary)
    if untrained:
        yield Note(
            'untrained-types',
            'Types without training cells',
            f'{", ".join(untrained)}: the model lists them, but its training '
            'data have no such cell with known attributes. It is not expected '
            'to find them: none found does not mean none there.',
        )
    without_labels = untrained_attributes(header)
    if without_labels:
        titles = [a.title for a in header.schema if a.name in without_labels]
        yield Note(
            'untrained-attributes',
            'Attributes without training labels',
            f'{", ".join(titles)}: what the model says of them means nothing '
            'and is not shown.',
        )
    if header.type_profile is None:
        yield Note(
            'no-profile',
            'Training data unknown',
            'The predictions carry no profile of the training data: which '
            'attributes speak for or against a type cannot be shown, nor '
            'which types the model has ever seen.',
            caution=False,
        )


def _on_confidence(summary: PatientSummary) -> Iterator[Note]:
    if not summary.num_cells:
        return
    if summary.num_rivals:
        yield Note(
            'rivals',
            'Cells with two names',
            f'{number(summary.num_rivals, "box", "boxes")} on the cell of a '
            'surer box, not counted. Their types follow after “or”.',
            caution=summary.num_rivals > _MANY * summary.num_cells,
        )
    doubtful = sum(
        value < _DOUBTFUL
        for values in summary.confidences.values()
        for value in values
    )
    if doubtful > _MANY * summary.num_cells:
        what = 'confidence' if not summary.num_uncalibrated else 'score'
        yield Note(
            'doubtful-cells',
            'Many doubtful cells',
            f'A {what} below {_DOUBTFUL:g}: {number(doubtful, "cell")} of '
            f'{summary.num_cells} ({percent(doubtful / summary.num_cells)}).',
        )
    if summary.num_unnamed:
        share = summary.num_unnamed / summary.num_cells
        yield Note(
            'unnamed-cells',
            'Cells nobody could name',
            f'{number(summary.num_unnamed, "cell")} of {summary.num_cells} '
            f'({percent(share)}), of the type '
            f'“{summary.settings.unnamed_type}”, left out of all shares.',
            caution=share > _MANY,
        )


def _on_fields(
    summary: PatientSummary, labels: Sequence[str]
) -> Iterator[Note]:
    named = list(zip(labels, summary.fields))
    errors = tuple(f'{name}: {f.error}' for name, f in named if f.error)
    if errors:
        yield Note(
            'unreadable',
            'Unreadable images',
            f'Not read, and in no number here: '
            f'{number(len(errors), "image")}.',
            items=errors,
        )
    readable = [(name, field) for name, field in named if not field.error]
    empty = tuple(name for name, field in readable if not field.num_cells)
    if empty:
        yield Note(
            'empty-fields',
            'Fields without cells',
            f'No cell was found in {number(len(empty), "field")} of '
            f'{len(readable)}.',
            caution=len(empty) * 2 > len(readable),
            items=empty,
        )
    blurred = tuple(
        label for label, found in zip(labels, find_blurred(summary)) if found
    )
    if blurred:
        limits = []
        if summary.settings.min_focus is not None:
            limits.append(f'below {summary.settings.min_focus:g}')
        limits.append(
            f'below {percent(summary.settings.focus_ratio, 0)} of the median '
            'of this patient’s fields'
        )
        yield Note(
            'low-focus',
            'Less sharp fields',
            f'Focus of {number(len(blurred), "field")} '
            f'{" or ".join(limits)}. Chromatin, nucleoli and vacuoles cannot '
            'be assessed where the picture is not sharp.',
            items=blurred,
        )


def find_blurred(summary: PatientSummary) -> List[bool]:
    """Find the fields that are less sharp than they should be.

    Returns:
        list[bool]: For each field, whether its focus is below the limit of
        the user, or far below the median of the patient's fields of the same
        scale.
    """
    settings, fields = summary.settings, summary.fields
    limits = {}
    for scale in {field.scale for field in fields}:
        known = [f.focus for f in fields if f.scale == scale]
        known = [focus for focus in known if focus is not None]
        limits[scale] = settings.min_focus or 0.0
        if len(known) >= _FEWEST_FOCUS:
            relative = settings.focus_ratio * float(np.median(known))
            limits[scale] = max(limits[scale], relative)
    return [
        field.focus is not None and field.focus < limits[field.scale]
        for field in fields
    ]


def _on_mixtures(summary: PatientSummary) -> Iterator[Note]:
    for code, title, place in (
        ('mixed-magnification', 'Mixed magnifications', 0),
        ('mixed-subsets', 'Mixed microscopes or cameras', 1),
    ):
        seen = Counter(field.scale[place] for field in summary.readable)
        if len(seen) > 1:
            parts = ', '.join(
                f'{name or "not stated"}: {number(seen[name], "field")}'
                for name in sorted(seen, key=str)
            )
            yield Note(
                code,
                title,
                f'{parts}. A cell that was photographed in both ways is '
                'counted twice.',
            )
