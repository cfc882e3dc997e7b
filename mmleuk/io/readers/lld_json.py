# Copyright (c) mmleuk authors. All rights reserved.
import json
import math
from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import (
    ANNOTATION_OF_DROPPED,
    BYTE_ORDER_MARK,
    CODE_CONFLICT,
    ID_AS_STRING,
    LOST_ANNOTATION,
    MALFORMED_BOX,
    MALFORMED_CODE,
    MALFORMED_IMAGE,
    NO_COCO,
    NO_JSON,
    REPEATED_ANNOTATION_ID,
    REPEATED_IMAGE,
    SHARED_IMAGE_ID,
    SIZE_UNKNOWN,
    SIZE_WRONG,
    UNCLEAR_CATEGORIES,
    UNCLEAR_CROWD,
    UNKNOWN_CATEGORY,
)
from mmleuk.io.issue_log import FaultRateCheck, IssueLog
from mmleuk.io.repair import RawCell, parse_code, repair_field
from mmleuk.structures import Attribute
from mmleuk.structures.record import Box, FieldRecord, normalise_name

from .base_reader import BaseReader

# Where a draft of the release nests the codes of a cell.
NESTED_KEY = 'attributes'

REGIONS_KEY = 'annotated_regions'

LISTS = ('images', 'annotations', 'categories')

# Keys that a record keeps, or that follow from what it keeps.
IMAGE_KEYS = {'id', 'file_name', 'width', 'height', REGIONS_KEY}
ANNOTATION_KEYS = {
    'id',
    'image_id',
    'category_id',
    'bbox',
    'area',
    'iscrowd',
    'ignore',
    NESTED_KEY,
}

# The class of a cell of no known category. Such cells are ignored.
UNKNOWN = 'unknown'

# Sides of images from here on are a slip, and overflow elsewhere.
MAX_SIDE = 2**31

NUMBERS = {int, float}
CODES = {int, type(None)}


