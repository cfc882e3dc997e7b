# Copyright (c) mmleuk authors. All rights reserved.
"""Cut full annotations down to a few rectangles an image."""

import itertools
import math
import numbers
import random
from collections import defaultdict
from dataclasses import replace
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmleuk.io.label_file import LabelFile
from mmleuk.io.readers.lld_json import REGIONS_KEY
from mmleuk.structures import center_in_regions
from mmleuk.structures.record import Box, FieldRecord

from .naming import normalise_patient, parse_field_name

PLACEMENTS = ('random', 'center', 'cells')

# A rectangle x1, y1, x2, y2 of whole pixels.
Rectangle = Tuple[int, int, int, int]


def sparsify(
    dataset: dict,
    share: float,
    num_regions: int = 1,
    placement: str = 'random',
    aspect_range: Tuple[float, float] = (0.5, 2.0),
    seed: int = 0,
    patient_shares: Optional[Mapping[Union[str, int], float]] = None,
    max_fields_per_patient: Optional[int] = None,
) -> dict:
    """Keep the annotations inside one or several rectangles of each image.

    Each image gets ``annotated_regions``, a list of ``[x1, y1, x2, y2]`` in
    whole pixels. Of its annotations, ignored ones included, those stay whose
    box, cut at the image's edge, has its centre inside or on the border of a
    rectangle. All else stays as it is: annotations of images not listed or
    without an area inside their image, and keys that no record has.

    With several rectangles, straight cuts across the longer side divide the
    image into as many equal parts; each part gets one rectangle of ``share``
    of its area, so that rectangles do not overlap.

    What holds exactly:

    - A rectangle of w x h pixels differs in area from ``share`` of its part by
      no more than (w + h) / 2 + 3 / 4 square pixels, since its sides are
      rounded.
    - What is drawn for an image depends on ``seed``, its file name and its
      size; with the placement 'cells' also on its own labelled cells; with
      ``max_fields_per_patient`` whether it has a region depends on the
      patient's other file names. Nothing else in the file matters.
    - Of two shares, all other arguments being equal, each rectangle of the
      smaller one lies inside one of the larger. So the cells kept for 5 % are
      among those kept for 10 %.
    - The fields chosen by a smaller ``max_fields_per_patient`` are among
      those chosen by a larger one.

    Args:
        dataset (dict): LLD's JSON without ``annotated_regions``, see
            :class:`LabelFile`. It is left as it is.
        share (float): Annotated share of each image's area, in (0, 1]. At 1
            the image stays fully annotated, which the layout states by leaving
            ``annotated_regions`` out.
        num_regions (int): Rectangles an image.
        placement (str): Where a rectangle lies in its part of the image.
            ``'random'``: uniform over where it fits; ``'center'``: in the
            middle; ``'cells'``: one of the part's labelled cells that is not
            ignored is drawn, then the place uniformly over where the rectangle
            fits and holds that cell's centre. A part without cells is treated
            as by 'random'.
        aspect_range (tuple[float, float]): Range of a rectangle's width over
            its height, in pixels; drawn uniformly on a logarithmic scale.
            Where the aspect drawn does not fit at this share, the nearest one
            that does is taken.
        seed (int): Same seed, same rectangles.
        patient_shares (Mapping[str | int, float], optional): Shares in [0, 1]
            that replace ``share`` for the fields of some patients. At 0
            nothing of a field is annotated (an empty list).
        max_fields_per_patient (int, optional): So many fields of each patient,
            drawn at random, keep their annotation; nothing of the others is
            annotated. None keeps all fields.

    Returns:
        dict: The dataset with fewer annotations. Its annotations are the same
        objects as in ``dataset``.

    Raises:
        ValueError: If an argument is out of its range, a patient is unknown, a
            file name states no patient where a budget by patient is given, an
            image already has ``annotated_regions``, a rectangle does not fit,
            or a record lacks what is needed here.
    """
    _expect(
        _is_share(share) and share > 0,
        'a number above 0, at most 1',
        share=share,
    )
    count = 'a whole number, 1 or more'
    _expect(_is_integer(num_regions, 1), count, num_regions=num_regions)
    _expect(
        placement in PLACEMENTS,
        f'one of {", ".join(map(repr, PLACEMENTS))}',
        placement=placement,
    )
    _expect(
        isinstance(aspect_range, (list, tuple))
        and len(aspect_range) == 2
        and 0 < aspect_range[0] <= aspect_range[1] < math.inf,
        'two numbers above 0, the smaller one first',
        aspect_range=aspect_range,
    )
    _expect(_is_integer(seed), 'a whole number', seed=seed)
    if max_fields_per_patient is not None:
        _expect(
            _is_integer(max_fields_per_patient, 1),
            count,
            max_fields_per_patient=max_fields_per_patient,
        )
    labels = LabelFile(dataset)
    shares = _shares_of_fields(
        [field.file_name for field in labels.fields],
        share,
        patient_shares,
        max_fields_per_patient,
        seed,
    )
    fields = []
    for field in labels.fields:
        name = field.file_name
        if field.annotated_regions is not None:
            raise ValueError(
                f'image {name} already has {REGIONS_KEY!r}, expected an image '
                'annotated as a whole. Start from the full labels.'
            )
        if shares[name] < 1:
            regions: Sequence[Rectangle] = ()
            if shares[name]:
                regions = _draw_regions(
                    _generator(seed, 'regions', name),
                    field,
                    shares[name],
                    num_regions,
                    placement,
                    aspect_range,
                )
            field = cut_to_regions(field, regions)
        fields.append(field)
    return labels.take(fields, keep_others=True)


