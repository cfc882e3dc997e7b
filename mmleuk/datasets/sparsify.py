# Copyright (c) mmleuk authors. All rights reserved.
"""Cut full annotations down to a few rectangles an image."""

import math
import numbers
import random
from collections import defaultdict
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from mmleuk.io.readers.lld_json import REGIONS_KEY, is_numbers

from .naming import normalise_patient, parse_field_name

PLACEMENTS = ('random', 'center', 'cells')

Point = Tuple[float, float]
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
    box has its centre inside or on the border of a rectangle. The centre is
    that of the box cut at the image's edge, as the readers cut it. All else
    stays as it is, annotations of images not listed included.

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
        dataset (dict): COCO-like, with the lists ``images`` (each with ``id``,
            ``file_name``, ``width``, ``height``), ``annotations`` (each with
            ``image_id``, ``bbox`` as x, y, width, height in pixels) and
            ``categories``. Repeated entries of one file name are one image.
            It is left as it is.
        share (float): Annotated share of each image's area, in (0, 1]. At 1
            the image stays fully annotated, which the layout states by leaving
            ``annotated_regions`` out.
        num_regions (int): Rectangles an image. Defaults to 1.
        placement (str): Where a rectangle lies in its part of the image.
            ``'random'``: uniform over where it fits; ``'center'``: in the
            middle; ``'cells'``: one of the part's labelled cells that is not
            ignored is drawn, then the place uniformly over where the rectangle
            fits and holds that cell's centre. A part without cells is treated
            as by 'random'. Defaults to 'random'.
        aspect_range (tuple[float, float]): Range of a rectangle's width over
            its height, in pixels; drawn uniformly on a logarithmic scale.
            Where the aspect drawn does not fit at this share, the nearest one
            that does is taken. Defaults to (0.5, 2.0).
        seed (int): Same seed, same rectangles. Defaults to 0.
        patient_shares (Mapping[str | int, float], optional): Shares in [0, 1]
            that replace ``share`` for the fields of some patients. At 0
            nothing of a field is annotated (an empty list). Defaults to None.
        max_fields_per_patient (int, optional): So many fields of each patient,
            drawn at random, keep their annotation; nothing of the others is
            annotated. Defaults to None, all fields.

    Returns:
        dict: The dataset with fewer annotations. Its annotations are the same
        objects as in ``dataset``.

    Raises:
        ValueError: If an argument is out of its range, a patient is unknown, a
            file name states no patient where a budget by patient is given, an
            image already has ``annotated_regions``, a rectangle does not fit,
            or a record lacks what is needed here.
    """
    _check_settings(
        share,
        num_regions,
        placement,
        aspect_range,
        seed,
        max_fields_per_patient,
    )
    entries, names = _group_images(dataset['images'])
    boxes = _group_annotations(dataset['annotations'], names)

    shares = _shares_of_fields(
        list(entries), share, patient_shares, max_fields_per_patient, seed
    )
    regions: Dict[str, List[Rectangle]] = {}
    removed = set()
    for name, repeats in entries.items():
        size = _size_of(repeats)
        if shares[name] == 1:
            continue
        centres = [_centre(annotation, size) for annotation in boxes[name]]
        regions[name] = []
        if shares[name]:
            regions[name] = _draw_regions(
                _generator(seed, 'regions', name),
                name,
                size,
                shares[name],
                num_regions,
                placement,
                aspect_range,
                [
                    centre
                    for centre, annotation in zip(centres, boxes[name])
                    if not is_ignored(annotation)
                ],
            )
        removed.update(
            id(annotation)
            for centre, annotation in zip(centres, boxes[name])
            if not any(_holds(region, centre) for region in regions[name])
        )

    images = []
    for image in dataset['images']:
        image = dict(image)
        if image['file_name'] in regions:
            image[REGIONS_KEY] = [
                list(region) for region in regions[image['file_name']]
            ]
        images.append(image)
    annotations = [
        annotation
        for annotation in dataset['annotations']
        if id(annotation) not in removed
    ]
    return {**dataset, 'images': images, 'annotations': annotations}


def is_ignored(annotation: Mapping[str, Any]) -> bool:
    """Tell whether an annotation is neither a positive nor a negative.

    Args:
        annotation (Mapping): The annotation.

    Returns:
        bool: Whether it is.
    """
    return bool(annotation.get('iscrowd') or annotation.get('ignore'))


def _is_real(value: object) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check_settings(
    share: float,
    num_regions: int,
    placement: str,
    aspect_range: Sequence[float],
    seed: int,
    max_fields_per_patient: Optional[int],
) -> None:
    """Refuse arguments out of their range.

    Raises:
        ValueError: If there is one.
    """
    checks = [
        (
            'share',
            share,
            _is_real(share) and 0 < share <= 1,
            'a number above 0, at most 1',
        ),
        (
            'num_regions',
            num_regions,
            _is_whole(num_regions) and num_regions >= 1,
            'a whole number, 1 or more',
        ),
        (
            'placement',
            placement,
            placement in PLACEMENTS,
            f'one of {", ".join(map(repr, PLACEMENTS))}',
        ),
        (
            'aspect_range',
            aspect_range,
            isinstance(aspect_range, (list, tuple))
            and len(aspect_range) == 2
            and all(map(_is_real, aspect_range))
            and 0 < aspect_range[0] <= aspect_range[1],
            'two numbers above 0, the smaller one first',
        ),
        ('seed', seed, _is_whole(seed), 'a whole number'),
        (
            'max_fields_per_patient',
            max_fields_per_patient,
            max_fields_per_patient is None
            or (
                _is_whole(max_fields_per_patient)
                and max_fields_per_patient >= 1
            ),
            'a whole number, 1 or more',
        ),
    ]
    for name, value, good, expected in checks:
        if not good:
            raise ValueError(f'got {name}={value!r}, expected {expected}')


def _generator(seed: int, *key: str) -> random.Random:
    """A generator of its own for each thing that is drawn by name.

    For a seed that is a string, Python promises the same ``random()`` in all
    versions; NumPy promises no such thing of its generators.
    """
    return random.Random('/'.join((str(seed), *key)))


def _is_id(value: object) -> bool:
    return isinstance(value, (int, float, str))


def _group_images(
    images: Sequence[dict],
) -> Tuple[Dict[str, List[dict]], Dict[Any, str]]:
    """Group image entries by file, as the readers do.

    Returns:
        tuple: Entries by file name, and file name by image id.

    Raises:
        ValueError: If an entry lacks its id or name, an id stands for two
            files, or an entry already has regions.
    """
    entries: Dict[str, List[dict]] = defaultdict(list)
    names: Dict[Any, str] = {}
    for index, image in enumerate(images):
        name = image.get('file_name')
        if not isinstance(name, str) or not _is_id(image.get('id')):
            raise ValueError(
                f'image entry {index} has the id {image.get("id")!r} and the '
                f'file_name {name!r}, expected a number or a string, and a '
                'string. State both.'
            )
        if REGIONS_KEY in image:
            raise ValueError(
                f'image {name} already has {REGIONS_KEY!r}, expected an image '
                'annotated as a whole. Start from the full labels.'
            )
        if names.setdefault(image['id'], name) != name:
            raise ValueError(
                f'the image id {image["id"]!r} stands for '
                f'{names[image["id"]]} and {name}, so that cells can belong '
                'to either. Give each image an id of its own.'
            )
        entries[name].append(image)
    return dict(entries), names


def _group_annotations(
    annotations: Sequence[dict], names: Mapping[Any, str]
) -> Dict[str, List[dict]]:
    """Group annotations by the file name of their image.

    Those of images not listed are left out.

    Raises:
        ValueError: If an annotation has no image id.
    """
    groups: Dict[str, List[dict]] = {name: [] for name in names.values()}
    for index, annotation in enumerate(annotations):
        image_id = annotation.get('image_id')
        if not _is_id(image_id):
            raise ValueError(
                f'annotation {index} (id {annotation.get("id")!r}) has the '
                f'image_id {image_id!r}, expected the id of an image. State '
                'it.'
            )
        if image_id in names:
            groups[names[image_id]].append(annotation)
    return groups


def _size_of(repeats: Sequence[dict]) -> Tuple[int, int]:
    """Take the (width, height) in pixels that all entries of an image state.

    Raises:
        ValueError: If one states none, or two differ.
    """
    sizes = {(image.get('width'), image.get('height')) for image in repeats}
    size = sizes.pop()
    if sizes or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(
            f'image {repeats[0]["file_name"]} has the width and height '
            f'{", ".join(map(str, [size, *sizes]))}, expected one pair of '
            'whole numbers above 0. State the size of the image file.'
        )
    return size


def _centre(annotation: dict, size: Tuple[int, int]) -> Point:
    """Centre of a box in pixels, after a cut at the image's edge.

    Raises:
        ValueError: If the bbox is not four numbers.
    """
    bbox = annotation.get('bbox')
    if not is_numbers(bbox, 4) or not all(map(math.isfinite, bbox)):
        raise ValueError(
            f'annotation with the id {annotation.get("id")!r} has the bbox '
            f'{bbox!r}, expected the four finite numbers x, y, width, height '
            'in pixels. Correct it or delete the record.'
        )
    return tuple(
        (min(max(start, 0), side) + min(max(start + extent, 0), side)) / 2
        for start, extent, side in zip(bbox[:2], bbox[2:], size)
    )


def _shares_of_fields(
    file_names: Sequence[str],
    share: float,
    patient_shares: Optional[Mapping[Union[str, int], float]],
    max_fields_per_patient: Optional[int],
    seed: int,
) -> Dict[str, float]:
    """Annotated share of each image by file name, from all budgets.

    Raises:
        ValueError: If a patient's share is out of range, a patient is named
            twice or unknown, or a file name states none.
    """
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
    for patient, own_share in (patient_shares or {}).items():
        if not _is_real(own_share) or not 0 <= own_share <= 1:
            raise ValueError(
                f'got the share {own_share!r} for the patient {patient}, '
                'expected a number from 0 to 1'
            )
        key = normalise_patient(patient)
        if key not in fields:
            raise ValueError(
                f'no image is of the patient {patient}, expected some of '
                f'{", ".join(sorted(fields)) or "none"}. Correct '
                '`patient_shares`.'
            )
        if key in seen:
            raise ValueError(
                f'`patient_shares` names the patient {key} twice, as in '
                f'{patient!r}. Name it once.'
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
    name: str,
    size: Tuple[int, int],
    share: float,
    num_regions: int,
    placement: str,
    aspect_range: Tuple[float, float],
    centres: Sequence[Point],
) -> List[Rectangle]:
    """Draw the rectangles of one image.

    Every random number is drawn before the share is looked at, and for all
    placements alike. Sides grow with the share, and a side that grows by a
    pixel moves no edge inwards (see :func:`_place`), so that rectangles of
    different shares are nested.

    Args:
        rng (random.Random): The image's own generator.
        name (str): File name, for the message.
        size (tuple[int, int]): Width and height of the image in pixels.
        share (float): Annotated share, in (0, 1).
        num_regions (int): Number of rectangles.
        placement (str): One of ``PLACEMENTS``.
        aspect_range (tuple[float, float]): Range of width over height.
        centres (Sequence[tuple[float, float]]): Centres in pixels of the
            cells that 'cells' chooses among.

    Returns:
        list[tuple[int]]: Rectangles (x1, y1, x2, y2) in pixels.

    Raises:
        ValueError: If a rectangle does not fit.
    """
    # A repeated box is one cell, and the order in the file says nothing.
    centres = sorted(set(centres))
    regions = []
    for part in _cut(rng, (0, 0, *size), num_regions):
        low, high = map(math.log, aspect_range)
        aspect = math.exp(low + (high - low) * _draw(rng))
        place, chosen = (_draw(rng), _draw(rng)), _draw(rng)
        sides = _fit(part, share, aspect, aspect_range, name)

        cell = None
        if placement == 'center':
            place = (0.5, 0.5)
        elif placement == 'cells':
            own = [centre for centre in centres if _holds(part, centre)]
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
    """Cut a rectangle into parts of one area, up to rounding to pixels.

    Args:
        rng (random.Random): Decides what the rule below leaves open.
        part (tuple[int]): The rectangle (x1, y1, x2, y2).
        number (int): Number of parts. The longer side is cut each time.

    Returns:
        list[tuple[int]]: The parts.
    """
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
    """Find the sides of a rectangle of a share of a part's area.

    Args:
        part (tuple[int]): The part (x1, y1, x2, y2) of the image.
        share (float): Share of the part's area.
        aspect (float): The width over the height that is wished for.
        aspect_range (tuple[float, float]): Its allowed range.
        name (str): File name, for the message.

    Returns:
        tuple[int, int]: Width and height in pixels.

    Raises:
        ValueError: If no aspect of the range fits, or a side has no pixel.
    """
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
    """Choose where a side of a rectangle starts.

    All places where it fits, and holds ``centre``, are equally likely. If the
    side grows by a pixel, the first and the last such place each stay or move
    down by one, and so does the chosen place: the rectangle before lies inside
    the one after.

    Args:
        start (int): Where the part of the image starts, in pixels.
        end (int): Where it ends.
        side (int): Length of the side, at most ``end - start``.
        place (float): Number in [0, 1) that chooses.
        centre (float, optional): Coordinate to hold. None for any.

    Returns:
        int: The start of the side, in pixels.
    """
    first, last = start, end - side
    if centre is not None:
        first = max(first, math.ceil(centre - side))
        last = min(last, math.floor(centre))
    return first + int(place * (last - first + 1))


def _holds(region: Rectangle, centre: Point) -> bool:
    """Tell whether a point is inside a rectangle or on its border."""
    x1, y1, x2, y2 = region
    return x1 <= centre[0] <= x2 and y1 <= centre[1] <= y2
