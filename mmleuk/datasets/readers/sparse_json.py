# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional, Sequence

from .lld_json import REGIONS_KEY, JsonReader, is_numbers
from .record import AnnotationError, Box


class SparseJsonReader(JsonReader):
    """Reads the JSON layout with ``annotated_regions`` in its image entries.

    The key holds a list of ``[x1, y1, x2, y2]`` in pixels. Where it is absent
    the whole image is annotated; where the list is empty, nothing is.
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

        Raises:
            AnnotationError: If a region is not four numbers, or two entries
                of the image state different regions.
        """
        record = f'image {repeats[0]["file_name"]}'
        whole = object()
        stated = [image.get(REGIONS_KEY, whole) for image in repeats]
        if any(regions != stated[0] for regions in stated):
            raise AnnotationError(
                source,
                record,
                f'its {len(stated)} entries state different {REGIONS_KEY!r}',
                'Keep one entry for the image',
            )
        regions = stated[0]
        if regions is whole:
            return None
        if not isinstance(regions, list) or not all(
            is_numbers(region, 4) for region in regions
        ):
            raise AnnotationError(
                source,
                record,
                f'{REGIONS_KEY!r} is {regions!r}, expected a list of '
                '[x1, y1, x2, y2] in pixels',
                'Correct it, or leave the key out where the whole image is '
                'annotated',
            )
        return [tuple(map(float, region)) for region in regions]
