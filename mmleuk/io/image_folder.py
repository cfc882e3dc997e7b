# Copyright (c) mmleuk authors. All rights reserved.
import io
import os
import os.path as osp
from typing import Dict, List, Mapping, Optional, Tuple

from mmengine import fileio

from .errors import AnnotationError
from .faults import (
    MISSING_IMAGE,
    NO_IMAGE,
    OUTSIDE_FOLDER,
    SHARED_LABELS,
    TURNED_IMAGE,
    Fault,
)
from .image_header import ImageHeader, read_header

Size = Tuple[int, int]

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


class ImageFolder:
    """The images that an annotation file speaks of.

    Args:
        path (str): The folder. Where it is empty, file names are paths in
            their own right and may lead anywhere.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None, the local disk.
        root (str): A folder around it: links may lead to wherever inside
            either. Defaults to '', ``path`` alone.
    """

    def __init__(
        self, path: str, backend_args: Optional[dict] = None, root: str = ''
    ) -> None:
        self.path = path
        self.backend_args = backend_args
        self._backend = fileio.get_file_backend(
            path, backend_args=backend_args
        )
        self._roots = tuple(
            osp.join(osp.realpath(folder), '')
            for folder in {path, root or path}
        )
        self._inside: Dict[str, bool] = {}

    def join(self, file_name: str) -> str:
        """Path of one image.

        Args:
            file_name (str): Its name, relative to the folder.

        Returns:
            str: The path.
        """
        return self._backend.join_path(self.path, file_name)

    def names_by_stem(self) -> Dict[str, str]:
        """List the images under the names that label files have.

        Returns:
            dict[str, str]: File name by file name without suffix, sorted.

        Raises:
            FileNotFoundError: If the folder is not there.
            AnnotationError: If two images differ in their suffix alone.
        """
        groups = self.group_by_stem()
        for names in groups.values():
            if len(names) > 1:
                raise AnnotationError(
                    self.path,
                    '',
                    f'{" and ".join(names)} would share one label file',
                    SHARED_LABELS.fix,
                    SHARED_LABELS,
                )
        return {stem: names[0] for stem, names in groups.items()}

    def group_by_stem(self) -> Dict[str, List[str]]:
        """Group the images by the names that label files have.

        Returns:
            dict[str, list[str]]: File names by file name without suffix,
            sorted.

        Raises:
            FileNotFoundError: If the folder is not there.
        """
        if not fileio.isdir(self.path, self.backend_args):
            raise FileNotFoundError(
                f'{self.path}: the image folder is not there. Set '
                '`data_root` and `data_prefix` to where the images are.'
            )
        groups: Dict[str, List[str]] = {}
        for name in sorted(
            fileio.list_dir_or_file(
                self.path, list_dir=False, backend_args=self.backend_args
            )
        ):
            stem, suffix = osp.splitext(name)
            if suffix.lower() in IMAGE_SUFFIXES:
                groups.setdefault(stem, []).append(name)
        return groups

    def sizes(self, stated: Mapping[str, Optional[Size]]) -> Dict[str, Size]:
        """Read the sizes of images, checking that all of them are there.

        Args:
            stated (Mapping[str, tuple[int] | None]): As for :meth:`look`.

        Returns:
            dict[str, tuple[int]]: (width, height) in pixels by file name.

        Raises:
            FileNotFoundError: If images are missing.
            AnnotationError: If a file can't be used.
        """
        headers = self.look(stated)
        self.refuse_missing(headers, 0)
        for name, header in headers.items():
            if header.fault is not None:
                raise AnnotationError(
                    self.join(name),
                    '',
                    'the file is not an image that can be used, it is one of '
                    f'the {header.fault}',
                    header.fault.fix,
                    header.fault,
                )
        return {name: header.size for name, header in headers.items()}

    def refuse_missing(
        self, headers: Mapping[str, ImageHeader], allowed: int
    ) -> None:
        """Raise if more images are missing than are allowed to.

        Args:
            headers (Mapping[str, ImageHeader]): From :meth:`look`.
            allowed (int): How many may be missing.

        Raises:
            FileNotFoundError: If so.
        """
        missing = [
            name
            for name, header in headers.items()
            if header.fault is MISSING_IMAGE
        ]
        if len(missing) > allowed:
            raise FileNotFoundError(
                f'{self.path}: {len(missing)} of {len(headers)} annotated '
                f'images are not there: {", ".join(missing[:5])}'
                f'{", ..." if len(missing) > 5 else ""}. Set `data_root` and '
                '`data_prefix` to where the images are, or complete the '
                'copy of the data.'
            )

    def look(
        self, stated: Mapping[str, Optional[Size]]
    ) -> Dict[str, ImageHeader]:
        """Look at images without decoding them.

        On the local disk every header is read. On other backends, where it
        means fetching the whole file, only those whose size nothing states
        are.

        Args:
            stated (Mapping[str, tuple[int] | None]): (width, height) in
                pixels that the annotations state, None where they do not, by
                file name.

        Returns:
            dict[str, ImageHeader]: By file name, with a fault where the image
            can't be used.
        """
        return {name: self._look(name, size) for name, size in stated.items()}

    def _look(self, name: str, stated: Optional[Size]) -> ImageHeader:
        """Look at one image."""
        fault = self._judge_name(name)
        if fault is not None:
            return ImageHeader(fault=fault)
        path = self.join(name)
        try:
            if self.backend_args is None:
                if self._leaves(path):
                    return ImageHeader(fault=OUTSIDE_FOLDER)
                image_file = open(path, 'rb', buffering=0)
            elif not fileio.exists(path, self.backend_args):
                return ImageHeader(fault=MISSING_IMAGE)
            elif stated is not None:
                return ImageHeader(stated)
            else:
                image_file = io.BytesIO(fileio.get(path, self.backend_args))
        except (FileNotFoundError, NotADirectoryError):
            return ImageHeader(fault=MISSING_IMAGE)
        except OSError:  # a folder, a name too long, no permission
            return ImageHeader(fault=NO_IMAGE)
        with image_file:
            header = read_header(image_file)
        if header.fault is None and header.orientation != 1:
            upright = header.stored == header.size
            if upright or stated != header.size:
                header.fault = TURNED_IMAGE
        return header

    def _judge_name(self, name: str) -> Optional[Fault]:
        """Find fault with a file name."""
        try:
            os.fsencode(name)
        except UnicodeEncodeError:  # half a surrogate pair
            return MISSING_IMAGE
        if '\0' in name:
            return MISSING_IMAGE
        if not self.path:
            return None
        parts = name.replace(os.sep, '/').split('/')
        if '..' in parts or '://' in name or osp.isabs(name):
            return OUTSIDE_FOLDER
        return None

    def _leaves(self, path: str) -> bool:
        """Tell whether links lead out of the folder and of its root."""
        if not self.path:
            return False
        folder = osp.dirname(path)
        if folder not in self._inside:
            self._inside[folder] = self._is_inside(folder)
        if osp.islink(path):
            return not self._is_inside(path)
        return not self._inside[folder]

    def _is_inside(self, path: str) -> bool:
        """Tell whether a path lies in the folder or its root, really."""
        real = osp.join(osp.realpath(path), '')
        return real.startswith(self._roots)
