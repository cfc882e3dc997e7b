# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .cell_marks import (
    CANDIDATE_CELL,
    CELL,
    DIFFERENT,
    IGNORED,
    CellMark,
    CellMarker,
    Panel,
    Span,
)
from .colours import RGB


class Entry(NamedTuple):
    """One thing that a legend explains.

    Args:
        spans (tuple[Span]): The text.
        colour (tuple[int], optional): RGB of a swatch before it.
    """

    spans: Tuple[Span, ...]
    colour: Optional[RGB] = None


def _entry(text: str, colour: Optional[RGB] = None) -> Entry:
    """An entry of plain text."""
    return Entry((Span(text),), colour)


def explain(
    panels: Sequence[Panel], marker: CellMarker, abbreviate: bool
) -> List[List[Entry]]:
    """Explain the names, codes and lines that occur in a picture.

    Args:
        panels (Sequence[Panel]): The panels.
        marker (CellMarker): Has the names and codes.
        abbreviate (bool): Whether names are abbreviated.

    Returns:
        list[list[Entry]]: Entries on classes, on attributes and on the rest;
        each group begins a line.
    """
    marks = [mark for panel in panels for mark in panel.marks]
    spans = [span for m in marks for line in m.lines for span in line]
    groups = [
        _explain_names(marks) if abbreviate else [],
        _explain_codes(spans, marker) if marker.attributes == 'codes' else [],
        _explain_signs(panels, marks, spans),
    ]
    return [group for group in groups if group]


def _explain_names(marks: Sequence[CellMark]) -> List[Entry]:
    """Abbreviations of classes."""
    names = {
        (mark.name, mark.short_name, mark.colour)
        for mark in marks
        if mark.kind == CELL and mark.short_name != mark.name
    }
    return [
        _entry(f'{short} {name}', colour)
        for name, short, colour in sorted(names)
    ]


def _explain_codes(spans: Sequence[Span], marker: CellMarker) -> List[Entry]:
    """Codes of attribute values."""
    if not spans:
        return []
    entries = [Entry((Span('codes in this order:'),))]
    for attribute in marker.schema:
        codes = marker.codes[attribute.name]
        values = ', '.join(map(' '.join, zip(codes, attribute.values)))
        entries.append(_entry(f'{attribute.title}: {values}'))
    if any(span.text == '–' for span in spans):
        entries.append(_entry('– not stated'))
    if any(span.text.endswith('?') for span in spans):
        entries.append(_entry(f'? below {100 * marker.attribute_thr:g} %'))
    return entries


def _explain_signs(
    panels: Sequence[Panel],
    marks: Sequence[CellMark],
    spans: Sequence[Span],
) -> List[Entry]:
    """Lines, and differences from the annotation."""
    suffixes = ' '.join(mark.suffix for mark in marks)
    kinds = {mark.kind for mark in marks}
    outline = 'black outline: annotated region'
    if any(panel.dim for panel in panels):
        outline += '; dimmed: not annotated'
    entries = []
    if any(span.look == DIFFERENT for span in spans):
        underlined = Span('underlined', DIFFERENT)
        entries.append(
            Entry((underlined, Span('differs from the annotation')))
        )
    texts = {
        '≠ type differs from the annotation': '≠' in suffixes,
        'extra: no annotated cell, or a second box': 'extra' in suffixes,
        'missed: not in the prediction': 'missed' in suffixes,
        'dashed, hatched: ignored': IGNORED in kinds,
        'dotted: may be a cell': CANDIDATE_CELL in kinds,
        outline: any(len(panel.unannotated) for panel in panels),
    }
    return entries + [_entry(text) for text, shown in texts.items() if shown]
