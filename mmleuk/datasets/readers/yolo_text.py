# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine import fileio

from mmleuk.datasets.metainfo import LLD_CLASSES
from mmleuk.structures import LLD_ATTRIBUTES

from .base_reader import BaseReader
from .mending import RawCell, mend_field, parse_code
from .record import AnnotationError, Box, FieldRecord

# The attribute columns of the released text labels, in order. Files of the
# authors' six-attribute models leave the first one out.
TEXT_ATTRIBUTES = tuple(item['name'] for item in LLD_ATTRIBUTES)
OPTIONAL_ATTRIBUTE = 'cell_size'

# Lists of class names that labelling tools leave beside the label files.
NOT_LABELS = ('classes.txt', 'obj.names.txt')

# A normalised centre or side above this can't come from a box over the edge:
# the file holds pixels.
MAX_NORMALISED = 2.0


@dataclass(frozen=True)
class TextRow:
    """One row of a label file.

    Args:
        number (int): Line number, from 1.
        category (str): Class name.
        box (tuple[float]): Centre x, centre y, width, height, normalised.
        region (tuple[float]): The four p of a sparse row, else empty.
        codes (dict[str, int | None]): Raw code by attribute name.
    """

    number: int
    category: str
    box: Tuple[float, float, float, float]
    region: Tuple[float, ...]
    codes: Mapping[str, Optional[int]]

    @property
    def where(self) -> str:
        """str: The row, for messages."""
        return f'line {self.number}'

    def centre(self, size: Tuple[int, int]) -> Tuple[float, float]:
        """Centre of the box.

        Args:
            size (tuple[int]): (width, height) of the image in pixels.

        Returns:
            tuple[float]: (x, y) in pixels.
        """
        return self.box[0] * size[0], self.box[1] * size[1]

    def corners(self, size: Tuple[int, int]) -> Box:
        """Corners of the box.

        Args:
            size (tuple[int]): (width, height) of the image in pixels.

        Returns:
            tuple[float]: (x1, y1, x2, y2) in pixels.
        """
        x, y = self.centre(size)
        half_width, half_height = (
            self.box[2] * size[0] / 2,
            self.box[3] * size[1] / 2,
        )
        return x - half_width, y - half_height, x + half_width, y + half_height


def list_label_files(
    folder: str, backend_args: Optional[dict] = None
) -> Dict[str, str]:
    """List the label files of a folder.

    Args:
        folder (str): The folder.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.

    Returns:
        dict[str, str]: Path by file name without suffix, sorted.

    Raises:
        FileNotFoundError: If there are none.
    """
    names = []
    if fileio.isdir(folder, backend_args):
        names = sorted(
            name
            for name in fileio.list_dir_or_file(
                folder,
                list_dir=False,
                suffix='.txt',
                backend_args=backend_args,
            )
            if name not in NOT_LABELS
        )
    if not names:
        raise FileNotFoundError(
            f'{folder}: no label files (*.txt) are there. Set `ann_file` to '
            'the folder that holds them.'
        )
    return {
        osp.splitext(name)[0]: fileio.join_path(
            folder, name, backend_args=backend_args
        )
        for name in names
    }


