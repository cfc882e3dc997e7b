# Copyright (c) mmleuk authors. All rights reserved.
import io
import os
import os.path as osp
from typing import (
    BinaryIO,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)
from urllib.parse import parse_qs, unquote, urlsplit

from mmengine import fileio

from .errors import AnnotationError
from .faults import (
    MISSING_IMAGE,
    NO_IMAGE,
    OUTSIDE_FOLDER,
    TURNED_IMAGE,
    Fault,
    Outcome,
)
from .image_header import ImageHeader, read_header
from .issue_log import IssueLog
from .source_files import find_name_fault, leave_out_mac_files, split_name

Size = Tuple[int, int]

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')

# The image was turned by EXIF while it was annotated; EXIF was removed later.
EXCHANGED_SIDES = Fault(
    'images left out, their width and height are stated the other way round',
    Outcome.DROPPED,
    'width and height of an export that are height and width of the file',
    fix='Use the image as it was annotated',
)

# Label Studio puts eight hex digits and a dash before the name of a file that
# was uploaded in the browser.
UPLOAD_PREFIX = 9
HEX_DIGITS = frozenset('0123456789abcdef')


class ImageFolder:
    """The folder of the annotated images.

    Args:
        path (str): The folder. If it is empty, file names are paths and may
            lead anywhere.
        backend_args (dict, optional): Arguments of the file backend. None:
            the local disk.
        root (str): A folder around ``path``. Links may lead to any place
            inside it; '' for ``path`` alone.
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
        """Make the path of an image from its name in the folder."""
        return self._backend.join_path(self.path, file_name)

    def group_by_stem(
        self, issues: Optional[IssueLog] = None
    ) -> Dict[str, List[str]]:
        """Group the images by their names without suffix, sorted.

        Args:
            issues (IssueLog, optional): Where files of macOS are counted.

        Raises:
            FileNotFoundError: If the folder is not there.
        """
        if not fileio.isdir(self.path, self.backend_args):
            raise FileNotFoundError(
                f'{self.path}: the image folder is not there. Set '
                '`data_root` and `data_prefix` to where the images are.'
            )
        groups: Dict[str, List[str]] = {}
        names = fileio.list_dir_or_file(
            self.path, list_dir=False, backend_args=self.backend_args
        )
        for name in leave_out_mac_files(
            names, self.path, IMAGE_SUFFIXES, issues
        ):
            stem, suffix = osp.splitext(name)
            if suffix.lower() in IMAGE_SUFFIXES:
                groups.setdefault(stem, []).append(name)
        return groups

    def refuse_missing(
        self, headers: Mapping[str, ImageHeader], allowed: int
    ) -> None:
        """Raise an error if too many images are missing.

        Args:
            headers (Mapping[str, ImageHeader]): From :meth:`look`.
            allowed (int): How many may be missing.
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
                f'{", ..." if len(missing) > 5 else ""}. '
                f'{self._explain_missing(missing[0])}'
            )

    def _explain_missing(self, name: str) -> str:
        """Say what to do about missing images."""
        return (
            'Set `data_root` and `data_prefix` to where the images are, or '
            'complete the copy of the data.'
        )

    def look(
        self, stated: Mapping[str, Optional[Size]]
    ) -> Dict[str, ImageHeader]:
        """Read the headers of images.

        On the local disk every header is read. Other backends would have to
        fetch the whole file, so there the stated size is believed.

        Args:
            stated (Mapping[str, tuple[int] | None]): (width, height) in
                pixels as annotated, None where it is not stated, by file
                name.

        Returns:
            dict[str, ImageHeader]: By file name, with a fault where the image
            can't be used.
        """
        return {name: self._look(name, size) for name, size in stated.items()}

    def _look(self, name: str, stated: Optional[Size]) -> ImageHeader:
        """Read the header of one image."""
        parts = name.replace(os.sep, '/').split('/')
        is_path = '..' in parts or '://' in name or osp.isabs(name)
        if self.path and is_path:
            return ImageHeader(fault=OUTSIDE_FOLDER)
        path = self.join(name)
        try:
            # Half a surrogate pair, and a null byte, can't be in a name.
            if b'\0' in os.fsencode(name):
                return ImageHeader(fault=MISSING_IMAGE)
            if self.backend_args is None:
                if self._leaves(path):
                    return ImageHeader(fault=OUTSIDE_FOLDER)
                image_file: BinaryIO = open(path, 'rb', buffering=0)
            elif not fileio.exists(path, self.backend_args):
                return ImageHeader(fault=MISSING_IMAGE)
            elif stated is not None:
                return ImageHeader(stated)
            else:
                image_file = io.BytesIO(fileio.get(path, self.backend_args))
        except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
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

    def _leaves(self, path: str) -> bool:
        """Tell whether links lead out of the folder and its root."""
        if not self.path:
            return False
        folder = osp.dirname(path)
        if folder not in self._inside:
            self._inside[folder] = self._is_inside(folder)
        if osp.islink(path):
            return not self._is_inside(path)
        return not self._inside[folder]

    def _is_inside(self, path: str) -> bool:
        """Tell whether a path, its links resolved, lies inside the roots."""
        real = osp.join(osp.realpath(path), '')
        return real.startswith(self._roots)


