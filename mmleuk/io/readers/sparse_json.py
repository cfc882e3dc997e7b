# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import List, Optional, Sequence

from mmleuk.io.faults import MALFORMED_REGIONS
from mmleuk.structures.record import Box

from .lld_json import REGIONS_KEY, JsonReader, is_numbers


class SparseJsonReader(JsonReader):
    """Reads the JSON layout with ``annotated_regions`` in its image entries.

    The key holds a list of ``[x1, y1, x2, y2]`` in pixels. Where it is absent
    the whole image is annotated; where the list is empty, nothing is. Where
    it is no such list, or two entries of an image state different ones,
    nothing counts as annotated either: the cells stay, and no background is
    taken from that image.
    """

    def _read_regions(
        self, repeats: Sequence[dict], source: str
    ) -> Optional[List[Box]]:
        """Read the annotated regions of one image.

        Args:
            repeats (Sequence[dict]): All entries of the image.
            source (str): The file.

        Returns:
            list[tuple[float]] | None: Rectangles (x1, y1, x2, y2) in pixels,
            None for the whole image.
        """
        whole = object()
        stated = [image.get(REGIONS_KEY, whole) for image in repeats]
        regions = stated[0]
        agree = all(other == regions for other in stated)
        if agree and regions is whole:
            return None
        if not (
            agree
            and isinstance(regions, list)
            and all(is_numbers(region, 4) for region in regions)
        ):
            self.issues.add(
                MALFORMED_REGIONS,
                f'{source}, image {repeats[0]["file_name"]}',
            )
            return []
        return [_to_box(region) for region in regions]


def _to_box(region: Sequence[float]) -> Box:
    """Turn a region into floats."""
    try:
        return tuple(map(float, region))
    except OverflowError:  # an integer of hundreds of digits
        return (math.nan,) * 4
