# Copyright (c) mmleuk authors. All rights reserved.
import codecs
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
    MALFORMED_REGIONS,
    NO_COCO,
    REPEATED_ANNOTATION_ID,
    REPEATED_IMAGE,
    SHARED_IMAGE_ID,
    SIZE_UNKNOWN,
    UNCLEAR_CATEGORIES,
    UNCLEAR_CROWD,
    UNKNOWN_CATEGORY,
)
from mmleuk.io.issue_log import IssueLog
from mmleuk.io.repair import RawCell, parse_code, repair_field
from mmleuk.io.source_files import parse_json
from mmleuk.structures import Attribute, AttributeSchema
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

# Longer sides of images are typing errors, and would overflow elsewhere.
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
        backend_args (dict, optional): Arguments of the file backend.
        issues (IssueLog, optional): Where a byte order mark is counted. With
            it, images and annotations may hold other things than objects,
            which the caller checks.

    Returns:
        dict: With the lists ``images``, ``annotations``, ``categories``.

    Raises:
        AnnotationError: If it is no JSON or a list is missing.
        FileNotFoundError: If the file is not there.
    """
    data = fileio.get(source, backend_args=backend_args)
    content = parse_json(data, source)
    if issues is not None and data.startswith(codecs.BOM_UTF8):
        issues.add(BYTE_ORDER_MARK, source)
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
    "nuclear_chromatio") or one of its ``json_aliases``. The class is the
    *name* that ``categories`` gives to a ``category_id``. Repeated entries of
    an image are merged. ``iscrowd`` and ``ignore`` make a cell ignored.
    Arguments are those of :class:`BaseReader`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._codes = CodeReader(self.schema, self.issues)
        self._known_keys = ANNOTATION_KEYS | self._codes.keys

    def _read(self, source: str) -> List[FieldRecord]:
        """Read one JSON file."""
        content = load_json(source, self.backend_args, self.issues)
        categories = read_categories(content['categories'], source)
        entries, names = self._read_images(content['images'], source)
        regions = {
            name: self._read_regions(repeats, source)
            for name, repeats in entries.items()
        }
        sizes = self._read_sizes(entries, source)
        ids = {name: repeats[0]['id'] for name, repeats in entries.items()}
        # To save memory while cells are read.
        del entries, content['images']

        cells = self._read_cells(
            content.pop('annotations'), categories, names, sizes, source
        )
        return [
            repair_field(
                name,
                size,
                cells.pop(name, ()),
                self.schema,
                source,
                self.issues,
                regions=regions[name],
                image_id=ids[name],
            )
            for name, size in sizes.items()
        ]

    def _count_unread(self, item: dict, known: Set[str], what: str) -> None:
        """Count the keys that no record keeps."""
        # An empty value, such as COCO's `segmentation: []`, says nothing.
        self.unread.update(
            f'{key!r} of {what}'
            for key, value in item.items()
            if key not in known and value not in (None, '', [], {})
        )

    def _read_images(
        self, images: Sequence[Any], source: str
    ) -> Tuple[Dict[str, List[dict]], Dict[Any, Optional[str]]]:
        """Group image entries by file.

        Returns:
            tuple: Entries by file name, and file name by image id, None where
            the entries with that id are dropped.
        """
        self.issues.seen['images'] += len(images)
        files: Dict[Any, Set[str]] = {}
        valid: List[Tuple[int, dict]] = []
        for index, image in enumerate(images):
            has_id = isinstance(image, dict) and is_key(image.get('id'))
            if isinstance(image, dict):
                self._count_unread(image, IMAGE_KEYS, 'images')
            if has_id:
                files.setdefault(image['id'], set())
            if (
                has_id
                and is_key(image.get('file_name'))
                and image['file_name'] != ''
            ):
                files[image['id']].add(str(image['file_name']))
                valid.append((index, image))
            else:
                self.issues.add(
                    MALFORMED_IMAGE, f'{source}, image entry {index}'
                )

        shared = [group for group in files.values() if len(group) > 1]
        unclear = set().union(*shared)
        entries: Dict[str, List[dict]] = {}
        for index, image in valid:
            name = str(image['file_name'])
            where = f'{source}, image entry {index}'
            if name in unclear:
                self.issues.add(
                    SHARED_IMAGE_ID, f'{where} (id {image["id"]!r})'
                )
                continue
            if name in entries:
                self.issues.add(REPEATED_IMAGE, where)
            entries.setdefault(name, []).append(image)
        names = {
            image_id: next(iter(group)) if len(group) == 1 else None
            for image_id, group in files.items()
        }
        return entries, names

    def _read_sizes(
        self, entries: Mapping[str, List[dict]], source: str
    ) -> Dict[str, Tuple[int, int]]:
        """Find the (width, height) of each image that can be used.

        The size of the image file wins: boxes are clipped to the pixels that
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
        for name in sizes:
            if stated[name] is None:
                self.issues.add(SIZE_UNKNOWN, f'{source}, image {name}')
        return sizes

    def _read_cells(
        self,
        annotations: Sequence[Any],
        categories: Mapping[Any, str],
        names: Mapping[Any, Optional[str]],
        sizes: Mapping[str, Tuple[int, int]],
        source: str,
    ) -> Dict[str, List[RawCell]]:
        """Read the cells of the images that are kept, by file name."""
        issues = self.issues
        issues.seen['annotations'] += len(annotations)
        image_ids = _Ids(names)
        category_ids = _Ids(categories)
        known_keys = self._known_keys
        cells: Dict[str, List[RawCell]] = {}
        ids: set = set()
        for index, annotation in enumerate(annotations):
            if not isinstance(annotation, dict):
                issues.add(MALFORMED_BOX, f'{source}, annotation {index}')
                continue
            if not known_keys.issuperset(annotation):
                self._count_unread(annotation, known_keys, 'annotations')
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
        x, y, width, height = to_floats(bbox)
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
            (x, y, x + width, y + height),
            categories.get(category_id, UNKNOWN),
            self._codes.read(annotation, source, record),
            ignored,
            record,
        )

    def _read_regions(
        self, repeats: Sequence[dict], source: str
    ) -> Optional[List[Box]]:
        """Refuse annotated regions in the entries of an image."""
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


