# Copyright (c) mmleuk authors. All rights reserved.
"""Splits by patient that balance classes and attributes."""

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import Collection, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from mmleuk.io.label_file import LabelFile
from mmleuk.structures import AttributeSchema
from mmleuk.structures.record import FieldRecord

from .naming import normalise_patient, parse_field_name

# Up to this number of possible splits, all are tried.
MAX_EXACT = 20_000

# Random starts of the local search otherwise.
STARTS = 10

# Swap partners that are tried for each group in one pass.
MAX_SWAPS = 100


@dataclass(frozen=True)
class Group:
    """The images of one patient, which stay together.

    Args:
        name (str): The patient, or the file name of an image without one.
        files (tuple[str]): The images.
        counts (dict[str, int]): Number of each thing that is balanced.
        known (bool): Whether the patient is known.
    """

    name: str
    files: Tuple[str, ...]
    counts: Mapping[str, int]
    known: bool = True


def group_by_patient(
    dataset: dict,
    schema: Optional[AttributeSchema] = None,
    patients: Optional[Mapping[str, str]] = None,
) -> List[Group]:
    """Group the images of a file by patient and count what is in them.

    Args:
        dataset (dict): LLD's JSON, see :class:`LabelFile`.
        schema (AttributeSchema, optional): Attributes whose values are to be
            balanced as well.
        patients (Mapping[str, str], optional): Patient by file name. None
            takes the patients that LLD's file names state.

    Returns:
        list[Group]: Groups sorted by name. Counted are images, cells that are
        not ignored by class (``'class neutrophil'``), and known values of
        attributes (``'cell_size small'``). An image without a patient is a
        group of its own.

    Raises:
        ValueError: If ``patients`` does not name all images, an image has no
            id or name, or two share an id.
    """
    fields = LabelFile(dataset, schema, boxes=False).fields
    names = [field.file_name for field in fields]
    if patients is not None:
        missing = sorted(set(names) - set(patients))
        if missing:
            raise ValueError(
                f'{len(missing)} of {len(names)} images have no patient in '
                f'the table, such as {missing[0]}. Add them'
            )
    members: Dict[Tuple[bool, str], List[FieldRecord]] = {}
    for field in sorted(fields, key=lambda field: field.file_name):
        patient = (
            parse_field_name(field.file_name).patient
            if patients is None
            else patients[field.file_name]
        )
        key = (False, field.file_name)
        if patient is not None:
            key = (True, normalise_patient(patient))
        members.setdefault(key, []).append(field)
    return [
        Group(
            name,
            tuple(field.file_name for field in own),
            _count(own, schema),
            known,
        )
        for (known, name), own in sorted(members.items(), key=itemgetter(0))
    ]


def _count(
    fields: Sequence[FieldRecord], schema: Optional[AttributeSchema]
) -> Dict[str, int]:
    """Count images, and classes and attribute values of cells."""
    counts: Counter = Counter(images=len(fields))
    for cell in itertools.chain(*(field.cells for field in fields)):
        if cell.ignored:
            continue
        counts[f'class {cell.category}'] += 1
        if schema is not None:
            values = schema.describe(cell.attributes)
            counts.update(
                f'{name} {value}' for name, value in values.items() if value
            )
    return dict(counts)


def tabulate_counts(groups: Sequence[Group]) -> np.ndarray:
    """Tabulate the counts by group and thing, shape (g, t), float64."""
    things = sorted(set().union(*(group.counts for group in groups)))
    return np.array(
        [[group.counts.get(thing, 0) for thing in things] for group in groups],
        dtype=float,
    )


def imbalance(
    counts: np.ndarray, parts: np.ndarray, shares: np.ndarray
) -> float:
    """Measure how far parts are from their shares of everything.

    This is the sum, over things and parts, of the squared difference between
    the part's share of the thing and the wanted share. Rare and frequent
    things have the same weight.

    Args:
        counts (np.ndarray): See :func:`tabulate_counts`, shape (g, t).
        parts (np.ndarray): Part of each group, shape (g, ), int.
        shares (np.ndarray): Wanted shares, shape (p, ), sum 1.

    Returns:
        float: 0 for a perfect split.
    """
    return _cost(_sums(counts / counts.sum(axis=0), parts, shares), shares)


