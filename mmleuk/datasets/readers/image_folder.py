# Copyright (c) mmleuk authors. All rights reserved.
import io
import os.path as osp
from typing import Dict, Mapping, Optional, Tuple

from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from .record import AnnotationError

Size = Tuple[int, int]

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')

# EXIF's tag 274 of a JPEG says how the camera was held; from 5 on, the stored
# rows are the columns of what the loader returns.
EXIF_ORIENTATION = 274
EXIF_TRANSPOSED = (5, 6, 7, 8)


class ImageFolder:
    """The images that an annotation file speaks of.

    Args:
        path (str): The folder.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None, the local disk.
    """

    def __init__(self, path: str, backend_args: Optional[dict] = None) -> None:
        self.path = path
        self.backend_args = backend_args

    def join(self, file_name: str) -> str:
        """Path of one image.

        Args:
            file_name (str): Its name, relative to the folder.

        Returns:
            str: The path.
        """
        return fileio.join_path(
            self.path, file_name, backend_args=self.backend_args
        )

    def names_by_stem(self) -> Dict[str, str]:
        """List the images under the names that label files have.

        Returns:
            dict[str, str]: File name by file name without suffix, sorted.

        Raises:
            FileNotFoundError: If the folder is not there.
            AnnotationError: If two images differ in their suffix alone.
        """
        if not fileio.isdir(self.path, self.backend_args):
            raise FileNotFoundError(
                f'{self.path}: the image folder is not there. Set '
                '`data_root` and `data_prefix` to where the images are.'
            )
        names: Dict[str, str] = {}
        for name in sorted(
            fileio.list_dir_or_file(
                self.path, list_dir=False, backend_args=self.backend_args
            )
        ):
            stem, suffix = osp.splitext(name)
            if suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if stem in names:
                raise AnnotationError(
                    self.path,
                    '',
                    f'{names[stem]} and {name} would share one label file',
                    'Keep one of them',
                )
            names[stem] = name
        return names

    def sizes(self, stated: Mapping[str, Optional[Size]]) -> Dict[str, Size]:
        """Read the sizes of images, checking that all of them are there.

        On the local disk every header is read, which takes about 0.1 ms an
        image. On other backends, where it means fetching the whole file, only
        sizes that nothing states are.

        Args:
            stated (Mapping[str, tuple[int] | None]): (width, height) in
                pixels that the annotations state, None where they do not, by
                file name.

        Returns:
            dict[str, tuple[int]]: (width, height) in pixels by file name.

        Raises:
            FileNotFoundError: If images are missing.
            AnnotationError: If a file is not an image.
        """
        sizes, missing = {}, []
        for name, size in stated.items():
            path = self.join(name)
            if self.backend_args is not None and size is not None:
                found = fileio.exists(path, self.backend_args)
            else:
                size = self._read_size(path)
                found = size is not None
            if found:
                sizes[name] = size
            else:
                missing.append(name)
        if missing:
            raise FileNotFoundError(
                f'{self.path}: {len(missing)} of {len(stated)} annotated '
                f'images are not there: {", ".join(missing[:5])}'
                f'{", ..." if len(missing) > 5 else ""}. Set `data_root` and '
                '`data_prefix` to where the images are, or complete the '
                'copy of the data.'
            )
        return sizes

    def _read_size(self, path: str) -> Optional[Size]:
        """Read (width, height) in pixels as the loader will see them.

        Returns:
            tuple[int] | None: None if the file is not there.
        """
        try:
            if self.backend_args is None:
                image_file = open(path, 'rb')
            elif fileio.exists(path, self.backend_args):
                image_file = io.BytesIO(fileio.get(path, self.backend_args))
            else:
                return None
        except FileNotFoundError:
            return None
        with image_file:
            try:
                with Image.open(image_file) as image:
                    width, height = image.size
                    # Of a PNG, this would decode the whole image.
                    exif = image.getexif() if image.format == 'JPEG' else {}
            except UnidentifiedImageError:
                raise AnnotationError(
                    path,
                    '',
                    'the file is not an image that can be read',
                    'Copy it anew',
                ) from None
        if exif.get(EXIF_ORIENTATION) in EXIF_TRANSPOSED:
            width, height = height, width
        return width, height
