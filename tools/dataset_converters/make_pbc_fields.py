# Copyright (c) mmleuk authors. All rights reserved.
"""Make fields of typed cells with attributes from two public data sets.

Used by ``convert.py pbc-fields``.

TXL-PBC (https://github.com/lugan113/TXL-PBC_Dataset, MIT) has boxes on
images of, among others, the PBC set (doi:10.17632/snkd93bnjr, CC BY 4.0).
WBCAtt (https://github.com/apple2373/wbcatt, MIT; Tsutsui et al., NeurIPS 2023)
has the type and eleven attributes of the white cell in the middle of each PBC
image. TXL-PBC names its images by the UUID (version 5, URL namespace) of their
names in PBC, which joins the two.
"""

import csv
import io
import math
import os.path as osp
import random
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from PIL import Image

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.conversion_report import (
    ConversionError,
    ConversionReport,
    list_counts,
)
from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.issue_log import IssueLog
from mmleuk.io.readers.yolo_reader import YoloReader, find_class_names
from mmleuk.io.source_files import MAX_BYTES, read_bytes
from mmleuk.io.writers.json_writers import write_lld_json
from mmleuk.structures import LLD_SCHEMA, MISSING
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import CellRecord, FieldRecord, normalise_name

WHITE_CELL = 'wbc'

# Images a side of a field.
GRID = 2

# What WBCAtt's columns say in terms of LLD. Of a nucleus, "regular" is round
# and unsegmented. Nucleoli are not annotated.
WBCATT_ATTRIBUTES = {
    'cell_size': {'to': 'cell_size', 'values': {'big': 'large'}},
    'chromatin_density': {
        'to': 'nuclear_chromatin',
        'values': {'loosely': 'open', 'densely': 'coarse'},
    },
    'nucleus_shape': {
        'to': 'nuclear_shape',
        'values': {
            'unsegmented-round': 'regular',
            'unsegmented-band': 'irregular',
            'unsegmented-indented': 'irregular',
            'segmented-bilobed': 'irregular',
            'segmented-multilobed': 'irregular',
            'irregular': 'irregular',
        },
    },
    'nuclear_cytoplasmic_ratio': {
        'to': 'cytoplasm',
        'values': {'high': 'scanty', 'low': 'abundant'},
    },
    'cytoplasm_colour': {
        'to': 'cytoplasmic_basophilia',
        'values': {
            'light blue': 'slight',
            'blue': 'moderate',
            'purple blue': 'moderate',
        },
    },
    'cytoplasm_vacuole': {
        'to': 'cytoplasmic_vacuoles',
        'values': {'no': 'absent', 'yes': 'prominent'},
    },
}


@dataclass(frozen=True)
class Tile:
    """One image of PBC with its white cells.

    Args:
        source (str): Its name in PBC.
        path (str): The image file.
        field (FieldRecord): Its cells, the typed one first.
    """

    source: str
    path: str
    field: FieldRecord

    @property
    def category(self) -> str:
        """str: Type of the cell in the middle."""
        return self.field.cells[0].category

    @property
    def size(self) -> Tuple[int, int]:
        """tuple[int]: (width, height) in pixels."""
        return self.field.width, self.field.height


def read_wbcatt(
    paths: Sequence[str], max_bytes: int = MAX_BYTES
) -> Dict[str, Tuple[str, Tuple[int, ...]]]:
    """Read WBCAtt's tables.

    Args:
        paths (Sequence[str]): CSV files, such as ``pbc_attr_v1_train.csv``.
        max_bytes (int): Largest file to read.

    Returns:
        dict[str, tuple]: Class and codes of LLD's schema, by image name.

    Raises:
        AnnotationError: If a column is absent, a class or value unknown, or
            an image is in two rows that differ.
        FileNotFoundError: If a file is not there.
    """
    names = AttributeNames(LLD_SCHEMA, WBCATT_ATTRIBUTES)
    cells: Dict[str, Tuple[str, Tuple[int, ...]]] = {}
    needed = {'img_name', 'label', *WBCATT_ATTRIBUTES}
    for path in paths:
        content = read_bytes(path, max_bytes)
        try:
            text = io.StringIO(content.decode('utf-8-sig'), newline='')
            table = csv.DictReader(text, strict=True)
            columns = set(table.fieldnames or ())
            rows = list(table)
        except (UnicodeDecodeError, csv.Error) as error:
            raise AnnotationError(
                path, '', f'the content is no CSV: {error}', 'Copy it anew'
            ) from None
        if not needed <= columns:
            raise AnnotationError(
                path,
                'header',
                f'the columns {sorted(needed - columns)} are absent',
                'Check that this is a table of WBCAtt',
            )
        for number, row in enumerate(rows, 2):
            record = f'row {number}'
            if None in row.values() or None in row:
                raise AnnotationError(
                    path,
                    record,
                    f'expected {len(columns)} columns',
                    'Correct the row',
                )
            category = normalise_name(row['label'])
            if category not in LLD_CLASSES:
                raise AnnotationError(
                    path,
                    record,
                    f'the label is {row["label"][:80]!r}, expected one of '
                    f'{", ".join(LLD_CLASSES)}',
                    'Correct it',
                )
            codes, _ = names.read(
                ((key, row[key]) for key in WBCATT_ATTRIBUTES),
                path,
                record,
                IssueLog(),
            )
            cell = category, LLD_SCHEMA.clean(codes)
            if cells.setdefault(row['img_name'], cell) != cell:
                raise AnnotationError(
                    path,
                    record,
                    f'{row["img_name"]} is in another row with another class '
                    'or attributes',
                    'Keep one of them',
                )
    names.check()
    return cells


