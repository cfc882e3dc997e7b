# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

from .notes import untrained_types
from .patient_summary import PatientSummary
from .settings import BLAST_EQUIVALENTS, BLAST_TYPES
from .statistics import Share, shares_by_fields


@dataclass(frozen=True)
class TypeRow:
    """One line of the differential count.

    Args:
        name (str): The type.
        is_blast (bool): Whether it is counted as a blast.
        share (Share): Share of the named cells.
        num_fields (int): Fields in which it was found.
        confidence (float, optional): Median confidence or score, None of no
            cells.
    """

    name: str
    is_blast: bool
    share: Share
    num_fields: int
    confidence: Optional[float]


@dataclass(frozen=True)
class BlastShare:
    """The share of blasts, or why it cannot be stated.

    Args:
        types (tuple[str]): Types counted as blasts.
        unknown (tuple[str]): Usual blast types that the model cannot find.
        share (Share, optional): The share.
        problem (str, optional): Why there is none.
        relation (str, optional): Where the interval lies against the mark:
            ``'above'``, ``'below'`` or ``'across'``.
        equivalents (tuple[tuple[str, Share]]): Types found that count as
            blasts in some leukaemias, and the share of blasts with each.
        expected_errors (float, optional): Expected number of cells counted as
            blasts that are none, by their calibrated confidences.
        with_unnamed (float, optional): The share if every unnamed cell were a
            blast.
    """

    types: Tuple[str, ...]
    unknown: Tuple[str, ...]
    share: Optional[Share] = None
    problem: Optional[str] = None
    relation: Optional[str] = None
    equivalents: Tuple[Tuple[str, Share], ...] = ()
    expected_errors: Optional[float] = None
    with_unnamed: Optional[float] = None


def count_types(summary: PatientSummary) -> Tuple[List[TypeRow], BlastShare]:
    """Compute all shares of a patient, on the same draws of fields.

    Args:
        summary (PatientSummary): Counts of the patient.

    Returns:
        tuple[list[TypeRow], BlastShare]: The differential count, blasts
        first, then by number; and the share of blasts.
    """
    settings, types = summary.settings, summary.header.types
    by_field = summary.counts_by_field()
    nothing = np.zeros(len(by_field), dtype=np.int64)
    column = {name: by_field[:, i] for i, name in enumerate(types)}
    named = summary.counted_types
    equivalents = [
        name
        for name in BLAST_EQUIVALENTS
        if name in types and name not in summary.blasts
    ]
    groups: List[Tuple[str, ...]] = [(name,) for name in named]
    groups += [
        summary.blasts,
        *((*summary.blasts, name) for name in equivalents),
    ]
    shares = shares_by_fields(
        np.stack(
            [sum((column[name] for name in g), nothing) for g in groups], 1
        ),
        sum((column[name] for name in named), nothing),
        settings.level,
        settings.min_fields,
        settings.num_resamples,
        settings.seed,
    )
    rows = [
        TypeRow(
            name,
            name in summary.blasts,
            share,
            int(np.count_nonzero(column[name])),
            _median(summary.confidences.get(name, ())),
        )
        for name, share in zip(named, shares)
    ]
    rows.sort(key=lambda row: (not row.is_blast, -row.share.count))
    share, *wider = shares[len(named) :]
    return rows, _state_blasts(summary, share, list(zip(equivalents, wider)))


def _state_blasts(
    summary: PatientSummary, share: Share, wider: Sequence[Tuple[str, Share]]
) -> BlastShare:
    untrained = untrained_types(summary)
    findable = [name for name in summary.blasts if name not in untrained]
    unknown = tuple(
        name
        for name in (summary.settings.blast_types or BLAST_TYPES)
        if name not in findable
    )
    problem = None
    if not summary.blasts:
        problem = (
            f'The model knows no type of blast ({", ".join(BLAST_TYPES)}), so '
            'this report cannot say whether there are any.'
        )
    elif not findable:
        problem = (
            f'The model lists {", ".join(summary.blasts)}, but its training '
            'data hold no such cell with known attributes. It cannot be '
            'expected to find blasts, so no share is stated.'
        )
    elif not share.total:
        problem = 'No cell was found and named, so there is no share.'
    elif (
        not share.count
        and summary.header.type_profile is None
        and summary.settings.blast_types is None
    ):
        # 0 % of a model that never saw a blast would be false comfort.
        problem = (
            'No cell was named a blast, but the predictions do not tell '
            'whether the model was trained on blasts. If it '
            f'was, ask for {", ".join(summary.blasts)} as blast types.'
        )
    if problem:
        return BlastShare(summary.blasts, unknown, problem=problem)
    error_probs = [
        1 - value
        for name in summary.blasts
        for value in summary.confidences.get(name, ())
    ]
    with_unnamed = None
    if summary.num_unnamed:
        with_unnamed = (share.count + summary.num_unnamed) / summary.num_cells
    return BlastShare(
        summary.blasts,
        unknown,
        share,
        relation=share.relation(summary.settings.blast_mark),
        equivalents=tuple(
            (name, other) for name, other in wider if other.count > share.count
        ),
        expected_errors=float(sum(error_probs))
        if error_probs and not summary.num_uncalibrated
        else None,
        with_unnamed=with_unnamed,
    )


def _median(values: Sequence[float]) -> Optional[float]:
    return float(np.median(values)) if len(values) else None
