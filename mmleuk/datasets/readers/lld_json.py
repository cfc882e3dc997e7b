# Copyright (c) mmleuk authors. All rights reserved.
import json
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine import fileio

from .base_reader import BaseReader
from .mending import RawCell, mend_field, parse_code
from .record import AnnotationError, Box, FieldRecord, normalise_name

# Where a draft of the release nests the codes of a cell.
NESTED_KEY = 'attributes'

REGIONS_KEY = 'annotated_regions'


def load_json(source: str, backend_args: Optional[dict] = None) -> dict:
    """Load a COCO-like file and check its three lists.

    Args:
        source (str): The file.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.

    Returns:
        dict: With the lists ``images``, ``annotations``, ``categories``.

    Raises:
        AnnotationError: If it is no JSON or a list is missing.
    """
    try:
        text = fileio.get_text(source, backend_args=backend_args)
        content = json.loads(text)
    except ValueError as error:  # no JSON, or not even text
        raise AnnotationError(
            source,
            '',
            f'the content is no JSON: {error}',
            'Copy the file anew',
        ) from None
    for key in ('images', 'annotations', 'categories'):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list) or not all(
            isinstance(item, dict) for item in found
        ):
            raise AnnotationError(
                source,
                '',
                f'{key!r} is not a list of objects, expected the '
                'COCO layout {"images": [...], "annotations": [...], '
                '"categories": [...]}',
                'Check that this is the annotation file',
            )
    return content