def _sums(
    parts_of_all: np.ndarray, parts: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Add up the shares that each part has, shape (p, t)."""
    sums = np.zeros((len(shares), parts_of_all.shape[1]))
    np.add.at(sums, parts, parts_of_all)
    return sums


def _cost(sums: np.ndarray, shares: np.ndarray) -> float:
    """Measure the imbalance of shares that parts have, shape (p, t)."""
    return float(((sums - shares[:, None]) ** 2).sum())


def split_groups(
    groups: Sequence[Group], shares: Sequence[float], seed: int = 0
) -> List[int]:
    """Assign each group to a part, with the least :func:`imbalance`.

    Every part gets a group. With at most ``MAX_EXACT`` possible splits, all
    are tried. Otherwise a local search starts from ``STARTS`` greedy splits
    (the groups with the largest share of anything first, each to the part
    where it costs least; the seed varies the order) and moves and swaps groups
    until neither helps.

    The greedy step is that of scikit-learn's ``StratifiedGroupKFold``, which
    balances one label a sample over folds of one size; after Sechidis et al.,
    "On the Stratification of Multi-label Data" (2011), several things are
    balanced at once, over parts of any size.

    Args:
        groups (Sequence[Group]): The groups.
        shares (Sequence[float]): Wanted share of each part, above 0, sum 1.
        seed (int): Same seed, same split.

    Returns:
        list[int]: Index of the part of each group.

    Raises:
        ValueError: If shares are no such numbers, or groups are fewer than
            parts.
    """
    wanted = np.array(shares, dtype=float)
    if (
        len(wanted) < 2
        or not np.isfinite(wanted).all()
        or (wanted <= 0).any()
        or abs(wanted.sum() - 1) > 1e-6
    ):
        raise ValueError(
            f'the shares are {list(shares)}, expected two or more numbers '
            'above 0 whose sum is 1'
        )
    if len(groups) < len(wanted):
        raise ValueError(
            f'got {len(groups)} patients for {len(wanted)} parts, expected '
            'at least one patient a part'
        )
    counts = tabulate_counts(groups)
    parts_of_all = counts / counts.sum(axis=0)
    rng = random.Random(seed)
    if len(wanted) ** len(groups) <= MAX_EXACT:
        return _try_all(parts_of_all, wanted, rng)
    best, best_cost = np.array([]), np.inf
    for _ in range(STARTS):
        parts = _greedy(parts_of_all, wanted, rng)
        cost = _improve(parts_of_all, parts, wanted, rng)
        # A smaller difference may be rounding.
        if cost < best_cost - 1e-12:
            best, best_cost = parts, cost
    return best.tolist()


def _try_all(
    parts_of_all: np.ndarray, shares: np.ndarray, rng: random.Random
) -> List[int]:
    """Find the best of all splits; the seed decides ties."""
    size = len(shares)
    splits = list(itertools.product(range(size), repeat=len(parts_of_all)))
    rng.shuffle(splits)
    best: Tuple[int, ...] = ()
    best_cost = np.inf
    for split in splits:
        if len(set(split)) < size:
            continue
        parts = np.array(split)
        cost = _cost(_sums(parts_of_all, parts, shares), shares)
        if cost < best_cost - 1e-12:
            best, best_cost = split, cost
    return list(best)


def _greedy(
    parts_of_all: np.ndarray, shares: np.ndarray, rng: random.Random
) -> np.ndarray:
    """Assign the largest groups first, each to where it costs least."""
    blur = np.array([rng.uniform(0.8, 1.25) for _ in parts_of_all])
    order = np.argsort(-parts_of_all.max(axis=1) * blur, kind='stable')
    parts = np.zeros(len(parts_of_all), dtype=int)
    excess = np.repeat(-shares[:, None], parts_of_all.shape[1], axis=1)
    empty = set(range(len(shares)))
    for left, group in zip(range(len(order), 0, -1), order):
        # The last groups are kept for parts that have none.
        choices = sorted(empty) if left <= len(empty) else range(len(shares))
        choices = np.array(choices)
        # Half of the cost, up to a constant.
        costs = excess[choices] @ parts_of_all[group]
        part = int(choices[costs.argmin()])
        parts[group] = part
        excess[part] += parts_of_all[group]
        empty.discard(part)
    return parts


def _improve(
    parts_of_all: np.ndarray,
    parts: np.ndarray,
    shares: np.ndarray,
    rng: random.Random,
) -> float:
    """Move and swap groups in place; return the imbalance that is left."""
    excess = _sums(parts_of_all, parts, shares) - shares[:, None]
    targets = np.arange(len(shares))
    order = np.arange(len(parts))
    improved = True
    while improved:
        improved = False
        rng.shuffle(order)
        for group in order:
            old = parts[group]
            # Moves to each part, then swaps with groups of other parts.
            others = order
            if len(order) > MAX_SWAPS:
                others = order[rng.sample(range(len(order)), MAX_SWAPS)]
            others = others[parts[others] != old]
            moves = targets[targets != old]
            if (parts == old).sum() == 1:
                moves = moves[:0]
            flows = parts_of_all[group] - np.concatenate(
                [np.zeros((len(moves), excess.shape[1])), parts_of_all[others]]
            )
            to = np.concatenate([moves, parts[others]])
            # (e - f)^2 + (d + f)^2 - e^2 - d^2 = 2 f^2 + 2 f (d - e)
            costs = (flows**2 + flows * (excess[to] - excess[old])).sum(axis=1)
            if not len(costs) or costs.min() > -1e-12:
                continue
            best = int(costs.argmin())
            excess[old] -= flows[best]
            excess[to[best]] += flows[best]
            if best >= len(moves):
                parts[others[best - len(moves)]] = old
            parts[group] = to[best]
            improved = True
    return float((excess**2).sum())


def take_part(dataset: dict, files: Collection[str]) -> dict:
    """Keep some images of a file with their annotations.

    Args:
        dataset (dict): LLD's JSON.
        files (Collection[str]): Names of the images to keep.

    Returns:
        dict: The dataset with fewer images and annotations; these are the
        same objects, ids included.
    """
    labels = LabelFile(dataset, boxes=False)
    names = set(files)
    return labels.take(
        [field for field in labels.fields if field.file_name in names]
    )