def cut_to_regions(field: FieldRecord, regions: Sequence[Box]) -> FieldRecord:
    """Keep the cells of a field whose centre lies in annotated regions.

    Args:
        field (FieldRecord): The field.
        regions (Sequence[tuple[float]]): Rectangles (x1, y1, x2, y2) in
            pixels.

    Returns:
        FieldRecord: The field with these regions and fewer cells.
    """
    inside = center_in_regions(
        np.reshape([cell.bbox for cell in field.cells], (-1, 4)),
        np.reshape(regions, (-1, 4)),
    )
    return replace(
        field,
        cells=tuple(itertools.compress(field.cells, inside)),
        annotated_regions=tuple(regions),
    )


def _is_integer(value: object, least: float = -math.inf) -> bool:
    """Tell whether a value is a whole number, not less than another one."""
    return (
        isinstance(value, numbers.Integral)
        and not isinstance(value, bool)
        # mypy knows no order of `numbers`.
        and value >= least  # type: ignore[operator]
    )


def _is_share(value: object) -> bool:
    """Tell whether a value is a number from 0 to 1."""
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and 0 <= value <= 1  # type: ignore[operator]
    )


def _expect(good: bool, expected: str, **argument: object) -> None:
    """Refuse an argument out of its range."""
    if not good:
        ((name, value),) = argument.items()
        raise ValueError(f'got {name}={value!r}, expected {expected}')


def _generator(seed: int, *key: str) -> random.Random:
    """Make a generator of its own for each thing that is drawn by name."""
    # For a seed that is a string, Python promises the same `random()` in all
    # versions; NumPy promises no such thing.
    return random.Random('/'.join((str(seed), *key)))


def _shares_of_fields(
    file_names: Sequence[str],
    share: float,
    patient_shares: Optional[Mapping[Union[str, int], float]],
    max_fields_per_patient: Optional[int],
    seed: int,
) -> Dict[str, float]:
    """Annotated share of each image by file name, from all budgets."""
    shares = dict.fromkeys(file_names, share)
    if patient_shares is None and max_fields_per_patient is None:
        return shares

    fields: Dict[str, List[str]] = defaultdict(list)
    for name in file_names:
        patient = parse_field_name(name).patient
        if patient is None:
            raise ValueError(
                f'image {name} states no patient, so that no budget by '
                'patient can be given to it, expected a name such as '
                '"4_15_1000_ALL.png". Rename it, or leave out '
                '`patient_shares` and `max_fields_per_patient`.'
            )
        fields[normalise_patient(patient)].append(name)

    seen = set()
    for stated, own_share in (patient_shares or {}).items():
        if not _is_share(own_share):
            raise ValueError(
                f'got the share {own_share!r} for the patient {stated}, '
                'expected a number from 0 to 1'
            )
        key = normalise_patient(stated)
        if key not in fields:
            raise ValueError(
                f'no image is of the patient {stated}, expected some of '
                f'{", ".join(sorted(fields)) or "none"}. Correct '
                '`patient_shares`.'
            )
        if key in seen:
            raise ValueError(
                f'`patient_shares` names the patient {key} twice, as in '
                f'{stated!r}. Name it once.'
            )
        seen.add(key)
        shares.update(dict.fromkeys(fields[key], own_share))

    if max_fields_per_patient is not None:
        for own_fields in fields.values():
            drawn = sorted(
                own_fields,
                key=lambda name: (
                    _generator(seed, 'field', name).random(),
                    name,
                ),
            )
            shares.update(dict.fromkeys(drawn[max_fields_per_patient:], 0))
    return shares


