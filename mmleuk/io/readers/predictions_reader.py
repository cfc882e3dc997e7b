# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator

from mmleuk.io.image_folder import Size
from mmleuk.io.predictions import PredictionReader
from mmleuk.structures.record import normalise_name

from .box_reader import BoxReader, Shape, StatedImage


class PredictionsReader(BoxReader):
    """Reads ``predictions.json``, for people to correct.

    Every image counts as annotated in full. Scores are not kept.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        min_score (float): Detections of a lower score are left out.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.
    """

    def __init__(self, *args, min_score: float = 0.0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.min_score = min_score

    def _read_images(self, source: str) -> Iterator[StatedImage]:
        """List the images that could be read."""
        for number, image in enumerate(PredictionReader(source)):
            if image.error is not None:
                self.unread['images that could not be read'] += 1
                continue
            where = f'image {number} ({image.file})'
            name = self.images.find(image.file, f'{source}, {where}')
            size = image.width, image.height
            yield StatedImage(name, size, source, where, image.cells)

    def _read_shapes(self, image: StatedImage, size: Size) -> Iterator[Shape]:
        """Read the cells of one image."""
        for index, cell in enumerate(image.shapes):
            where = f'cell {index}'
            if cell.score < self.min_score:
                self.issues.seen['annotations'] += 1
                self.issues.add(
                    f'cells scored below {self.min_score:g} dropped',
                    f'{image.place}, {where}',
                )
                continue
            label = normalise_name(cell.type)
            attributes = [
                (name, attribute.value)
                for name, attribute in cell.attributes.items()
                # Models predict them for every class, which is no fault.
                if label not in self.schema.classes_without_attributes
            ]
            yield Shape(label, cell.bbox, attributes, where)
