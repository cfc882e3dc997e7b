# Copyright (c) mmleuk authors. All rights reserved.
"""A cell in the words of the page."""

from typing import Dict, List, Sequence

from mmleuk.structures import Attribute, AttributePrediction

from . import wording
from .found_cells import FoundCell, confidence_of

# How the groups of attributes are headed, in this order.
_GROUPS = {
    'for': 'For',
    'against': 'Against',
    'neutral': 'Neither',
    'unknown': 'No training data of the type',
}


def describe_cell(schema: Sequence[Attribute], found: FoundCell) -> dict:
    """Put the attributes of a cell and what they say in words.

    Args:
        schema (Sequence[Attribute]): The attributes to tell of.
        found (FoundCell): The cell.

    Returns:
        dict: ``attributes``, one dict for each that was named, in the order
        of the schema; ``columns``, the same with None for those that were
        not; ``groups``, the attributes by the way in which they speak, the
        strongest first; ``rivals``, other types it was named as, each with
        its certainty; and ``surprises``, sentences.
    """
    evidence = {item.attribute: item for item in found.cell.evidence}
    columns = []
    for attribute in schema:
        named = found.cell.attributes.get(attribute.name)
        if named is None:
            columns.append(None)
            continue
        described = dict(
            title=attribute.title,
            value=named.value,
            phrase=wording.attribute_value(attribute, named.value),
            certainty=_certainty(named),
            direction='unknown',
            surprising=False,
        )
        if attribute.name in evidence:
            item = evidence[attribute.name]
            described.update(
                direction=wording.direction(item),
                likelihood_ratio=item.likelihood_ratio,
                factor=wording.factor(item.likelihood_ratio),
                ratio=wording.ratio(item.likelihood_ratio),
                share_of_type=item.share_of_type,
                share_of_others=item.share_of_others,
                num_cells=item.num_cells,
                surprising=item.surprising,
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
            wording.surprise(schema, found.cell.type, item)
            for item in found.surprises
        ],
    )


def _certainty(named: AttributePrediction) -> float:
    if named.confidence is None:
        return named.probability
    return named.confidence


def _group(attributes: List[dict]) -> List[dict]:
    if all(item['direction'] == 'unknown' for item in attributes):
        # Nothing is known of the type: what they are is all there is.
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
    """Gather what the viewer tells of cells, as JSON.

    What evidence says depends on type and value alone, so that a few lines
    of it serve all cells.

    Args:
        cells (Sequence[dict]): Cells, each with what :func:`describe_cell`
            gives, its type, field and number.
        calibrated (bool): Whether certainties are probabilities.

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
                    wording.percent(item['share_of_type'], 0),
                    wording.percent(item['share_of_others'], 0),
                    item['num_cells'],
                    item['surprising'],
                )
                reference = lines.setdefault(line, len(lines))
            sure = wording.certainty(item['certainty'], calibrated)
            attributes.append([item['title'], item['value'], sure, reference])
        packed[cell['number']] = dict(
            place=cell['place'],
            field=cell['field'],
            index=cell['field_index'],
            type=cell['type'],
            certainty=wording.certainty(cell['certainty'], calibrated),
            attributes=attributes,
            rivals=[
                f'{name}, {wording.certainty(value, calibrated)}'
                for name, value in cell['rivals']
            ],
            surprises=cell['surprises'],
        )
    return dict(cells=packed, evidence=list(lines), calibrated=calibrated)