def read_tiles(
    root: str,
    split: str,
    wbcatt: Mapping[str, Tuple[str, Tuple[int, ...]]],
    report: ConversionReport,
    max_bytes: int = MAX_BYTES,
) -> List[Tile]:
    """Read the images of TXL-PBC that WBCAtt has attributes of.

    WBCAtt describes the white cell nearest to the middle of an image. Others
    become ignored cells of the class "none". Erythrocytes and platelets are
    dropped.

    Args:
        root (str): Folder with ``images/<split>`` and ``labels/<split>``.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        wbcatt (Mapping): From :func:`read_wbcatt`.
        report (ConversionReport): Where boxes are counted.
        max_bytes (int): Largest file to read.

    Returns:
        list[Tile]: Sorted by name in PBC.

    Raises:
        AnnotationError: If labels can't be understood, or have no class
            "WBC".
        FileNotFoundError: If images or labels are not there.
    """
    labels = osp.join(root, 'labels', split)
    images = ImageFolder(osp.join(root, 'images', split))
    classes = find_class_names(labels, max_bytes=max_bytes)
    if WHITE_CELL not in map(normalise_name, classes):
        raise AnnotationError(
            labels,
            '',
            f'the classes are {classes}, expected "WBC" among them',
            'Check data.yaml',
        )
    fields = YoloReader(
        LLD_SCHEMA,
        images,
        issues=report.issues,
        classes=classes,
    ).read(labels)
    report.num_in += report.issues.seen['annotations']
    report.take_drops()

    names = {
        str(uuid.uuid5(uuid.NAMESPACE_URL, name)): name for name in wbcatt
    }
    tiles = []
    for field in fields:
        name = names.get(osp.splitext(field.file_name)[0])
        if name is None:
            report.dropped['cells of images that WBCAtt does not have'] += len(
                field.cells
            )
            continue
        white = [cell for cell in field.cells if cell.category == WHITE_CELL]
        others = len(field.cells) - len(white)
        report.dropped['erythrocytes and platelets'] += others
        if white:
            cells = _type_cells(field, white, *wbcatt[name])
            tiles.append(
                Tile(
                    name,
                    images.join(field.file_name),
                    replace(field, cells=cells),
                )
            )
    return sorted(tiles, key=lambda tile: tile.source)


def _type_cells(
    field: FieldRecord,
    cells: Sequence[CellRecord],
    category: str,
    codes: Tuple[int, ...],
) -> Tuple[CellRecord, ...]:
    """Give the cell in the middle its type; ignore the others."""

    def offset(cell: CellRecord) -> float:
        x1, y1, x2, y2 = cell.bbox
        return math.hypot(x1 + x2 - field.width, y1 + y2 - field.height)

    first, *others = sorted(cells, key=offset)
    return (
        replace(first, category=category, attributes=codes),
        *(
            replace(
                cell,
                category=LLD_CLASSES[0],
                attributes=(MISSING,) * len(codes),
                ignored=True,
            )
            for cell in others
        ),
    )