class SparseJsonReader(JsonReader):
    """Reads the JSON layout with ``annotated_regions`` in its image entries.

    The key holds a list of ``[x1, y1, x2, y2]`` in pixels. Where it is absent
    the whole image is annotated; where the list is empty, nothing is. Where
    it is no such list, or two entries of an image state different ones,
    nothing counts as annotated either: the cells stay, and no background is
    taken from that image. Arguments are those of :class:`BaseReader`.
    """

    def _read_regions(
        self, repeats: Sequence[dict], source: str
    ) -> Optional[List[Box]]:
        """Read the annotated regions from the entries of an image."""
        whole = object()
        regions, *others = (image.get(REGIONS_KEY, whole) for image in repeats)
        agree = all(other == regions for other in others)
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
        return list(map(to_floats, regions))


class CodeReader:
    """Reads the attribute codes of annotations.

    Args:
        schema (AttributeSchema): The attributes.
        issues (IssueLog): Where faults are counted.

    Attributes:
        keys (set[str]): All keys that state an attribute.
    """

    def __init__(self, schema: AttributeSchema, issues: IssueLog) -> None:
        self.schema = schema
        self.issues = issues
        self._json_keys = tuple(attribute.json_key for attribute in schema)
        self.keys = {key for item in schema for key in item.json_keys}
        self._unusual_keys = (self.keys | {NESTED_KEY}) - {*self._json_keys}

    def read(
        self, annotation: dict, source: str, record: str
    ) -> Tuple[Optional[int], ...]:
        """Read the raw code of each attribute, wherever it stands.

        Args:
            annotation (dict): The annotation.
            source (str): The annotation file.
            record (str): The record in it.

        Returns:
            tuple[int | None]: One code per attribute, which may lie outside
            the schema.
        """
        codes = tuple(map(annotation.get, self._json_keys))
        # As released, and so nearly always.
        if CODES.issuperset(map(type, codes)) and (
            self._unusual_keys.isdisjoint(annotation)
        ):
            return codes
        where = f'{source}, {record}'
        nested = annotation.get(NESTED_KEY)
        if not isinstance(nested, dict):
            if nested is not None:
                self.issues.add(MALFORMED_CODE, where)
            nested = {}
        return tuple(
            self._read_one(attribute, (annotation, nested), where)
            for attribute in self.schema
        )

    def _read_one(
        self, attribute: Attribute, places: Sequence[dict], where: str
    ) -> Optional[int]:
        """Read one raw code under all of its keys in both places."""
        stated = set()
        for place in places:
            for key in attribute.json_keys:
                try:
                    stated.add(parse_code(place.get(key)))
                except ValueError:
                    self.issues.add(MALFORMED_CODE, f'{where}: {key}')
        stated.discard(None)
        if len(stated) > 1:
            self.issues.add(CODE_CONFLICT, where)
        return stated.pop() if len(stated) == 1 else None


class _Ids:
    """Finds ids, also those written as a string here, as a number there."""

    def __init__(self, known: Mapping[Any, Any]) -> None:
        self.known = known
        # 7 and "7" are different ids with one text.
        texts = Counter(map(str, known))
        self.by_text = {str(key): key for key in known if texts[str(key)] == 1}
        self.matched = 0
        self.first = ''

    def find(self, value: Any) -> Any:
        """Find the id as it is listed, None where it is not."""
        if not is_key(value):
            return None
        if value in self.known:
            return value
        key = self.by_text.get(str(value))
        if key is not None:
            self.first = self.first or f'id {value!r} for {key!r}'
            self.matched += 1
        return key


def read_categories(categories: Sequence[dict], source: str) -> Dict[Any, str]:
    """Read the list of categories.

    Args:
        categories (Sequence[dict]): The list.
        source (str): The annotation file, for messages.

    Returns:
        dict[int | str, str]: Normalised class name by category id.

    Raises:
        AnnotationError: If an id or name is missing or ambiguous.
    """
    names: Dict[Any, str] = {}
    for index, category in enumerate(categories):
        problem = ''
        for key in ('id', 'name'):
            if not is_key(category.get(key)):
                problem = (
                    f'{key!r} is {category.get(key)!r}, expected a number or '
                    'a string'
                )
        if not problem:
            category_id = category['id']
            name = normalise_name(str(category['name']))
            if names.setdefault(category_id, name) != name:
                problem = (
                    f'the id {category_id!r} names {names[category_id]!r} '
                    f'and {name!r}'
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


def is_key(value: Any) -> bool:
    """Tell whether a value can be an id or a name: text or a finite number."""
    kind = type(value)
    return kind in (int, str) or (kind is float and math.isfinite(value))


def is_numbers(value: object, length: int) -> bool:
    """Tell whether a value is a list of ``length`` numbers, NaN included."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == length
        and NUMBERS.issuperset(map(type, value))
    )


def to_floats(numbers: Sequence[float]) -> Tuple[Any, ...]:
    """Convert numbers to floats, all NaN if one is too large for a float."""
    try:
        return tuple(map(float, numbers))
    except OverflowError:  # an integer of hundreds of digits
        return (math.nan,) * len(numbers)