class ExportImages(ImageFolder):
    """A local folder that is searched for the images which an export states.

    Labelling tools state paths and URLs of their own server. Such a name is
    only text: parts of it are compared to the files inside the folder.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._found: Dict[str, str] = {}
        self._stems: Optional[Dict[str, List[str]]] = None
        self._tried: Dict[str, List[str]] = {}

    def find(self, stated: str, place: str, own_name: str = '') -> str:
        """Find the image that an export states.

        Tried are, in this order: the path, the ends of the path from the
        longest to the file name, the file name without the prefix of an
        upload to Label Studio, and each of these with the suffix that is
        missing.

        Args:
            stated (str): Name, path or URL as stated.
            place (str): Annotation file and record, for the message.
            own_name (str): Name of the annotation file without its suffix,
                where each image has a file. An image of this name is
                preferred to one of another name.

        Returns:
            str: Name of the image, relative to the folder. If none is found,
            the stated path without ``..``.

        Raises:
            AnnotationError: If ``stated`` can't be a path, or its image was
                found before.
        """
        fault = find_name_fault(stated)
        if fault is not None:
            raise AnnotationError(
                place,
                '',
                f'the image name {stated[:120]!r} {fault}, expected the path '
                'of an image',
                'Correct the name',
            )
        tried: List[str] = []
        name = self._search(_list_candidates(stated), tried)
        stem = osp.basename(own_name)
        if stem and stem not in (name, osp.splitext(osp.basename(name))[0]):
            name = self._search(_list_candidates(own_name), tried) or name
        if not name:
            name = '/'.join(split_name(stated)) or stated
            self._tried[name] = tried
        other = self._found.setdefault(name, place)
        if other != place:
            raise AnnotationError(
                place,
                '',
                f'the image {name} is annotated here and in {other}, '
                'expected one record an image',
                'Merge the records if they are of one image. If they are of '
                'two, name the folder that has both under the paths stated',
            )
        return name

    def _search(self, candidates: Sequence[str], tried: List[str]) -> str:
        """Find the first candidate that is there, '' if none is."""
        tried += candidates
        for name in candidates:
            if osp.isfile(self.join(name)):
                return name
        for name in candidates:
            if osp.splitext(name)[1].lower() not in IMAGE_SUFFIXES:
                names = self._list_stems().get(name, ())
                if len(names) == 1:
                    return names[0]
        return ''

    def _list_stems(self) -> Dict[str, List[str]]:
        """List the images of all subfolders by name without suffix."""
        if self._stems is None:
            self._stems = {}
            for folder, _, names in os.walk(self.path):
                for name in leave_out_mac_files(names, folder, ()):
                    path = osp.relpath(osp.join(folder, name), self.path)
                    stem, suffix = osp.splitext(path.replace(os.sep, '/'))
                    if suffix.lower() in IMAGE_SUFFIXES:
                        self._stems.setdefault(stem, []).append(stem + suffix)
        return self._stems

    def _explain_missing(self, name: str) -> str:
        """Say what was tried to find a missing image."""
        tried = ', '.join(map(repr, self._tried.get(name, [name])))
        return (
            f'For the first one, {tried} was looked for in that folder, as '
            'written and with a suffix added. Name the folder of the images '
            '(--images), or complete it.'
        )

    def _look(self, name: str, stated: Optional[Size]) -> ImageHeader:
        """Read a header; sides stated the other way round are a fault."""
        header = super()._look(name, stated)
        width, height = header.size
        if header.fault is None and stated == (height, width) != header.size:
            header.fault = EXCHANGED_SIDES
        return header


def _list_candidates(stated: str) -> List[str]:
    """List the names that an image may have, the most exact first."""
    names: Dict[str, None] = {}
    for path in _list_paths(stated):
        parts = split_name(path)
        for start in range(len(parts)):
            names['/'.join(parts[start:])] = None
        last = parts[-1] if parts else ''
        digits, dash, rest = last.partition('-')
        if (
            len(digits + dash) == UPLOAD_PREFIX
            and HEX_DIGITS.issuperset(digits)
            and rest
        ):
            names[rest] = None
    return list(names)


def _list_paths(stated: str) -> Iterator[str]:
    """List what may be the path: the name itself, or what a URL holds."""
    if '://' not in stated and not stated.startswith('/data/'):
        yield stated
        return
    try:
        url = urlsplit(stated)
        yield from parse_qs(url.query).get('d', [])
        yield unquote(url.path)
    except ValueError:  # no URL
        yield stated
