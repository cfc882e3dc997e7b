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
        share (Share): Of the cells that could be named.
        num_fields (int): Fields in which it was found.
        certainty (float, optional): Median confidence or score, None of no
            cells.
    """

    name: str
    is_blast: bool
    share: Share
    num_fields: int
    certainty: Optional[float]


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
        equivalents (tuple[tuple[str, Share]]): The share with a type beside
            that counts as a blast in some leukaemias, for each found.
        expected_errors (float, optional): How many of the cells counted as
            blasts are expected to be none, by their calibrated confidences.
        with_unnamed (float, optional): The share if every cell that nobody
            could name were a blast.
    """

    types: Tuple[str, ...]
    unknown: Tuple[str, ...]
    share: Optional[Share] = None
    problem: Optional[str] = None
    relation: Optional[str] = None
    equivalents: Tuple[Tuple[str, Share], ...] = ()
    expected_errors: Optional[float] = None
    with_unnamed: Optional[float] = None


def count_types(tally: PatientSummary) -> Tuple[List[TypeRow], BlastShare]:
    """Take all shares of a patient, on the same draws of fields.

    Args:
        tally (PatientSummary): What was counted.

    Returns:
        tuple[list[TypeRow], BlastShare]: The differential count, blasts
        first, then by number; and the share of blasts.
    """
    settings, types = tally.settings, tally.header.types
    by_field = tally.counts_by_field()
    nothing = np.zeros(len(by_field), dtype=np.int64)
    column = {name: by_field[:, i] for i, name in enumerate(types)}
    named = tally.counted_types
    equivalents = [
        name
        for name in BLAST_EQUIVALENTS
        if name in types and name not in tally.blasts
    ]
    groups = [(name,) for name in named]
    groups += [tally.blasts, *((*tally.blasts, name) for name in equivalents)]
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
            name in tally.blasts,
            share,
            int(np.count_nonzero(column[name])),
            _median(tally.certainties.get(name, ())),
        )
        for name, share in zip(named, shares)
    ]
    rows.sort(key=lambda row: (not row.is_blast, -row.share.count))
    share, *wider = shares[len(named) :]
    return rows, _judge_blasts(tally, share, list(zip(equivalents, wider)))


def _judge_blasts(
    tally: PatientSummary, share: Share, wider: Sequence[Tuple[str, Share]]
) -> BlastShare:
    untrained = untrained_types(tally)
    findable = [name for name in tally.blasts if name not in untrained]
    unknown = tuple(
        name
        for name in (tally.settings.blast_types or BLAST_TYPES)
        if name not in findable
    )
    problem = None
    if not tally.blasts:
        problem = (
            f'The model knows no type of blast ({", ".join(BLAST_TYPES)}), so '
            'this report cannot say whether there are any.'
        )
    elif not findable:
        problem = (
            f'The model lists {", ".join(tally.blasts)}, but its training '
            'data hold no such cell with known attributes. It cannot be '
            'expected to find blasts, so no share is stated.'
        )
    elif not share.total:
        problem = 'No cell was found and named, so there is no share.'
    elif (
        not share.count
        and tally.header.type_profile is None
        and tally.settings.blast_types is None
    ):
        # 0 % of a model that never saw a blast would be false comfort.
        problem = (
            'No cell was named a blast, but the predictions do not tell '
            'whether the model was ever taught what blasts look like. If it '
            f'was, ask for {", ".join(tally.blasts)} as blast types.'
        )
    if problem:
        return BlastShare(tally.blasts, unknown, problem=problem)
    limited_to_half_of = [
        1 - value
        for name in tally.blasts
        for value in tally.certainties.get(name, ())
    ]
    with_unnamed = None
    if tally.num_unnamed:
        with_unnamed = (share.count + tally.num_unnamed) / tally.num_cells
    return BlastShare(
        tally.blasts,
        unknown,
        share,
        relation=share.relation(tally.settings.blast_mark),
        equivalents=tuple(
            (name, other) for name, other in wider if other.count > share.count
        ),
        expected_errors=float(sum(limited_to_half_of))
        if limited_to_half_of and not tally.num_uncalibrated
        else None,
        with_unnamed=with_unnamed,
    )


def _median(values: Sequence[float]) -> Optional[float]:
    return float(np.median(values)) if len(values) else None
