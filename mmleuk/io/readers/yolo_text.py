# Copyright (c) mmleuk authors. All rights reserved.
import math
import os.path as osp
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import (
    ANNOTATION_OF_DROPPED,
    ATTRIBUTE_COLUMNS,
    BYTE_ORDER_MARK,
    IMAGE_WITHOUT_LABELS,
    LABELS_WITHOUT_IMAGE,
    MALFORMED_CODE,
    ROW_PIXELS,
    ROW_WIDTH,
    ROW_WORDS,
    SHARED_LABELS,
    UNKNOWN_CATEGORY,
    UNREADABLE_LABELS,
)
from mmleuk.io.issue_log import IssueLog
from mmleuk.io.repair import (
    NOT_APPLICABLE,
    RawCell,
    parse_code,
    repair_field,
)
from mmleuk.io.source_files import leave_out_mac_files
from mmleuk.structures import LLD_ATTRIBUTES
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import Box, FieldRecord

from .base_reader import BaseReader
from .lld_json import UNKNOWN

# The attribute columns of the released text labels, in order. Files of the
# authors' six-attribute models leave the first one out.
TEXT_ATTRIBUTES = tuple(item['name'] for item in LLD_ATTRIBUTES)
OPTIONAL_ATTRIBUTE = 'cell_size'

# The code of text labels for a missing attribute. Where it is a value (Cell
# Size), JSON's code is written for a typed cell.
TEXT_MISSING = 2

# Lists of class names that labelling tools leave beside the label files.
NOT_LABELS = ('classes.txt', 'obj.names.txt')

# A normalised centre or side above this is no box over the edge: the file
# holds pixels.
MAX_NORMALISED = 2.0


def list_label_files(
    folder: str,
    backend_args: Optional[dict] = None,
    issues: Optional[IssueLog] = None,
) -> Dict[str, str]:
    """List the label files of a folder.

    Args:
        folder (str): The folder.
        backend_args (dict, optional): Arguments of the file backend.
        issues (IssueLog, optional): Where files of macOS are counted.

    Returns:
        dict[str, str]: Path by file name without suffix, sorted.

    Raises:
        FileNotFoundError: If there are none.
    """
    names = []
    if fileio.isdir(folder, backend_args):
        names = fileio.list_dir_or_file(
            folder, list_dir=False, suffix='.txt', backend_args=backend_args
        )
    paths = {
        osp.splitext(name)[0]: fileio.join_path(
            folder, name, backend_args=backend_args
        )
        for name in leave_out_mac_files(names, folder, ('.txt',), issues)
        if name not in NOT_LABELS
    }
    if not paths:
        raise FileNotFoundError(
            f'{folder}: no label files (*.txt) are there. Set `ann_file` to '
            'the folder that holds them.'
        )
    return paths


