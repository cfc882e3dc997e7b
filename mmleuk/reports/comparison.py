# Copyright (c) mmleuk authors. All rights reserved.
"""Attributes of a patient's cells against those of a reference."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from scipy.stats import fisher_exact

from mmleuk.io.predictions import PredictionReader
from mmleuk.structures import Attribute, TypeProfile

from .statistics import Share, share_by_cells

# With fewer cells an interval covers most of the scale.
_FEWEST_CELLS = 10


@dataclass(frozen=True)
class Reference:
    """A profile to compare with.

    Args:
        profile (TypeProfile): How often types have attribute values.
        source (str): Where it comes from, for people.
        predicted (bool): Whether its attributes are predictions of a model
            instead of labels.
    """

    profile: TypeProfile
    source: str
    predicted: bool = False


@dataclass(frozen=True)
class ValueRow:
    """One attribute value of one type.

    Args:
        attribute (str): Title of the attribute.
        value (str): Name of the value.
        share (Share): Of the patient's cells.
        reference (float, optional): Share of the reference's cells, None
            where it has none of the type.
        num_reference (int): Number of these cells.
        differs (str, optional): ``'more'`` or ``'less'`` than the reference,
            where the difference is significant by Fisher's exact test.
    """

    attribute: str
    value: str
    share: Share
    reference: Optional[float]
    num_reference: int
    differs: Optional[str]


def load_reference(path: Union[str, Path]) -> Reference:
    """Read a profile to compare with.

    Args:
        path (str | Path): A JSON file: predictions of reference patients, by
            the same model if cells are to be compared as the model sees
            them; or a type profile (``TypeProfile.to_dict``).

    Returns:
        Reference: The profile.

    Raises:
        ValueError: If it is neither.
    """
    path = Path(path)
    try:
        reader = PredictionReader(path)
    except ValueError as no_predictions:
        try:
            record = json.loads(path.read_text(encoding='utf-8'))
            return Reference(TypeProfile.from_dict(record), path.name)
        except (KeyError, TypeError, ValueError) as no_profile:
            raise ValueError(
                f'{path}: is no reference; expected predictions.json of '
                'reference patients, or a type profile as JSON. As '
                f'predictions: {no_predictions}. As a type profile: '
                f'{type(no_profile).__name__}: {no_profile}'
            ) from no_profile
    header = reader.header
    if header.schema is None:
        raise ValueError(
            f'{path}: its model names no attributes, expected '
            'predictions with attributes to compare with'
        )
    profile = TypeProfile.count(header.types, header.schema)
    for image in reader:
        for cell in image.cells:
            profile.add(cell.type, cell.values)
    return Reference(profile, path.name, predicted=True)


def compare(
    profile: TypeProfile,
    reference: Optional[Reference],
    attributes: Sequence[Attribute],
    level: float = 0.95,
) -> Tuple[Dict[str, List[ValueRow]], List[str]]:
    """Compare a patient's cells with a reference, type by type.

    Of an attribute with two values only the second one is listed.

    Args:
        profile (TypeProfile): Of the patient.
        reference (Reference, optional): The reference.
        attributes (Sequence[Attribute]): Attributes to compare.
        level (float): Level of the intervals, which assume independent
            cells.

    Returns:
        tuple[dict, list[str]]: Rows by type, and the types that have too few
        cells to be compared.
    """
    compared: Dict[str, List[ValueRow]] = {}
    too_few = []
    for index, cell_type in enumerate(profile.types):
        tables = [(a, profile.counts[a.name][index]) for a in attributes]
        most = max((int(row.sum()) for _, row in tables), default=0)
        if most < _FEWEST_CELLS:
            too_few += [cell_type] if most else []
            continue
        compared[cell_type] = rows = []
        for attribute, counts in tables:
            total = int(counts.sum())
            first = 1 if len(attribute.values) == 2 else 0
            for count, value in list(zip(counts, attribute.values))[first:]:
                if not total:
                    continue
                hits, num = _look_up(
                    reference, cell_type, attribute.name, value
                )
                rows.append(
                    ValueRow(
                        attribute.title,
                        value,
                        share_by_cells(int(count), total, level),
                        hits / num if num else None,
                        num,
                        _find_difference(count, total, hits, num, level),
                    )
                )
    return compared, too_few


def _look_up(
    reference: Optional[Reference], cell_type: str, attribute: str, value: str
) -> Tuple[int, int]:
    """Cells of a reference with a value and of how many, 0 if unknown."""
    if reference is None:
        return 0, 0
    profile = reference.profile
    if cell_type not in profile.types or attribute not in profile.counts:
        return 0, 0
    values = profile.schema[profile.schema.names.index(attribute)].values
    if value not in values:
        return 0, 0
    row = profile.counts[attribute][profile.types.index(cell_type)]
    return int(row[values.index(value)]), int(row.sum())


def _find_difference(
    count: int, total: int, hits: int, num: int, level: float
) -> Optional[str]:
    if not num:
        return None
    table = [[count, total - count], [hits, num - hits]]
    if fisher_exact(table).pvalue >= 1 - level:
        return None
    return 'more' if count / total > hits / num else 'less'
