# Copyright (c) mmleuk authors. All rights reserved.
from abc import ABC, abstractmethod
from collections import Counter
from typing import Dict, List, Mapping, Optional

from mmleuk.io.faults import SIZE_WRONG
from mmleuk.io.image_folder import ImageFolder, Size
from mmleuk.io.issue_log import IssueLog, limit_fault_rates
from mmleuk.structures import AttributeSchema
from mmleuk.structures.record import FieldRecord


class BaseReader(ABC):
    """Reads one annotation format.

    Args:
        schema (AttributeSchema): The attributes to read. Those that a format
            does not hold are missing in every cell.
        images (ImageFolder): The images that are annotated.
        issues (IssueLog, optional): Where faults are counted.
        backend_args (dict, optional): Arguments of the file backend that
            holds the annotations.

    Attributes:
        unread (Counter): Keys that the source states and no record keeps.
        num_skipped (int): Annotations in files that were not read, which
            ``issues.seen`` does not count.
    """

    def __init__(
        self,
        schema: AttributeSchema,
        images: ImageFolder,
        issues: Optional[IssueLog] = None,
        backend_args: Optional[dict] = None,
    ) -> None:
        self.schema = schema
        self.images = images
        self.issues = IssueLog() if issues is None else issues
        self.backend_args = backend_args
        self.unread: Counter = Counter()
        self.num_skipped = 0

    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields.

        Args:
            source (str): The annotation file, or the folder of label files.

        Returns:
            list[FieldRecord]: One record an image.

        Raises:
            AnnotationError: If more than half of the annotations can not be
                understood.
            FileNotFoundError: If the annotations or more than half of the
                images are not there.
        """
        with limit_fault_rates(self.issues, source):
            return self._read(source)

    @abstractmethod
    def _read(self, source: str) -> List[FieldRecord]:
        """Read all fields, see :meth:`read`."""

    def look_at_images(
        self, stated: Mapping[str, Optional[Size]], source: str
    ) -> Dict[str, Size]:
        """Read the sizes of the images that can be used; count all faults.

        Args:
            stated (Mapping[str, tuple[int] | None]): (width, height) in
                pixels that the annotations state, None where they do not, by
                file name.
            source (str): The annotation file.

        Returns:
            dict[str, tuple[int]]: (width, height) in pixels as the loader
            sees them, by file name.

        Raises:
            FileNotFoundError: If more than half of the images are not there.
        """
        headers = self.images.look(stated)
        self.images.refuse_missing(headers, len(headers) // 2)
        sizes = {}
        for name, header in headers.items():
            where = f'{source}, image {name}'
            if header.fault is not None:
                self.issues.add(header.fault, where)
                continue
            for note in header.notes:
                self.issues.add(note, where)
            sizes[name] = header.size
            if stated[name] not in (None, header.size):
                self.issues.add(
                    SIZE_WRONG,
                    f'{where}: {stated[name]} stated, {header.size} found',
                )
        return sizes
