# Copyright (c) mmleuk authors. All rights reserved.
"""Texts of a page: numbers, attributes and cells."""

from typing import Dict, List, Optional, Sequence

from msgspec.structs import asdict

from mmleuk.structures import Attribute, Evidence

from .found_cells import FoundCell, confidence_of
from .statistics import Share

# Numbers and their unit stay on one line.
_SPACE = '\u00a0'

# A ratio nearer to 1 counts as neutral.
_NEUTRAL = 1.25

# How the groups of attributes are headed, in this order.
_GROUPS = {
    'for': 'For',
    'against': 'Against',
    'neutral': 'Neither',
    'unknown': 'No training data of the type',
}


def percent(share: Optional[float], digits: int = 1) -> str:
    """Write a share, such as ``34.2 %``, or a dash if there is none."""
    if share is None:
        return '–'
    return f'{100 * share:.{digits}f}{_SPACE}%'


def confidence(value: Optional[float], calibrated: bool) -> str:
    """Write the confidence of the model.

    It is ``94 %`` for a calibrated probability, ``0.94`` for a mere score and
    a dash for None.
    """
    if value is None:
        return '–'
    if not calibrated:
        return f'{value:.2f}'
    # No model is certain: 99.7 % must not read as 100 %.
    return f'>99{_SPACE}%' if 0.995 <= value < 1 else percent(value, 0)


def interval(share: Share) -> str:
    """Write the interval of a share, such as ``28.0–41.3 %``."""
    return f'{100 * share.low:.1f}–{100 * share.high:.1f}{_SPACE}%'


def number(count: int, noun: str, plural: Optional[str] = None) -> str:
    """Write a number of things, such as ``1 field`` or ``25 fields``."""
    word = noun if count == 1 else plural or f'{noun}s'
    return f'{count:,}{_SPACE}{word}'


def _attribute_value(attribute: Attribute, value: str) -> str:
    """Name a value of an attribute, as in ``abundant cytoplasm``."""
    return f'{value} {attribute.title.lower()}'


def _direction(evidence: Evidence) -> str:
    """Whether it is ``'for'``, ``'against'`` or ``'neutral'``."""
    if evidence.likelihood_ratio >= _NEUTRAL:
        return 'for'
    if evidence.likelihood_ratio <= 1 / _NEUTRAL:
        return 'against'
    return 'neutral'


def factor(likelihood_ratio: float) -> str:
    """Write a likelihood ratio briefly: ``×4.2`` above 1, ``÷3.3`` below."""
    if likelihood_ratio >= 1:
        return f'×{_round(likelihood_ratio)}'
    return f'÷{_round(1 / likelihood_ratio)}'


def ratio(likelihood_ratio: float) -> str:
    """Write a likelihood ratio so that both directions read alike.

    It is ``4.2 times as common`` or ``3.3 times as rare``.
    """
    if likelihood_ratio >= 1:
        return f'{_round(likelihood_ratio)} times as common'
    return f'{_round(1 / likelihood_ratio)} times as rare'


def _round(value: float) -> str:
    return f'{value:.0f}' if value >= 9.95 else f'{value:.1f}'


def surprise(
    schema: Sequence[Attribute], cell_type: str, evidence: Evidence
) -> str:
    """Describe a surprising attribute value of a cell.

    It reads ``lymphoblast with abundant cytoplasm: 3 % of 210 training
    cells``.
    """
    (attribute,) = (a for a in schema if a.name == evidence.attribute)
    return (
        f'{cell_type} with {_attribute_value(attribute, evidence.value)}: '
        f'{percent(evidence.share_of_type, 0)} of '
        f'{number(evidence.num_cells, "training cell")}'
    )


def describe_cell(schema: Sequence[Attribute], found: FoundCell) -> dict:
    """Describe the attributes of a cell and their evidence.

    Args:
        schema (Sequence[Attribute]): The attributes to describe.
        found (FoundCell): The cell.

    Returns:
        dict: ``attributes``, one dict for each predicted one, in the order of
        the schema; ``columns``, the same with None for the others;
        ``groups``, the attributes for, against or neither, the strongest
        first; ``rivals``, other types with their confidences; and
        ``surprises``, sentences.
    """
    evidence = {item.attribute: item for item in found.cell.evidence}
    columns: List[Optional[dict]] = []
    for attribute in schema:
        named = found.cell.attributes.get(attribute.name)
        if named is None:
            columns.append(None)
            continue
        described = dict(
            title=attribute.title,
            value=named.value,
            phrase=_attribute_value(attribute, named.value),
            confidence=named.probability
            if named.confidence is None
            else named.confidence,
            direction='unknown',
            surprising=False,
        )
        if attribute.name in evidence:
            item = evidence[attribute.name]
            described.update(
                asdict(item),
                direction=_direction(item),
                factor=factor(item.likelihood_ratio),
                ratio=ratio(item.likelihood_ratio),
            )
        columns.append(described)
    attributes = [item for item in columns if item is not None]
    return dict(
        attributes=attributes,
        columns=columns,
        groups=_group(attributes),
        rivals=[
            (rival.type, confidence_of(rival))
            for rival in found.rivals
            if rival.type != found.cell.type
        ],
        surprises=[
            surprise(schema, found.cell.type, item) for item in found.surprises
        ],
    )


def _group(attributes: List[dict]) -> List[dict]:
    if all(item['direction'] == 'unknown' for item in attributes):
        # Without evidence the attributes are only listed.
        return [dict(kind='plain', title='', items=attributes)]
    groups = []
    for kind, title in _GROUPS.items():
        items = [item for item in attributes if item['direction'] == kind]
        if kind in ('for', 'against'):
            items.sort(
                key=lambda item: item['likelihood_ratio'],
                reverse=kind == 'for',
            )
        if items:
            groups.append(dict(kind=kind, title=title, items=items))
    return groups


def pack_cells(cells: Sequence[dict], calibrated: bool) -> dict:
    """Gather the texts of the viewer, as JSON.

    Evidence depends only on type and value, so that its lines are shared.

    Args:
        cells (Sequence[dict]): Cells, each with what :func:`describe_cell`
            gives, its type, field and number.
        calibrated (bool): Whether confidences are probabilities.

    Returns:
        dict: ``cells`` by number, the lines of ``evidence`` that they refer
        to, and ``calibrated``.
    """
    lines: Dict[tuple, int] = {}
    packed = {}
    for cell in cells:
        attributes = []
        for item in cell['attributes']:
            reference = None
            if item['direction'] != 'unknown':
                line = (
                    item['direction'],
                    item['ratio'],
                    percent(item['share_of_type'], 0),
                    percent(item['share_of_others'], 0),
                    item['num_cells'],
                    item['surprising'],
                )
                reference = lines.setdefault(line, len(lines))
            sure = confidence(item['confidence'], calibrated)
            attributes.append([item['title'], item['value'], sure, reference])
        packed[cell['number']] = dict(
            place=cell['place'],
            field=cell['field'],
            index=cell['field_index'],
            type=cell['type'],
            confidence=confidence(cell['confidence'], calibrated),
            attributes=attributes,
            rivals=[
                f'{name}, {confidence(value, calibrated)}'
                for name, value in cell['rivals']
            ],
            surprises=cell['surprises'],
        )
    return dict(cells=packed, evidence=list(lines), calibrated=calibrated)
