# Copyright (c) mmleuk authors. All rights reserved.
import os
import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmdet.apis.det_inferencer import IMG_EXTENSIONS

from mmleuk.datasets.naming import LLD_SUBSETS, parse_field_name

from .window_readers import SLIDE_EXTENSIONS, WindowReader

Source = Union[str, os.PathLike, np.ndarray, WindowReader]


@dataclass(frozen=True)
class ImageInput:
    """One image to predict.

    Args:
        file (str): Its name in the results, ``/`` between folders.
        source (str | np.ndarray | WindowReader): Its path, or the image.
    """

    file: str
    source: Union[str, np.ndarray, WindowReader]

    def describe(self, patient_from_folder: bool = False) -> Dict[str, str]:
        """Parse the names of the file and its folders.

        Args:
            patient_from_folder (bool): Whether the folder of the image names
                the patient where the file name doesn't.

        Returns:
            dict[str, str | None]: ``patient``, ``field``, ``magnification``,
            ``diagnosis`` and ``subset``; empty for an array.
        """
        if not isinstance(self.source, str):
            return {}
        path = Path(self.source)
        record = parse_field_name(path.name)._asdict()
        if patient_from_folder and record['patient'] is None:
            record['patient'] = path.parent.name or None
        subsets = [
            folder.upper()
            for folder in path.parts[:-1]
            if folder.upper() in LLD_SUBSETS
        ]
        return dict(record, subset=subsets[-1] if subsets else None)


def list_images(
    inputs: Union[Source, Sequence[Source]],
    recursive: bool = False,
    with_slides: bool = False,
) -> Tuple[List[ImageInput], Optional[str]]:
    """List the images of an input.

    Args:
        inputs (str | np.ndarray | WindowReader | Sequence): A path of an
            image or a folder, an image, or a list of paths and images.
        recursive (bool): Whether to search folders in a folder.
        with_slides (bool): Whether to list slides in a folder, too.

    Returns:
        tuple[list[ImageInput], str | None]: The images, those of a folder
        sorted by name, and the folder that their names are relative to; None
        if no image is a file.

    Raises:
        FileNotFoundError: If a single path does not exist.
        ValueError: If there is no image.
        TypeError: If the input is something else.
    """
    if isinstance(inputs, (str, os.PathLike)):
        path = osp.abspath(inputs)
        if not osp.exists(path):
            raise FileNotFoundError(
                f'there is no image or folder {os.fspath(inputs)}'
            )
        if osp.isdir(path):
            return _list_folder(path, recursive, with_slides), path
    if isinstance(inputs, (str, os.PathLike, np.ndarray, WindowReader)):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(
            f'got an input of type {type(inputs).__name__}, expected the path '
            'of an image or a folder, an image, or a list of them'
        )
    if not inputs:
        raise ValueError('got no image, expected at least one')
    folders = [
        osp.dirname(osp.abspath(item))
        for item in inputs
        if isinstance(item, (str, os.PathLike))
    ]
    root = osp.commonpath(folders) if folders else None
    images = []
    for index, item in enumerate(inputs):
        if isinstance(item, (str, os.PathLike)):
            images.append(_from_file(osp.abspath(item), root))
        elif isinstance(item, (np.ndarray, WindowReader)):
            images.append(ImageInput(f'image_{index:06d}', item))
        else:
            raise TypeError(
                f'input {index} is of type {type(item).__name__}, expected a '
                'path, a NumPy array or a WindowReader'
            )
    return images, root


def _list_folder(
    folder: str, recursive: bool, with_slides: bool
) -> List[ImageInput]:
    """List images of a folder, without hidden files."""
    extensions = IMG_EXTENSIONS + (SLIDE_EXTENSIONS if with_slides else ())
    images = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(folders) if recursive else []
        for name in sorted(files):
            if name.lower().endswith(extensions) and name[0] != '.':
                images.append(_from_file(osp.join(parent, name), folder))
    if not images:
        hint = '' if recursive else ', or folders of them with `recursive`'
        raise ValueError(
            f'{folder} holds no image, expected files ending in '
            f'{", ".join(extensions)}{hint}'
        )
    return images


def _from_file(path: str, root: str) -> ImageInput:
    name = Path(path).relative_to(root).as_posix()
    # A name that is no UTF-8 can be opened, not written.
    name = os.fsencode(name).decode('utf-8', 'replace')
    return ImageInput(name, path)
