# Copyright (c) mmleuk authors. All rights reserved.
from abc import ABC, abstractmethod
from typing import List, Optional

from mmleuk.structures import AttributeSchema

from .image_folder import ImageFolder
from .mending import MendLog
from .record import FieldRecord


class BaseReader(ABC):
    """Reads one annotation format.

    Args:
        schema (AttributeSchema): The attributes to read. Those that a format
            does not hold are missing in every cell.
        images (ImageFolder): The images that are annotated.
        mends (MendLog, optional): Where mended faults are counted. Defaults
            to None, a new one.
        backend_args (dict, optional): Arguments of the file backend that
            holds the annotations. Defaults to None.
    """

    def __init__(
        self,
        schema: AttributeSchema,
        images: ImageFolder,
        mends: Optional[MendLog] = None,
        backend_args: Optional[dict] = None,
    ) -> None:
        self.schema = schema
        self.images = images
        self.mends = MendLog() if mends is None else mends
        self.backend_args = backend_args

    @abstractmethod
    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields.

        Args:
            source (str): The annotation file, or the folder of label files.

        Returns:
            list[FieldRecord]: One record an image.

        Raises:
            AnnotationError: If the annotations can't be understood.
            FileNotFoundError: If the annotations or images are not there.
        """