def choose_tiles(
    tiles: Sequence[Tile],
    seed: int,
    report: ConversionReport,
    per_class: int = 0,
) -> List[List[Tile]]:
    """Put tiles into groups of one size, types about equally often.

    Args:
        tiles (Sequence[Tile]): The tiles.
        seed (int): Same seed, same groups.
        report (ConversionReport): Where the cells of tiles left over are
            counted.
        per_class (int): Most cells of a type. Defaults to 0, as many as the
            rarest type has.

    Returns:
        list[list[Tile]]: Groups of ``GRID**2``.
    """
    rng = random.Random(seed)
    by_class: Dict[str, List[Tile]] = defaultdict(list)
    for tile in tiles:
        by_class[tile.category].append(tile)
    per_class = per_class or min(map(len, by_class.values()), default=0)
    chosen: List[Tile] = []
    for category in sorted(by_class):
        group = by_class[category]
        rng.shuffle(group)
        chosen += group[:per_class]
        report.dropped['cells of types beyond their number'] += _count(
            group[per_class:]
        )
    rng.shuffle(chosen)
    by_size: Dict[Tuple[int, int], List[Tile]] = defaultdict(list)
    for tile in chosen:
        by_size[tile.size].append(tile)
    groups = []
    for _, group in sorted(by_size.items()):
        whole = len(group) - len(group) % GRID**2
        groups += [
            group[start : start + GRID**2]
            for start in range(0, whole, GRID**2)
        ]
        report.dropped['cells of images too few to fill a field'] += _count(
            group[whole:]
        )
    rng.shuffle(groups)
    return groups


def _count(tiles: Sequence[Tile]) -> int:
    """Count the cells of tiles."""
    return sum(len(tile.field.cells) for tile in tiles)


def make_field(tiles: Sequence[Tile], name: str, folder: Path) -> FieldRecord:
    """Put tiles of one size together into one image.

    Args:
        tiles (Sequence[Tile]): Four tiles, row by row.
        name (str): Name of the image, a JPEG.
        folder (Path): Where it is written.

    Returns:
        FieldRecord: The record; the ``source`` of each cell is the PBC image
        that it comes from.
    """
    width, height = tiles[0].size
    mosaic = Image.new('RGB', (GRID * width, GRID * height))
    cells = []
    for index, tile in enumerate(tiles):
        left, top = index % GRID * width, index // GRID * height
        with Image.open(tile.path) as image:
            mosaic.paste(image.convert('RGB'), (left, top))
        for cell in tile.field.cells:
            x1, y1, x2, y2 = cell.bbox
            box = (x1 + left, y1 + top, x2 + left, y2 + top)
            extra = dict(source=tile.source)
            cells.append(replace(cell, bbox=box, extra=extra))
    folder.mkdir(parents=True, exist_ok=True)
    mosaic.save(folder / name, quality=95)
    return FieldRecord(name, *mosaic.size, cells=tuple(cells))


def count_types(fields: Sequence[FieldRecord]) -> Counter:
    """Count the typed cells of fields.

    Args:
        fields (Sequence[FieldRecord]): The records.

    Returns:
        Counter: Cells by type, ignored ones left out.
    """
    return Counter(
        cell.category
        for field in fields
        for cell in field.cells
        if not cell.ignored
    )


def make_pbc_fields(
    txl_pbc: str,
    wbcatt: Sequence[str],
    target: str,
    split: str,
    seed: int = 0,
    per_class: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Tuple[ConversionReport, Counter]:
    """Make the fields of one split: images and LLD's JSON.

    Writes ``images/<split>_<number>_1000_PBC.jpg`` and
    ``json_labels/<split>.json``, in which ``source`` of an annotation names
    the PBC image of its cell.

    Args:
        txl_pbc (str): Folder of TXL-PBC, with ``images`` and ``labels``.
        wbcatt (Sequence[str]): CSV files of WBCAtt.
        target (str): Folder to write to.
        split (str): ``'train'``, ``'val'`` or ``'test'``, as of TXL-PBC.
        seed (int): Same seed, same fields.
        per_class (int): See :func:`choose_tiles`.
        max_bytes (int): Largest file to read.

    Returns:
        tuple[ConversionReport, Counter]: What went in and came out; cells by
        type.

    Raises:
        AnnotationError: If labels or attributes can't be understood.
        ConversionError: If nothing can be made, or labels of the split are
            there already.
        FileNotFoundError: If images, labels or tables are not there.
    """
    labels = Path(target) / 'json_labels' / f'{split}.json'
    if labels.exists():
        raise ConversionError(
            f'{labels} is there already, expected a new folder'
        )
    report = ConversionReport()
    tiles = read_tiles(
        txl_pbc, split, read_wbcatt(wbcatt, max_bytes), report, max_bytes
    )
    groups = choose_tiles(tiles, seed, report, per_class)
    report.num_fields = len(groups)
    report.num_out = sum(map(_count, groups))
    report.check()
    if not groups:
        raise ConversionError(
            f'{txl_pbc}: of {report.num_in} cells of the split {split!r}, no '
            f'field can be made: {list_counts(report.dropped)}'
        )
    fields = [
        make_field(
            group,
            f'{split}_{number:03d}_1000_PBC.jpg',
            Path(target) / 'images',
        )
        for number, group in enumerate(groups)
    ]
    write_lld_json(fields, labels, LLD_SCHEMA, LLD_CLASSES)
    return report, count_types(fields)
