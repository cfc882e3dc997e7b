# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
from typing import List, Optional, Sequence

import yaml
from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.readers import YoloTextReader
from mmleuk.io.source_files import MAX_BYTES, read_bytes
from mmleuk.structures.record import normalise_name

# Where tools leave the names of the classes: LabelImg and Label Studio,
# Darknet and CVAT, Ultralytics.
NAME_FILES = ('classes.txt', 'obj.names', 'data.yaml')


class YoloReader(YoloTextReader):
    """Reads plain YOLO labels: ``cls x y w h``, no attributes.

    Args:
        args (tuple): Arguments of :class:`YoloTextReader`.
        classes (Sequence[str]): Names of the classes by index.
        kwargs (dict): Other keyword arguments of :class:`YoloTextReader`.
    """

    def __init__(self, *args, classes: Sequence[str], **kwargs) -> None:
        super().__init__(
            *args,
            classes=tuple(map(normalise_name, classes)),
            columns=(),
            **kwargs,
        )


def find_class_names(
    folder: str,
    names_file: Optional[str] = None,
    max_bytes: int = MAX_BYTES,
    backend_args: Optional[dict] = None,
) -> List[str]:
    """Find the class names of a folder of YOLO labels.

    Args:
        folder (str): The folder.
        names_file (str, optional): The file that states them: one name a line
            or, with the suffix ``.yaml``, under ``names``. Defaults to None:
            one of ``NAME_FILES`` in the folder, or in one of the two above.
        max_bytes (int): Largest file to read. Defaults to ``MAX_BYTES``.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.

    Returns:
        list[str]: Names by index.

    Raises:
        AnnotationError: If the file states none.
        FileNotFoundError: If it is not there.
    """
    if names_file is None:
        # Paths of other backends can't be climbed.
        folders = [folder]
        if backend_args is None:
            parent = osp.dirname(osp.abspath(folder))
            folders += [parent, osp.dirname(parent)]
        candidates = [
            fileio.join_path(place, name, backend_args=backend_args)
            for place in folders
            for name in NAME_FILES
        ]
        names_file = next(
            (path for path in candidates if fileio.exists(path, backend_args)),
            None,
        )
        if names_file is None:
            raise FileNotFoundError(
                f'{folder}: no file of class names is there or in the two '
                f'folders above, expected one of {", ".join(NAME_FILES)}. '
                'Name it (--names)'
            )
    content = read_bytes(names_file, max_bytes, backend_args)
    try:
        text = content.decode('utf-8-sig')
        if names_file.endswith(('.yaml', '.yml')):
            names = yaml.safe_load(text)
            names = names.get('names') if isinstance(names, dict) else None
            if isinstance(names, dict) and sorted(names) == list(
                range(len(names))
            ):
                names = [names[index] for index in range(len(names))]
        else:
            names = [line for line in text.splitlines() if line.strip()]
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
        and names
        and all(isinstance(name, str) and name.strip() for name in names)
    ):
        raise AnnotationError(
            names_file,
            '',
            'the file states no list of class names',
            'Write one name a line, or "names: [a, b]" in YAML',
        )
    return names
