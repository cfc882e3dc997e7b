# Copyright (c) mmleuk authors. All rights reserved.
from typing import List

from mmleuk.io.predictions import PredictionReader
from mmleuk.structures.record import normalise_name

from .box_reader import BoxReader, Shape, Size, StatedImage


class PredictionsReader(BoxReader):
    """Reads ``predictions.json``, for people to correct.

    Every image counts as annotated as a whole. Scores are not kept.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        min_score (float): Detections of a lower score are left out. Defaults
            to 0.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.
    """

    def __init__(self, *args, min_score: float = 0.0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.min_score = min_score

    def _read_images(self, source: str) -> List[StatedImage]:
        """List the images of the file.

        Args:
            source (str): The file.

        Returns:
            list[StatedImage]: The images that could be read.

        Raises:
            ValueError: If the file is of another format.
        """
        images = []
        for number, image in enumerate(PredictionReader(source)):
            if image.error is not None:
                self.names.unread['images that could not be read'] += 1
                continue
            where = f'image {number} ({image.file})'
            images.append(
                StatedImage(
                    self.images.find(image.file, source, where),
                    (image.width, image.height),
                    source,
                    where,
                    image.cells,
                )
            )
        return images

    def _read_shapes(self, image: StatedImage, size: Size) -> List[Shape]:
        """Read the cells of one image.

        Args:
            image (StatedImage): The image.
            size (tuple[int]): Its (width, height) in pixels.

        Returns:
            list[Shape]: The cells.
        """
        shapes = []
        for index, cell in enumerate(image.shapes):
            if cell.score < self.min_score:
                self._drop_shape(
                    f'cells scored below {self.min_score:g}',
                    image,
                    f'cell {index}',
                )
                continue
            shapes.append(
                Shape(
                    normalise_name(cell.type),
                    cell.bbox,
                    [
                        (name, attribute.value)
                        for name, attribute in cell.attributes.items()
                    ],
                    f'cell {index}',
                )
            )
        return shapes