class JsonReader(BaseReader):
    """Reads the released JSON: COCO with the attributes in each annotation.

    Attributes stand flat in the annotation or, in a draft of the release,
    under ``attributes``; each under its ``json_key`` (the release spells
    "nuclear_chromatio") or its ``name``. Classes are taken by the *name* that
    ``categories`` gives to a ``category_id``, never by the number. An image
    entry that is repeated, under the same id or another, is one image.
    ``iscrowd`` and ``ignore`` make a cell ignored.
    """

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
        content = load_json(source, self.backend_args)
        entries, names = self._read_images(content['images'], source)
        sizes = self._read_sizes(entries, source)
        categories = self._read_categories(content['categories'], source)

        cells: Dict[str, List[RawCell]] = {name: [] for name in entries}
        lost = 0
        for index, annotation in enumerate(content['annotations']):
            record = f'annotation {index} (id {annotation.get("id")})'
            name = names.get(self._get(annotation, 'image_id', source, record))
            if name is None:
                lost += 1
                self.mends.add(
                    'annotations of images not listed dropped',
                    f'{source}, {record}',
                )
                continue
            cells[name].append(
                self._read_cell(annotation, categories, source, record)
            )
        if lost and lost == len(content['annotations']):
            raise AnnotationError(
                source,
                '',
                f'none of the {lost} annotations has the image_id of an entry '
                'in "images"',
                'Make the ids agree, in value and in type',
            )

        return [
            mend_field(
                name,
                sizes[name],
                cells[name],
                self.schema,
                source,
                self.mends,
                regions=self._read_regions(repeats, source),
                image_id=repeats[0]['id'],
            )
            for name, repeats in entries.items()
        ]

    @staticmethod
    def _get(item: Mapping, key: str, source: str, record: str) -> Any:
        """Take a key that must be there, with a value that can be a key."""
        value = item.get(key)
        if not isinstance(value, (int, float, str)):
            raise AnnotationError(
                source,
                record,
                f'{key!r} is {value!r}, expected a number or a string',
                f'State {key!r}',
            )
        return value

    def _read_images(
        self, images: Sequence[dict], source: str
    ) -> Tuple[Dict[str, List[dict]], Dict[Any, str]]:
        """Group image entries by file.

        Returns:
            tuple: Entries by file name, and file name by image id.
        """
        entries: Dict[str, List[dict]] = {}
        names: Dict[Any, str] = {}
        for index, image in enumerate(images):
            record = f'image entry {index}'
            image_id = self._get(image, 'id', source, record)
            name = str(self._get(image, 'file_name', source, record))
            if names.setdefault(image_id, name) != name:
                raise AnnotationError(
                    source,
                    record,
                    f'the id {image_id!r} stands for {names[image_id]} and '
                    f'{name}, so that cells can belong to either',
                    'Give each image an id of its own',
                )
            if name in entries:
                self.mends.add(
                    'repeated image entries merged', f'{source}, {record}'
                )
            entries.setdefault(name, []).append(image)
        return entries, names

    def _read_sizes(
        self, entries: Mapping[str, List[dict]], source: str
    ) -> Dict[str, Tuple[int, int]]:
        """Find the (width, height) of each image.

        What the image file says wins: boxes are clipped to the pixels that
        the loader will see.
        """
        stated = {}
        for name, repeats in entries.items():
            sides = [repeats[0].get('width'), repeats[0].get('height')]
            known = all(type(side) is int and side > 0 for side in sides)
            stated[name] = tuple(sides) if known else None
        sizes = self.images.sizes(stated)
        for name, size in sizes.items():
            where = f'{source}, image {name}'
            if stated[name] is None:
                self.mends.add('image sizes taken from the image file', where)
            elif stated[name] != size:
                self.mends.add(
                    'image sizes that contradict the image file replaced',
                    f'{where}: {stated[name]} stated, {size} found',
                )
        return sizes

    def _read_categories(
        self, categories: Sequence[dict], source: str
    ) -> Dict[Any, str]:
        """Map category ids to normalised names."""
        names: Dict[Any, str] = {}
        for index, category in enumerate(categories):
            record = f'category {index}'
            category_id = self._get(category, 'id', source, record)
            name = normalise_name(
                str(self._get(category, 'name', source, record))
            )
            if names.setdefault(category_id, name) != name:
                raise AnnotationError(
                    source,
                    record,
                    f'the id {category_id!r} names {names[category_id]!r} '
                    f'and {name!r}',
                    'Give each category an id of its own',
                )
        return names

    def _read_cell(
        self,
        annotation: dict,
        categories: Mapping[Any, str],
        source: str,
        record: str,
    ) -> RawCell:
        """Read one annotation."""
        category_id = self._get(annotation, 'category_id', source, record)
        if category_id not in categories:
            raise AnnotationError(
                source,
                record,
                f'the category_id {category_id!r} is not listed, expected '
                f'one of {list(categories)}',
                'Add it to "categories" with its name, or correct it',
            )
        bbox = annotation.get('bbox')
        if not is_numbers(bbox, 4):
            raise AnnotationError(
                source,
                record,
                f'the bbox is {bbox!r}, expected the four numbers x, y, '
                'width, height in pixels',
                'Correct it or delete the record',
            )
        x, y, width, height = map(float, bbox)
        return RawCell(
            bbox=(x, y, x + width, y + height),
            category=categories[category_id],
            codes=self._read_codes(annotation, source, record),
            ignored=bool(
                self._read_flag(annotation, 'iscrowd', source, record)
                or self._read_flag(annotation, 'ignore', source, record)
            ),
            where=record,
        )

    @staticmethod
    def _read_flag(
        annotation: dict, key: str, source: str, record: str
    ) -> bool:
        """Read a flag that is 0, 1 or absent."""
        value = annotation.get(key, 0)
        if value not in (0, 1):
            raise AnnotationError(
                source,
                record,
                f'{key!r} is {value!r}, expected 0 or 1',
                'Correct it',
            )
        return bool(value)

    def _read_codes(
        self, annotation: dict, source: str, record: str
    ) -> Tuple[Optional[int], ...]:
        """Read the raw code of each attribute, wherever it stands."""
        nested = annotation.get(NESTED_KEY)
        if nested is None:
            nested = {}
        if not isinstance(nested, dict):
            raise AnnotationError(
                source,
                record,
                f'{NESTED_KEY!r} is {nested!r}, expected an object of codes',
                'Write {"cell_size": 0, ...}',
            )
        codes = []
        for attribute in self.schema:
            # A dict keeps the order and drops the repeat where the key and
            # the name are one.
            keys = dict.fromkeys((attribute.json_key, attribute.name))
            stated = {
                parse_code(place[key], source, record, key)
                for place in (annotation, nested)
                for key in keys
                if key in place
            } - {None}
            if len(stated) > 1:
                self.mends.add(
                    'attributes stated twice, differently, masked',
                    f'{source}, {record}',
                )
            codes.append(stated.pop() if len(stated) == 1 else None)
        return tuple(codes)

    def _read_regions(
        self, repeats: Sequence[dict], source: str
    ) -> Optional[List[Box]]:
        """Read the annotated regions of one image.

        Args:
            repeats (Sequence[dict]): All entries of the image.
            source (str): The file.

        Returns:
            list[tuple[float]] | None: None, the whole image.
        """
        for image in repeats:
            if REGIONS_KEY in image:
                raise AnnotationError(
                    source,
                    f'image {image["file_name"]}',
                    f'{REGIONS_KEY!r} is stated, expected a file whose images '
                    'are annotated as a whole',
                    'Read it with ann_format="sparse_json" or "auto"',
                )
        return None


def is_numbers(value: object, length: int) -> bool:
    """Tell whether a value is a list of numbers.

    Args:
        value (object): The value. NaN and infinity are numbers here.
        length (int): The expected length.

    Returns:
        bool: Whether it is.
    """
    return (
        isinstance(value, (list, tuple))
        and len(value) == length
        and all(type(number) in (int, float) for number in value)
    )