def load_json(
    source: str,
    backend_args: Optional[dict] = None,
    issues: Optional[IssueLog] = None,
) -> dict:
    """Load a COCO-like file and check its three lists.

    Args:
        source (str): The file.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.
        issues (IssueLog, optional): Where a byte order mark is counted. With
            it, images and annotations may hold what is no object, for the
            caller to judge. Defaults to None, all must be objects.

    Returns:
        dict: With the lists ``images``, ``annotations``, ``categories``.

    Raises:
        AnnotationError: If it is no JSON or a list is missing.
        FileNotFoundError: If the file is not there.
    """
    data = fileio.get(source, backend_args=backend_args)
    try:
        text = data.decode('utf-8')
        if text.startswith('\ufeff'):
            text = text[1:]
            if issues is not None:
                issues.add(BYTE_ORDER_MARK, source)
        del data
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            source,
            '',
            f'the content is no JSON in UTF-8: {error}',
            NO_JSON.fix,
            NO_JSON,
        ) from None
    for key in LISTS:
        found = content.get(key) if isinstance(content, dict) else None
        lenient = issues is not None and key != 'categories'
        if not isinstance(found, list) or not (
            lenient or all(isinstance(item, dict) for item in found)
        ):
            raise AnnotationError(
                source,
                '',
                f'{key!r} is not a list of objects, expected the '
                'COCO layout {"images": [...], "annotations": [...], '
                '"categories": [...]}',
                NO_COCO.fix,
                NO_COCO,
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

    Args:
        args (tuple): Arguments of :class:`BaseReader`.
        kwargs (dict): Keyword arguments of :class:`BaseReader`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._keys = tuple(attribute.json_key for attribute in self.schema)
        self._other_keys = {
            attribute.name
            for attribute in self.schema
            if attribute.name != attribute.json_key
        } | {NESTED_KEY}
        self._known_keys = ANNOTATION_KEYS.union(self._keys, self._other_keys)

    def _count_unread(self, item: dict, known: Set[str], what: str) -> None:
        """Count the keys that no record keeps."""
        if not known.issuperset(item):
            # An empty value, such as COCO's `segmentation: []`, says nothing.
            self.unread.update(
                f'{key!r} of {what}'
                for key, value in item.items()
                if key not in known and value not in (None, '', [], {})
            )

    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields of one JSON file.

        Args:
            source (str): The file.

        Returns:
            list[FieldRecord]: One record an image, in file order.

        Raises:
            AnnotationError: If the file can't be understood, or most of it.
            FileNotFoundError: If the file or most images are not there.
        """
        doubt = FaultRateCheck(self.issues, source)
        content = load_json(source, self.backend_args, self.issues)
        categories = self._read_categories(content['categories'], source)
        entries, names = self._read_images(content['images'], source)
        regions = {
            name: self._read_regions(repeats, source)
            for name, repeats in entries.items()
        }
        sizes = self._read_sizes(entries, source)
        ids = {name: repeats[0]['id'] for name, repeats in entries.items()}
        del entries, content['images']

        cells = self._read_cells(
            content.pop('annotations'), categories, names, sizes, source
        )
        fields = [
            repair_field(
                name,
                size,
                cells.pop(name, ()),
                self.schema,
                source,
                self.issues,
                regions=regions[name],
                image_id=ids[name],
                memo=self.code_memo,
            )
            for name, size in sizes.items()
        ]
        doubt.check()
        return fields

    def _read_images(
        self, images: Sequence[Any], source: str
    ) -> Tuple[Dict[str, List[dict]], Dict[Any, Optional[str]]]:
        """Group image entries by file.

        Returns:
            tuple: Entries by file name, and file name by image id, None where
            the entries with that id are dropped.
        """
        self.issues.seen['images'] += len(images)
        by_id: Dict[Any, List[Tuple[int, dict]]] = {}
        for index, image in enumerate(images):
            if isinstance(image, dict):
                self._count_unread(image, IMAGE_KEYS, 'images')
            if not (
                isinstance(image, dict)
                and is_key(image.get('id'))
                and is_key(image.get('file_name'))
                and image['file_name'] != ''
            ):
                self.issues.add(
                    MALFORMED_IMAGE, f'{source}, image entry {index}'
                )
                if isinstance(image, dict) and is_key(image.get('id')):
                    by_id.setdefault(image['id'], [])
                continue
            by_id.setdefault(image['id'], []).append((index, image))

        names: Dict[Any, Optional[str]] = {}
        unclear = set()
        for image_id, group in by_id.items():
            files = {str(image['file_name']) for _, image in group}
            if len(files) > 1:
                unclear |= files
            names[image_id] = files.pop() if len(files) == 1 else None

        entries: Dict[str, List[dict]] = {}
        # In file order, which the grouping has lost.
        for index, image in sorted(
            (item for group in by_id.values() for item in group),
            key=lambda item: item[0],
        ):
            name = str(image['file_name'])
            if name in unclear:
                self.issues.add(
                    SHARED_IMAGE_ID,
                    f'{source}, image entry {index} (id {image["id"]!r})',
                )
                continue
            if name in entries:
                self.issues.add(
                    REPEATED_IMAGE, f'{source}, image entry {index}'
                )
            entries.setdefault(name, []).append(image)
        return entries, names

    def _read_sizes(
        self, entries: Mapping[str, List[dict]], source: str
    ) -> Dict[str, Tuple[int, int]]:
        """Find the (width, height) of each image that can be used.

        What the image file says wins: boxes are clipped to the pixels that
        the loader will see.
        """
        stated: Dict[str, Optional[Tuple[int, int]]] = {}
        for name, repeats in entries.items():
            sides = (repeats[0].get('width'), repeats[0].get('height'))
            known = all(
                type(side) is int and 0 < side < MAX_SIDE for side in sides
            )
            stated[name] = sides if known else None
        sizes = self.look_at_images(stated, source)
        for name, size in sizes.items():
            if stated[name] == size:
                continue
            where = f'{source}, image {name}'
            if stated[name] is None:
                self.issues.add(SIZE_UNKNOWN, where)
            else:
                self.issues.add(
                    SIZE_WRONG,
                    f'{where}: {stated[name]} stated, {size} found',
                )
        return sizes

    def _read_categories(
        self, categories: Sequence[dict], source: str
    ) -> Dict[Any, str]:
        """Map category ids to normalised names."""
        names: Dict[Any, str] = {}
        for index, category in enumerate(categories):
            problem = ''
            for key in ('id', 'name'):
                value = category.get(key)
                if not is_key(value):
                    problem = (
                        f'{key!r} is {value!r}, expected a number or a string'
                    )
            if not problem:
                category_id = category['id']
                name = normalise_name(str(category['name']))
                if names.setdefault(category_id, name) != name:
                    problem = (
                        f'the id {category_id!r} names '
                        f'{names[category_id]!r} and {name!r}'
                    )
                elif not name:
                    problem = "'name' is empty, expected a class"
            if problem:
                raise AnnotationError(
                    source,
                    f'category {index}',
                    problem,
                    UNCLEAR_CATEGORIES.fix,
                    UNCLEAR_CATEGORIES,
                )
        return names

    def _read_cells(
        self,
        annotations: Sequence[Any],
        categories: Mapping[Any, str],
        names: Mapping[Any, Optional[str]],
        sizes: Mapping[str, Tuple[int, int]],
        source: str,
    ) -> Dict[str, List[RawCell]]:
        """Read the cells of the images that are kept.

        Args:
            annotations (Sequence): The annotations.
            categories (Mapping): Class by category id.
            names (Mapping): File name by image id.
            sizes (Mapping): The files that are kept.
            source (str): The file.

        Returns:
            dict[str, list[RawCell]]: Cells by file name.
        """
        issues = self.issues
        issues.seen['annotations'] += len(annotations)
        image_ids = _Ids(names)
        category_ids = _Ids(categories)
        cells: Dict[str, List[RawCell]] = {}
        ids: set = set()
        for index, annotation in enumerate(annotations):
            if not isinstance(annotation, dict):
                issues.add(MALFORMED_BOX, f'{source}, annotation {index}')
                continue
            self._count_unread(annotation, self._known_keys, 'annotations')
            annotation_id = annotation.get('id')
            record = f'annotation {index} (id {annotation_id})'
            if type(annotation_id) in (int, str):
                if annotation_id in ids:
                    issues.add(REPEATED_ANNOTATION_ID, f'{source}, {record}')
                ids.add(annotation_id)
            image_id = image_ids.find(annotation.get('image_id'))
            if image_id is None:
                issues.add(LOST_ANNOTATION, f'{source}, {record}')
                continue
            name = names[image_id]
            if name not in sizes:
                issues.add(ANNOTATION_OF_DROPPED, f'{source}, {record}')
                continue
            cell = self._read_cell(
                annotation, categories, category_ids, source, record
            )
            if cell is not None:
                cells.setdefault(name, []).append(cell)
        for found in (image_ids, category_ids):
            if found.matched:
                issues.add(
                    ID_AS_STRING, f'{source}, {found.first}', found.matched
                )
        return cells

    def _read_cell(
        self,
        annotation: dict,
        categories: Mapping[Any, str],
        category_ids: '_Ids',
        source: str,
        record: str,
    ) -> Optional[RawCell]:
        """Read one annotation, None where it has no box."""
        bbox = annotation.get('bbox')
        if not is_numbers(bbox, 4):
            self.issues.add(MALFORMED_BOX, f'{source}, {record}')
            return None
        try:
            x, y, width, height = map(float, bbox)
        except OverflowError:  # an integer of hundreds of digits
            x = y = width = height = math.inf
        category_id = category_ids.find(annotation.get('category_id'))
        ignored = category_id is None
        if ignored:
            self.issues.add(UNKNOWN_CATEGORY, f'{source}, {record}')
        for key in ('iscrowd', 'ignore'):
            flag = annotation.get(key)
            if flag:
                ignored = True
                if flag != 1:
                    self.issues.add(UNCLEAR_CROWD, f'{source}, {record}')
        return RawCell(
            bbox=(x, y, x + width, y + height),
            category=UNKNOWN
            if category_id is None
            else categories[category_id],
            codes=self._read_codes(annotation, source, record),
            ignored=ignored,
            where=record,
        )

    def _read_codes(
        self, annotation: dict, source: str, record: str
    ) -> Tuple[Optional[int], ...]:
        """Read the raw code of each attribute, wherever it stands."""
        codes = tuple(map(annotation.get, self._keys))
        # As released, and so nearly always.
        if CODES.issuperset(map(type, codes)) and (
            self._other_keys.isdisjoint(annotation)
        ):
            return codes
        nested = annotation.get(NESTED_KEY)
        if nested is None:
            nested = {}
        if not isinstance(nested, dict):
            self.issues.add(MALFORMED_CODE, f'{source}, {record}')
            nested = {}
        return tuple(
            self._read_code(attribute, (annotation, nested), source, record)
            for attribute in self.schema
        )

    def _read_code(
        self,
        attribute: Attribute,
        places: Sequence[dict],
        source: str,
        record: str,
    ) -> Optional[int]:
        """Read one raw code under both of its names in both places."""
        # A dict keeps the order and drops the repeat where the key and the
        # name are one.
        keys = dict.fromkeys((attribute.json_key, attribute.name))
        stated = set()
        for place in places:
            for key in keys:
                try:
                    stated.add(parse_code(place.get(key)))
                except ValueError:
                    self.issues.add(
                        MALFORMED_CODE, f'{source}, {record}: {key}'
                    )
        stated.discard(None)
        if len(stated) > 1:
            self.issues.add(CODE_CONFLICT, f'{source}, {record}')
        return stated.pop() if len(stated) == 1 else None

    def _read_regions(
        self, repeats: Sequence[dict], source: str
    ) -> Optional[List[Box]]:
        """Read the annotated regions of one image.

        Args:
            repeats (Sequence[dict]): All entries of the image.
            source (str): The file.

        Returns:
            list[tuple[float]] | None: None, the whole image.

        Raises:
            AnnotationError: If regions are stated.
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


class _Ids:
    """Finds ids, also those written as a string here, as a number there.

    Args:
        known (Mapping): The ids that are listed.
    """

    def __init__(self, known: Mapping[Any, Any]) -> None:
        self.known = known
        # The ids of a list differ, but not 7 and "7" by their text.
        texts = Counter(map(str, known))
        self.by_text = {str(key): key for key in known if texts[str(key)] == 1}
        self.matched = 0
        self.first = ''

    def find(self, value: Any) -> Any:
        """Find an id.

        Args:
            value (Any): The id as an annotation states it.

        Returns:
            Any: The id as it is listed, None where it is not.
        """
        if not is_key(value):
            return None
        if value in self.known:
            return value
        key = self.by_text.get(str(value))
        if key is not None:
            self.first = self.first or f'id {value!r} for {key!r}'
            self.matched += 1
        return key


def is_key(value: object) -> bool:
    """Tell whether a value can be an id or a name.

    Args:
        value (object): The value.

    Returns:
        bool: Whether it is a string or a finite number.
    """
    kind = type(value)
    return kind in (int, str) or (kind is float and math.isfinite(value))


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
        and NUMBERS.issuperset(map(type, value))
    )