class YoloTextReader(BaseReader):
    """Reads YOLO text labels, one file an image and one row a cell.

    A row is ``cls x y w h`` (class of the authors' list, normalised centre
    box) and the seven attribute codes, or six without the cell size. An empty
    file states that the image holds no cell. An image without a file is stated
    nothing about: it is taken as not annotated, and counted.

    Args:
        args (tuple): Arguments of :class:`BaseReader`.
        classes (Sequence[str]): Class names by index. Defaults to those of
            the authors' list.
        columns (Sequence[str]): Names of the attribute columns. Defaults to
            LLD's seven.
        kwargs (dict): Keyword arguments of :class:`BaseReader`.
    """

    # Number of columns that state a region.
    region_columns = 0

    def __init__(
        self,
        *args,
        classes: Sequence[str] = LLD_CLASSES,
        columns: Sequence[str] = TEXT_ATTRIBUTES,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.classes = tuple(classes)
        self.layouts = self._make_layouts(columns)

    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields of one folder of label files.

        Args:
            source (str): The folder.

        Returns:
            list[FieldRecord]: One record an image of the image folder, sorted
            by file name.

        Raises:
            AnnotationError: If a row can't be understood.
            FileNotFoundError: If the labels are not there, or the images of
                some.
        """
        paths = list_label_files(source, self.backend_args)
        names = self.images.names_by_stem()
        self._check_images(paths, names, source)
        sizes = self.images.sizes(dict.fromkeys(names.values()))
        rows = {stem: self._read_rows(path) for stem, path in paths.items()}
        regions = self._read_regions(
            rows, {stem: sizes[names[stem]] for stem in paths}, paths
        )

        fields = []
        for stem, name in names.items():
            size = sizes[name]
            if stem not in paths:
                self.mends.add(
                    'images without a label file taken as not annotated',
                    self.images.join(name),
                )
            cells = [
                RawCell(
                    row.corners(size),
                    row.category,
                    tuple(row.codes.get(key) for key in self.schema.names),
                    False,
                    row.where,
                )
                for row in rows.get(stem, ())
            ]
            fields.append(
                mend_field(
                    name,
                    size,
                    cells,
                    self.schema,
                    paths.get(stem, source),
                    self.mends,
                    regions=regions[stem] if stem in paths else [],
                )
            )
        return fields

    def _make_layouts(
        self, columns: Sequence[str]
    ) -> Dict[int, Tuple[str, ...]]:
        """Map the number of columns of a row to its attribute names."""
        short = tuple(name for name in columns if name != OPTIONAL_ATTRIBUTE)
        return {
            5 + self.region_columns + len(layout): layout
            for layout in (tuple(columns), short)
        }

    def _check_images(
        self, paths: Mapping[str, str], names: Mapping[str, str], source: str
    ) -> None:
        """Raise if label files have no image."""
        missing = [stem for stem in paths if stem not in names]
        if missing:
            raise FileNotFoundError(
                f'{self.images.path}: {len(missing)} of {len(paths)} label '
                f'files of {source} have no image: {", ".join(missing[:5])}'
                f'{", ..." if len(missing) > 5 else ""}. Set `data_prefix` '
                'to where the images are, or complete the copy of the data.'
            )

    def _read_rows(self, path: str) -> List[TextRow]:
        """Read the rows of one label file."""
        text = fileio.get_text(path, backend_args=self.backend_args)
        return [
            self._parse_row(line.split(), path, number)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]

    def _parse_row(
        self, tokens: Sequence[str], path: str, number: int
    ) -> TextRow:
        """Parse one row.

        Raises:
            AnnotationError: If the row has another layout, a value that is no
                number, an unknown class, or a box in pixels.
        """
        record = f'line {number}'
        if len(tokens) not in self.layouts:
            raise AnnotationError(
                path,
                record,
                f'got {len(tokens)} columns, expected '
                f'{" or ".join(map(str, self.layouts))}',
                'Correct the row, or set `ann_format` to what the file is',
            )
        try:
            values = [float(token) for token in tokens]
        except ValueError:
            raise AnnotationError(
                path,
                record,
                f'got {" ".join(tokens)!r}, expected numbers',
                'Correct the row',
            ) from None
        if not (values[0].is_integer() and 0 <= values[0] < len(self.classes)):
            raise AnnotationError(
                path,
                record,
                f'got the class {tokens[0]}, expected 0 to '
                f'{len(self.classes) - 1}',
                'Correct the class',
            )
        if max(values[1:5]) > MAX_NORMALISED:
            raise AnnotationError(
                path,
                record,
                f'got the box {" ".join(tokens[1:5])}, expected centre, width '
                'and height as shares of the image',
                'Divide by the width and height of the image',
            )
        start = 5 + self.region_columns
        layout = self.layouts[len(tokens)]
        return TextRow(
            number=number,
            category=self.classes[int(values[0])],
            box=tuple(values[1:5]),
            region=tuple(values[5:start]),
            codes={
                name: parse_code(value, path, record, name)
                for name, value in zip(layout, values[start:])
            },
        )

    def _read_regions(
        self,
        rows: Mapping[str, List[TextRow]],
        sizes: Mapping[str, Tuple[int, int]],
        paths: Mapping[str, str],
    ) -> Dict[str, Optional[List[Box]]]:
        """Find the annotated regions of each image with a label file.

        Args:
            rows (Mapping[str, list[TextRow]]): Rows by image.
            sizes (Mapping[str, tuple[int]]): (width, height) in pixels by
                image.
            paths (Mapping[str, str]): Label file by image.

        Returns:
            dict[str, list[tuple[float]] | None]: None by image: annotated as
            a whole.
        """
        return dict.fromkeys(rows)
