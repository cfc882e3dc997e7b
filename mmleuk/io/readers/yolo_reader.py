# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

import yaml

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import Size
from mmleuk.io.repair import RawCell
from mmleuk.io.source_files import MAX_BYTES, read_bytes
from mmleuk.structures.record import normalise_name

from .box_reader import surround
from .yolo_text import YoloTextReader, parse_number

# Where tools leave the names of the classes: LabelImg and Label Studio,
# Darknet and CVAT, Ultralytics.
NAME_FILES = ('classes.txt', 'obj.names', 'data.yaml')

MAX_CLASSES = 10_000


class YoloReader(YoloTextReader):
    """Reads plain YOLO labels: ``cls x y w h``, no attributes.

    The cell of a row ``cls x1 y1 x2 y2 x3 y3 ...`` is the upright box around
    that polygon. An image with a row that can't be read counts as not
    annotated.

    Args:
        args (tuple): Arguments of :class:`YoloTextReader`.
        classes (Sequence[str]): Names of the classes by index, '' for a class
            without a name.
        kwargs (dict): Other keyword arguments of :class:`YoloTextReader`.
    """

    def __init__(self, *args, classes: Sequence[str], **kwargs) -> None:
        super().__init__(
            *args,
            classes=tuple(map(normalise_name, classes)),
            columns=(),
            **kwargs,
        )
        self._unclear: Set[str] = set()

    def _parse_row(
        self, tokens: Sequence[str], size: Size, path: str, number: int
    ) -> Optional[RawCell]:
        """Parse one row, None if it states no box."""
        # Codes of attributes, in LLD's text, have no decimal point.
        if len(tokens) in range(7, 10**6, 2) and '.' in ''.join(tokens[5:]):
            numbers = list(map(parse_number, tokens[1:]))
            if None not in numbers:
                x1, y1, x2, y2 = surround([*zip(*[iter(numbers)] * 2)])
                box = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
                tokens = tokens[0], *map(str, box)
                self.issues.add(
                    'polygons replaced by upright boxes around them',
                    f'{path}, line {number}',
                )
        row = super()._parse_row(tokens, size, path, number)
        if row is None:
            self._unclear.add(path)
        return row

    def _read_regions(
        self, rows: Mapping[str, Any], paths: Mapping[str, str]
    ) -> Dict[str, Optional[list]]:
        """Take images with rows that were dropped as not annotated."""
        regions: Dict[str, Optional[list]] = dict.fromkeys(rows)
        for stem in rows:
            if paths[stem] in self._unclear:
                regions[stem] = []
                self.issues.add(
                    'images with rows that can not be read taken as not '
                    'annotated',
                    paths[stem],
                )
        return regions


class _TextLoader(yaml.SafeLoader):
    """Leaves scalars as they are written: ``no`` is a name, not False."""

    yaml_implicit_resolvers: dict = {}


def find_class_names(
    folder: str,
    names_file: Optional[str] = None,
    max_bytes: int = MAX_BYTES,
) -> List[str]:
    """Find the class names of a folder of YOLO labels.

    Args:
        folder (str): The folder.
        names_file (str, optional): The file that states them: one name a line
            or, with the suffix ``.yaml``, under ``names``. None: one of
            ``NAME_FILES`` in the folder, or in one of the two above.
        max_bytes (int): Largest file to read.

    Returns:
        list[str]: Names by index, '' for an index without one: an empty line
        or a number that YAML leaves out.

    Raises:
        AnnotationError: If the file states none.
        FileNotFoundError: If it is not there.
    """
    if names_file is None:
        places = Path(folder), *Path(folder).absolute().parents[:2]
        paths = [place / name for place in places for name in NAME_FILES]
        names_file = next((str(path) for path in paths if path.exists()), None)
        if names_file is None:
            raise FileNotFoundError(
                f'{folder}: no file of class names is there or in the two '
                f'folders above, expected one of {", ".join(NAME_FILES)}. '
                'Name it (--names)'
            )
    content = read_bytes(names_file, max_bytes)
    try:
        text = content.decode('utf-8-sig')
        if names_file.endswith(('.yaml', '.yml')):
            names = yaml.load(text, _TextLoader)
            names = names.get('names') if isinstance(names, dict) else None
            if isinstance(names, dict):
                by_index = {int(key): name for key, name in names.items()}
                if not set(by_index) <= set(range(MAX_CLASSES)):
                    raise ValueError(
                        f'the numbers are {list(names)[:5]}, expected 0 to '
                        f'{MAX_CLASSES - 1}'
                    )
                names = [
                    by_index.get(index, '')
                    for index in range(max(by_index, default=-1) + 1)
                ]
        else:
            names = text.rstrip().splitlines()
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise AnnotationError(
            names_file,
            '',
            'the class names can not be read: '
            f'{" ".join(str(error).split())[:200]}',
            'Write one name a line',
        ) from None
    if not (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and any(name.strip() for name in names)
    ):
        raise AnnotationError(
            names_file,
            '',
            'the file states no list of class names',
            'Write one name a line, or "names: [a, b]" in YAML',
        )
    return [name.strip() for name in names]
