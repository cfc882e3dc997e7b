# Copyright (c) mmleuk authors. All rights reserved.
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import REGION_ORDER
from mmleuk.io.repair import SLACK
from mmleuk.structures.record import Box

from .yolo_text import TextRow, YoloTextReader

# How the four p of a row are put into (x1, y1, x2, y2), by their order. The
# authors' notes name the first order, their loader unpacks the second.
REGION_ORDERS: Dict[str, Callable[[Sequence[float]], Box]] = {
    'x1x2y1y2': lambda p: (p[0], p[2], p[1], p[3]),
    'x1y1x2y2': lambda p: (p[0], p[1], p[2], p[3]),
}


def region_fits(row: TextRow, order: str, size: Tuple[int, int]) -> bool:
    """Tell whether one reading of a row's region makes sense.

    Args:
        row (TextRow): The row.
        order (str): A key of ``REGION_ORDERS``.
        size (tuple[int]): (width, height) of the image in pixels.

    Returns:
        bool: Whether it is a rectangle with the centre of the row's box in
        it.
    """
    x1, y1, x2, y2 = REGION_ORDERS[order](row.region)
    x, y = row.centre(size)
    # Comparisons with NaN are false, so that it never fits.
    return (
        x1 < x2
        and y1 < y2
        and x1 - SLACK <= x <= x2 + SLACK
        and y1 - SLACK <= y <= y2 + SLACK
    )


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
            rectangle of its own row. Defaults to 'auto'.
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
        self,
        rows: Mapping[str, List[TextRow]],
        sizes: Mapping[str, Tuple[int, int]],
        paths: Mapping[str, str],
    ) -> Dict[str, List[Box]]:
        """Find the annotated regions of each image with a label file.

        Args:
            rows (Mapping[str, list[TextRow]]): Rows by image.
            sizes (Mapping[str, tuple[int]]): (width, height) in pixels by
                image.
            paths (Mapping[str, str]): Label file by image.

        Returns:
            dict[str, list[tuple[float]]]: Rectangles (x1, y1, x2, y2) in
            pixels by image, none where the file is empty.

        Raises:
            AnnotationError: If no order, or more than one, fits.
        """
        order = self.region_order
        if order == 'auto':
            order = self._find_order(rows, sizes, paths)
        # Each row of a file repeats its rectangle.
        return {
            stem: list(
                dict.fromkeys(
                    REGION_ORDERS[order](row.region) for row in file_rows
                )
            )
            for stem, file_rows in rows.items()
        }

    @staticmethod
    def _find_order(
        rows: Mapping[str, List[TextRow]],
        sizes: Mapping[str, Tuple[int, int]],
        paths: Mapping[str, str],
    ) -> str:
        """Find the one order that fits the rows of the folder.

        Rows that fit neither decide nothing, as long as they are few.

        Raises:
            AnnotationError: If none does, naming the file that rules the last
                one out, or if both do and differ.
        """
        flat = [
            (stem, row)
            for stem, file_rows in rows.items()
            for row in file_rows
        ]
        against: Dict[str, str] = {}
        strange: List[Tuple[str, TextRow]] = []
        deciding: List[Tuple[str, TextRow]] = []
        for stem, row in flat:
            misfits = [
                order
                for order in REGION_ORDERS
                if not region_fits(row, order, sizes[stem])
            ]
            if len(misfits) == len(REGION_ORDERS):
                strange.append((stem, row))
                continue
            deciding.append((stem, row))
            for order in misfits:
                against.setdefault(order, f'{paths[stem]}, {row.where}')
        if len(strange) * 2 > len(flat):
            stem, row = strange[0]
            raise AnnotationError(
                paths[stem],
                row.where,
                f'the four numbers {list(row.region)} hold no rectangle '
                f'around the box centre {row.centre(sizes[stem])} in either '
                f'order ({", ".join(REGION_ORDERS)}), as in {len(strange)} of '
                f'{len(flat)} rows',
                'Correct the rows, or set `region_order` to keep such cells '
                'outside their region',
                REGION_ORDER,
            )
        fitting = [order for order in REGION_ORDERS if order not in against]
        if not fitting:
            first, second = REGION_ORDERS
            raise AnnotationError(
                against[first],
                '',
                f'the region does not fit {first}, while '
                f'{against[second]} does not fit {second}',
                'Files of both orders must be read one by one, each with its '
                '`region_order`',
                REGION_ORDER,
            )
        if len(fitting) == 1:
            return fitting[0]

        differing = [
            (stem, row)
            for stem, row in deciding
            if len({REGION_ORDERS[order](row.region) for order in fitting}) > 1
        ]
        if not differing:
            return fitting[0]
        stem, row = differing[0]
        raise AnnotationError(
            paths[stem],
            row.where,
            f'the four numbers {list(row.region)} are a rectangle around the '
            f'box in both orders ({", ".join(REGION_ORDERS)}), as in all '
            'files of the folder',
            'Set `region_order` to the one that is meant',
            REGION_ORDER,
        )
