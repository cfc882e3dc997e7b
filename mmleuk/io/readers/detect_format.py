# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Optional, Type

from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import ROW_WIDTH

from .base_reader import BaseReader
from .lld_json import JsonReader, SparseJsonReader
from .sparse_text import SparseTextReader
from .yolo_text import TEXT_ATTRIBUTES, YoloTextReader, list_label_files

# Readers by the names that `ann_format` takes.
READERS: Dict[str, Type[BaseReader]] = {
    'json': JsonReader,
    'sparse_json': SparseJsonReader,
    'text': YoloTextReader,
    'sparse_text': SparseTextReader,
}


def _detect_text(folder: str, backend_args: Optional[dict]) -> str:
    """Tell the text format by the columns of the first valid row."""
    paths = list_label_files(folder, backend_args)
    full = 5 + len(TEXT_ATTRIBUTES)
    formats = {
        full: 'text',
        full - 1: 'text',
        full + 4: 'sparse_text',
        full + 3: 'sparse_text',
    }
    first_other = None
    for path in paths.values():
        data = fileio.get(path, backend_args=backend_args)
        # The reader rejects what is no text.
        for number, line in enumerate(data.splitlines(), 1):
            columns = len(line.split())
            if columns in formats:
                return formats[columns]
            if columns and first_other is None:
                first_other = path, number, columns
    if first_other is not None:
        path, number, columns = first_other
        raise AnnotationError(
            path,
            f'line {number}',
            f'got {columns} columns, expected 12 or 11 (text) or 16 or 15 '
            '(sparse text), as in no row of the folder',
            ROW_WIDTH.fix,
            ROW_WIDTH,
        )
    raise AnnotationError(
        folder,
        '',
        f'all {len(paths)} label files are empty, so that nothing '
        'tells whether their images hold no cell or are not annotated',
        'Set ann_format="text" or "sparse_text"',
    )


def detect_format(source: str, backend_args: Optional[dict] = None) -> str:
    """Tell the format of annotations.

    Args:
        source (str): A JSON file, or a folder of label files.
        backend_args (dict, optional): Arguments of the file backend.

    Returns:
        str: A key of ``READERS``.

    Raises:
        AnnotationError: If the rows do not tell.
        FileNotFoundError: If nothing is there.
    """
    if fileio.isdir(source, backend_args):
        return _detect_text(source, backend_args)
    if not fileio.exists(source, backend_args):
        raise FileNotFoundError(
            f'{source}: no annotations are there. Set `ann_file` to a JSON '
            'file or a folder of label files.'
        )
    # It reads files without regions as well.
    return 'sparse_json'
