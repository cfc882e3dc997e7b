# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import replace
from typing import List, Mapping, Optional, Tuple

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.readers import SparseJsonReader
from mmleuk.io.repair import RawCell
from mmleuk.structures.record import FieldRecord

from .lld_json import NESTED_KEY


class CocoReader(SparseJsonReader):
    """Reads COCO whose ``attributes`` state values by name.

    So do the COCO exports of CVAT and Datumaro, and :class:`CocoWriter`. What
    stands flat in an annotation is read as LLD's codes.

    Args:
        args (tuple): Arguments of :class:`SparseJsonReader`.
        attribute_map (Mapping, optional): See :class:`AttributeNames`.
            Defaults to None.
        kwargs (dict): Keyword arguments of :class:`SparseJsonReader`.

    Attributes:
        names (AttributeNames): Counts attributes that are left out.
    """

    def __init__(
        self,
        *args,
        attribute_map: Optional[Mapping] = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.names = AttributeNames(self.schema, attribute_map)

    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields of one JSON file.

        Args:
            source (str): The file.

        Returns:
            list[FieldRecord]: One record an image, in file order.

        Raises:
            AnnotationError: If a record can't be understood.
            FileNotFoundError: If the file or images are not there.
        """
        fields = super().read(source)
        self.names.check()
        return fields

    def _read_cell(
        self, annotation: dict, *args, **kwargs
    ) -> Optional[RawCell]:
        """Read one annotation, None where it has no box."""
        nested = annotation.get(NESTED_KEY)
        ignored = False
        if isinstance(nested, dict):
            # The last arguments are the file and the record.
            codes, ignored = self._read_named(nested, *args[-2:])
            annotation = {
                **annotation,
                NESTED_KEY: dict(zip(self.schema.names, codes)),
            }
        cell = super()._read_cell(annotation, *args, **kwargs)
        if cell is None or not ignored:
            return cell
        return replace(cell, ignored=True)

    def _read_named(
        self, nested: Mapping, source: str, record: str
    ) -> Tuple[Tuple[Optional[int], ...], bool]:
        """Read attributes that are stated by name."""
        return self.names.read(nested.items(), source, record, self.issues)
