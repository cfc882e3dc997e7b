# Copyright (c) mmleuk authors. All rights reserved.
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import REGION_ORDER
from mmleuk.io.repair import SLACK, RawCell
from mmleuk.structures.record import Box

from .yolo_text import YoloTextReader

# How the four numbers of a row become (x1, y1, x2, y2), by their order. The
# authors' notes name the first order, their loader unpacks the second.
REGION_ORDERS: Dict[str, Callable[[Sequence], Tuple]] = {
    'x1x2y1y2': lambda p: (p[0], p[2], p[1], p[3]),
    'x1y1x2y2': lambda p: (p[0], p[1], p[2], p[3]),
}


class SparseTextReader(YoloTextReader):
    """Reads text labels that name the annotated rectangle in every row.

    A row is ``cls x y w h p p p p`` and seven attribute codes, or six without
    the cell size. The four p are a rectangle in pixels; differing rectangles
    in one file are several regions. An empty file states no rectangle, so that
    nothing of its image counts as annotated.

    Args:
        args (tuple): Arguments of :class:`YoloTextReader`.
        region_order (str): Order of the four p: ``'x1x2y1y2'``,
            ``'x1y1x2y2'``, or ``'auto'``, which takes the one order under
            which, in the whole folder, each box has its centre in the
            rectangle of its own row.
        kwargs (dict): Keyword arguments of :class:`YoloTextReader`.
    """

    region_columns = 4

    def __init__(self, *args, region_order: str = 'auto', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if region_order not in ('auto', *REGION_ORDERS):
            raise ValueError(
                f'region_order is {region_order!r}, expected "auto", '
                f'{" or ".join(map(repr, REGION_ORDERS))}'
            )
        self.region_order = region_order

    def _read_regions(
        self, rows: Mapping[str, List[RawCell]], paths: Mapping[str, str]
    ) -> Dict[str, List[Box]]:
        """Find the annotated regions, none where a label file is empty."""
        order = self.region_order
        if order == 'auto':
            order = _find_order(
                [
                    (paths[stem], row)
                    for stem, file_rows in rows.items()
                    for row in file_rows
                ]
            )
        # Each row of a file repeats its rectangle.
        return {
            stem: list(
                dict.fromkeys(
                    REGION_ORDERS[order](row.region) for row in file_rows
                )
            )
            for stem, file_rows in rows.items()
        }


def _fits(rows: Sequence[RawCell], order: str) -> np.ndarray:
    """Tell of which rows the rectangle holds the box centre, shape (n, )."""
    regions = np.array([REGION_ORDERS[order](row.region) for row in rows])
    bboxes = np.array([row.bbox for row in rows])
    centres = (bboxes[:, :2] + bboxes[:, 2:]) / 2
    # All comparisons with NaN are false.
    return (
        (regions[:, :2] < regions[:, 2:])
        & (regions[:, :2] - SLACK <= centres)
        & (centres <= regions[:, 2:] + SLACK)
    ).all(axis=1)


def _find_order(rows: Sequence[Tuple[str, RawCell]]) -> str:
    """Find the one order that fits the rows, given with their paths.

    Rows that fit neither order are left out, as long as they are few.

    Raises:
        AnnotationError: If no order fits, or both do and differ.
    """
    names = list(REGION_ORDERS)
    if not rows:
        return names[0]
    paths, parsed = zip(*rows)
    fits = np.array([_fits(parsed, order) for order in names])
    is_strange = ~fits.any(axis=0)
    if is_strange.sum() * 2 > len(rows):
        path, row = rows[is_strange.argmax()]
        x1, y1, x2, y2 = row.bbox
        raise AnnotationError(
            path,
            row.where,
            f'the four numbers {list(row.region)} hold no rectangle around '
            f'the box centre {(x1 + x2) / 2, (y1 + y2) / 2} in either order '
            f'({", ".join(names)}), as in {is_strange.sum()} of {len(rows)} '
            'rows',
            'Correct the rows, or set `region_order` to keep such cells '
            'outside their region',
            REGION_ORDER,
        )
    against = ~fits & ~is_strange
    fitting = np.flatnonzero(~against.any(axis=1))
    if not len(fitting):
        first, second = (
            f'{paths[index]}, {parsed[index].where}'
            for index in against.argmax(axis=1)
        )
        raise AnnotationError(
            first,
            '',
            f'the region does not fit {names[0]}, while {second} does not '
            f'fit {names[1]}',
            'Files of both orders must be read one by one, each with its '
            '`region_order`',
            REGION_ORDER,
        )
    if len(fitting) > 1:
        for (path, row), strange in zip(rows, is_strange):
            if not strange and row.region[1] != row.region[2]:
                raise AnnotationError(
                    path,
                    row.where,
                    f'the four numbers {list(row.region)} are a rectangle '
                    f'around the box in both orders ({", ".join(names)}), as '
                    'in all files of the folder',
                    'Set `region_order` to the one that is meant',
                    REGION_ORDER,
                )
    return names[fitting[0]]