class YoloTextReader(BaseReader):
    """Reads YOLO text labels, one file an image and one row a cell.

    A row is ``cls x y w h`` (class of the authors' list, normalised centre
    box) and the seven attribute codes, or six without the cell size. Code 2
    (or 4) is a missing attribute, unless the attribute has such a value. An
    empty file states that the image holds no cell. An image without a file
    counts as not annotated.

    Args:
        args (tuple): Arguments of :class:`BaseReader`.
        classes (Sequence[str]): Class names by index, '' for none.
        columns (Sequence[str], optional): Names of the attribute columns,
            None for LLD's. Then rows of all seven columns are refused under a
            schema of six attributes without Cell Size: six names over seven
            columns are probably a mistake.
        kwargs (dict): Keyword arguments of :class:`BaseReader`.
    """

    # Number of columns that state a region.
    region_columns = 0

    def __init__(
        self,
        *args,
        classes: Sequence[str] = LLD_CLASSES,
        columns: Optional[Sequence[str]] = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.classes = tuple(classes)
        full = TEXT_ATTRIBUTES if columns is None else tuple(columns)
        short = tuple(name for name in full if name != OPTIONAL_ATTRIBUTE)
        # Attribute names by the number of columns of a row.
        self.layouts: Dict[int, Tuple[str, ...]] = {
            5 + self.region_columns + len(layout): layout
            for layout in (full, short)
        }
        names = self.schema.names
        is_short = len(names) == len(short) and OPTIONAL_ATTRIBUTE not in names
        self._refused = full if columns is None and is_short else None

    def _read(self, source: str) -> List[FieldRecord]:
        """Read one folder of label files."""
        paths = list_label_files(source, self.backend_args, self.issues)
        names = self._list_images()
        sizes = self.look_at_images(dict.fromkeys(names.values()), source)
        self._check_images(paths, names, source)
        rows = self._read_files(paths, names, sizes)
        regions = self._read_regions(rows, paths)

        fields = []
        for stem, name in names.items():
            if name not in sizes:
                continue
            if stem not in paths:
                self.issues.add(IMAGE_WITHOUT_LABELS, self.images.join(name))
            fields.append(
                repair_field(
                    name,
                    sizes[name],
                    rows.get(stem, ()),
                    self.schema,
                    paths.get(stem, source),
                    self.issues,
                    regions=regions[stem] if stem in rows else [],
                    missing_codes=(TEXT_MISSING, NOT_APPLICABLE),
                )
            )
        return fields

    def _list_images(self) -> Dict[str, str]:
        """List the images by the name of their label file."""
        names = {}
        for stem, group in self.images.group_by_stem(self.issues).items():
            self.issues.seen['images'] += len(group)
            if len(group) > 1:
                self.issues.add(
                    SHARED_LABELS, self.images.join(group[0]), len(group)
                )
            else:
                names[stem] = group[0]
        return names

    def _check_images(
        self, paths: Mapping[str, str], names: Mapping[str, str], source: str
    ) -> None:
        """Count label files without an image; raise if they are most."""
        self.issues.seen['label files'] += len(paths)
        missing = [stem for stem in paths if stem not in names]
        if not missing:
            return
        found = (
            f'{len(missing)} of {len(paths)} label files '
            f'({len(missing) / len(paths):.1%}) have no image: '
            f'{", ".join(missing[:5])}{", ..." if len(missing) > 5 else ""}'
        )
        if len(missing) > len(paths) // 2:
            raise FileNotFoundError(
                f'{self.images.path}: {found}. Set `data_prefix` to where the '
                'images are, or complete the copy of the data.'
            )
        self.issues.add(
            LABELS_WITHOUT_IMAGE, f'{source}: {found}', len(missing)
        )

    def _read_files(
        self,
        paths: Mapping[str, str],
        names: Mapping[str, str],
        sizes: Mapping[str, Tuple[int, int]],
    ) -> Dict[str, List[RawCell]]:
        """Read the rows of the images that are kept, by label file."""
        rows = {}
        for stem, path in paths.items():
            data = fileio.get(path, backend_args=self.backend_args)
            is_read = stem in names
            try:
                text = data.decode('utf-8')
            except UnicodeDecodeError:
                text = data.decode('utf-8', 'replace')
                if is_read:
                    self.issues.add(UNREADABLE_LABELS, path)
                is_read = False
            if is_read and text.startswith('\ufeff'):
                self.issues.add(BYTE_ORDER_MARK, path)
            lines = [
                (number, line.split())
                for number, line in enumerate(
                    text.removeprefix('\ufeff').splitlines(), 1
                )
                if line.strip()
            ]
            if not is_read:
                self.num_skipped += len(lines)
                continue
            self.issues.kept['label files'] += 1
            self.issues.seen['annotations'] += len(lines)
            size = sizes.get(names[stem])
            if size is not None:
                parsed = (
                    self._parse_row(tokens, size, path, number)
                    for number, tokens in lines
                )
                rows[stem] = [row for row in parsed if row is not None]
            elif lines:
                self.issues.add(ANNOTATION_OF_DROPPED, path, len(lines))
        return rows

    def _parse_row(
        self,
        tokens: Sequence[str],
        size: Tuple[int, int],
        path: str,
        number: int,
    ) -> Optional[RawCell]:
        """Parse one row; None if it has another layout or a wrong box."""
        record = f'line {number}'
        where = f'{path}, {record}'
        if len(tokens) not in self.layouts:
            expected = ' or '.join(map(str, self.layouts))
            self.issues.add(
                ROW_WIDTH,
                f'{where}: got {len(tokens)} columns, expected {expected}',
            )
            return None
        layout = self.layouts[len(tokens)]
        if layout == self._refused:
            raise AnnotationError(
                path,
                record,
                f'got {len(tokens)} columns, of which {len(layout)} are '
                f'attributes ({", ".join(layout)}), while the schema has '
                f'{len(self.schema)}, without {OPTIONAL_ATTRIBUTE} '
                f'({", ".join(self.schema.names)})',
                ATTRIBUTE_COLUMNS.fix,
                ATTRIBUTE_COLUMNS,
            )
        box = tuple(map(parse_number, tokens[1:5]))
        if None in box:
            self.issues.add(ROW_WORDS, where)
            return None
        if any(MAX_NORMALISED < value < math.inf for value in box):
            self.issues.add(ROW_PIXELS, where)
            return None
        class_number = parse_number(tokens[0])
        is_known = class_number in range(len(self.classes)) and bool(
            self.classes[int(class_number)]
        )
        if not is_known:
            self.issues.add(
                UNKNOWN_CATEGORY,
                f'{where}: got the class {tokens[0]}, expected 0 to '
                f'{len(self.classes) - 1}',
            )
        start = 5 + self.region_columns
        codes = {}
        for name, token in zip(layout, tokens[start:]):
            try:
                codes[name] = parse_code(token)
            except ValueError:
                self.issues.add(MALFORMED_CODE, f'{where}: {name}')
        x, y, half_width, half_height = (
            box[0] * size[0],
            box[1] * size[1],
            box[2] * size[0] / 2,
            box[3] * size[1] / 2,
        )
        # Words make no rectangle either.
        region = map(parse_number, tokens[5:start])
        return RawCell(
            (x - half_width, y - half_height, x + half_width, y + half_height),
            self.classes[int(class_number)] if is_known else UNKNOWN,
            tuple(map(codes.get, self.schema.names)),
            not is_known,
            record,
            tuple(math.nan if p is None else p for p in region),
        )

    def _read_regions(
        self, rows: Mapping[str, List[RawCell]], paths: Mapping[str, str]
    ) -> Mapping[str, Optional[List[Box]]]:
        """Find the annotated regions of each image with a label file.

        Args:
            rows (Mapping[str, list[RawCell]]): Rows by label file.
            paths (Mapping[str, str]): Paths by label file.

        Returns:
            Mapping[str, list[tuple[float]] | None]: Rectangles (x1, y1, x2,
            y2) in pixels by label file, None for the whole image.
        """
        return dict.fromkeys(rows)


def parse_number(token: str) -> Optional[float]:
    """Parse a number, NaN and infinity included; None where it is a word."""
    try:
        return float(token)
    except ValueError:
        return None
