# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from dataclasses import replace
from typing import Dict, List, Sequence

from mmleuk.io.readers.lld_json import UNKNOWN
from mmleuk.structures.class_map import IGNORE, ClassMap
from mmleuk.structures.record import FieldRecord, normalise_name

from .conversion_report import ConversionError, ConversionReport, list_counts


def map_classes(
    fields: Sequence[FieldRecord],
    class_map: ClassMap,
    classes: Sequence[str],
    report: ConversionReport,
) -> List[FieldRecord]:
    """Turn the class names of records into those of the target.

    Args:
        fields (Sequence[FieldRecord]): The records.
        class_map (ClassMap): The map. A cell that becomes "ignore" keeps its
            class if the target has it, or else gets the first class.
        classes (Sequence[str]): Classes of the target.
        report (ConversionReport): Where dropped cells are counted.

    Returns:
        list[FieldRecord]: The records, with classes of the target only.

    Raises:
        ConversionError: If the target lacks classes; all are listed.
    """
    known = set(map(normalise_name, classes))
    unknown: Counter = Counter()
    first: Dict[str, str] = {}
    mapped = []
    for field in fields:
        cells = []
        for cell in field.cells:
            target = class_map(cell.category)
            if target is None:
                report.dropped[f'{cell.category!r} (by the class map)'] += 1
                continue
            ignored = cell.ignored or target == IGNORE
            # Readers ignore cells without a class, and have counted them.
            classless = cell.ignored and target == UNKNOWN
            if target == IGNORE or classless:
                target = cell.category
                if target not in known:
                    target = normalise_name(classes[0])
            if target not in known:
                came = '' if target == cell.category else f' -> {target!r}'
                what = f'{cell.category!r}{came}'
                unknown[what] += 1
                first.setdefault(what, field.file_name)
            cells.append(replace(cell, category=target, ignored=ignored))
        mapped.append(replace(field, cells=tuple(cells)))
    if unknown:
        places = ', '.join(
            f'{what} first in {name}' for what, name in sorted(first.items())
        )
        raise ConversionError(
            f'the target does not have the classes of {list_counts(unknown)} '
            f'({places}), expected {", ".join(sorted(known))}. Say by a class '
            'map (--class-map) what they become: another class, "ignore", or '
            'null to drop them'
        )
    return mapped