def _draw_regions(
    rng: random.Random,
    field: FieldRecord,
    share: float,
    num_regions: int,
    placement: str,
    aspect_range: Tuple[float, float],
) -> List[Rectangle]:
    """Draw the rectangles of one image.

    The random numbers depend on neither share nor placement. Sides grow with
    the share, and a side that grows by a pixel moves no edge inwards (see
    :func:`_place`), so that rectangles of different shares are nested.
    """
    # Sorted and unique: neither repeated boxes nor the file order matter.
    boxes = {cell.bbox for cell in field.cells if not cell.ignored}
    centres = sorted(
        {((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes}
    )
    regions = []
    for part in _cut(rng, (0, 0, field.width, field.height), num_regions):
        low, high = map(math.log, aspect_range)
        aspect = math.exp(low + (high - low) * _draw(rng))
        place, chosen = (_draw(rng), _draw(rng)), _draw(rng)
        sides = _fit(part, share, aspect, aspect_range, field.file_name)

        cell = None
        if placement == 'center':
            place = (0.5, 0.5)
        elif placement == 'cells':
            own = [
                (x, y)
                for x, y in centres
                if part[0] <= x <= part[2] and part[1] <= y <= part[3]
            ]
            if own:
                cell = own[int(chosen * len(own))]
        x1, y1 = (
            _place(
                part[axis],
                part[axis + 2],
                sides[axis],
                place[axis],
                None if cell is None else cell[axis],
            )
            for axis in (0, 1)
        )
        regions.append((x1, y1, x1 + sides[0], y1 + sides[1]))
    return regions


def _draw(rng: random.Random) -> float:
    """Draw from [0, 1), so coarsely that products with pixels are exact."""
    return math.floor(rng.random() * 2**32) / 2**32


def _cut(rng: random.Random, part: Rectangle, number: int) -> List[Rectangle]:
    """Cut a rectangle into parts of one area, across its longer side."""
    if number == 1:
        return [part]
    x1, y1, x2, y2 = part
    first, second = number // 2, number - number // 2
    swapped, upright = _draw(rng) < 0.5, _draw(rng) < 0.5
    if swapped:
        first, second = second, first
    if x2 - x1 != y2 - y1:
        upright = x2 - x1 > y2 - y1
    if upright:
        middle = x1 + round((x2 - x1) * first / number)
        halves = (x1, y1, middle, y2), (middle, y1, x2, y2)
    else:
        middle = y1 + round((y2 - y1) * first / number)
        halves = (x1, y1, x2, middle), (x1, middle, x2, y2)
    return _cut(rng, halves[0], first) + _cut(rng, halves[1], second)


def _fit(
    part: Rectangle,
    share: float,
    aspect: float,
    aspect_range: Tuple[float, float],
    name: str,
) -> Tuple[int, int]:
    """Find (width, height) of a rectangle of a share of a part's area."""
    width, height = part[2] - part[0], part[3] - part[1]
    advice = (
        'Change the share, take fewer regions or widen `aspect_range`, or '
        'leave the image out.'
    )
    if width and height:
        low, high = share * width / height, width / (share * height)
        if aspect_range[0] > high or aspect_range[1] < low:
            raise ValueError(
                f'image {name}: no rectangle of {share:.4g} of {width} x '
                f'{height} pixels has a width over height within '
                f'{tuple(aspect_range)}, expected a range that meets '
                f'({low:.4g}, {high:.4g}). {advice}'
            )
        aspect = min(max(aspect, low), high)
    area = share * width * height
    # The cap is for the last bit of the square roots.
    sides = (
        min(round(math.sqrt(area * aspect)), width),
        min(round(math.sqrt(area / aspect)), height),
    )
    if min(sides) < 1:
        raise ValueError(
            f'image {name}: a rectangle of {share:.4g} of {width} x {height} '
            f'pixels would be {sides[0]} x {sides[1]} pixels, expected '
            f'sides of at least 1. {advice}'
        )
    return sides


def _place(
    start: int, end: int, side: int, place: float, centre: Optional[float]
) -> int:
    """Choose where a side of a rectangle starts, in pixels.

    All starts between which it fits into the part, and holds ``centre``, are
    equally likely; ``place`` in [0, 1) chooses. If the side grows by a pixel,
    the first and the last start each stay or move down by one, and so does
    the chosen one: the rectangle before lies inside the one after.
    """
    first, last = start, end - side
    if centre is not None:
        first = max(first, math.ceil(centre - side))
        last = min(last, math.floor(centre))
    return first + int(place * (last - first + 1))
