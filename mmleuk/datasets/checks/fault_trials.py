# Copyright (c) mmleuk authors. All rights reserved.
"""Puts every fault of the list into good data, and sees what becomes of it.

A trial passes if the fault is counted under its kind and nothing else is, if
every good cell beside it is read exactly as without the fault, if what was
read is what was kept and what was removed, and if ``strict=True`` raises.
"""

import json
import math
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image

from mmleuk.datasets.lld import LLDDataset
from mmleuk.io import faults
from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import Fault, Outcome

from .examine import Source, examine
from .faulty_dataset import (
    CODES,
    REGION,
    SIZE,
    SPARE_BOX,
    FaultyDataset,
    signatures,
)
from .quiet_log import quiet_log

NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Trial:
    """One fault, put into good data.

    Args:
        name (str): What is wrong.
        fault (Fault): The kind that it must be counted as.
        inject (Callable): Puts it into a :class:`FaultyDataset`.
        layout (str): Format of the data.
        adds (int): Cells in the records beyond the good ones.
        number (int): How often the fault is counted.
        also (Sequence[Fault]): What is counted besides, once each.
        twin (bool): Whether a second data set, the split test, is given.
    """

    name: str
    fault: Fault
    inject: Callable[..., Any]
    layout: str = 'json'
    adds: int = 0
    number: int = 1
    also: Sequence[Fault] = ()
    twin: bool = False


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial.

    Args:
        trial (Trial): The trial.
        problem (str): What is wrong with the outcome, empty if nothing is.
    """

    trial: Trial
    problem: str = ''


TRIALS: List[Trial] = []


def _trial(fault: Fault, name: str, **kwargs: Any) -> Callable:
    """Add a function to the trials."""

    def add(inject: Callable) -> Callable:
        TRIALS.append(Trial(name, fault, inject, **kwargs))
        return inject

    return add


def _trials(fault: Fault, cases: Dict[str, Any], **kwargs: Any) -> Callable:
    """Add a function to the trials, once for each value."""

    def add(inject: Callable) -> Callable:
        for name, value in cases.items():
            TRIALS.append(
                Trial(
                    name,
                    fault,
                    lambda data, value=value: inject(data, value),
                    **kwargs,
                )
            )
        return inject

    return add


# --- cells -----------------------------------------------------------------


@_trial(faults.REPEATED_BOX, 'an exact duplicate')
def _(data: FaultyDataset) -> None:
    data.annotations.append(dict(data.annotations[-1], id=99))


@_trial(
    faults.REPEATED_ATTRIBUTE,
    'duplicates with another code',
    adds=1,
    also=[faults.REPEATED_BOX],
)
def _(data: FaultyDataset) -> None:
    data.add_cell()
    data.add_cell(nucleolus=0)


@_trial(
    faults.REPEATED_CLASS,
    'duplicates with another class',
    adds=1,
    also=[faults.REPEATED_BOX],
)
def _(data: FaultyDataset) -> None:
    data.add_cell()
    data.add_cell(category_id=2)


@_trials(
    faults.OVER_EDGE,
    {
        'a box over the left edge': [-5, 20, 10, 10],
        'a box over the lower right corner': [58, 40, 30, 30],
    },
    adds=1,
)
def _(data: FaultyDataset, bbox: list) -> None:
    data.add_cell(bbox)


@_trials(
    faults.NO_AREA,
    {
        'a box outside the image': [70, 10, 9, 9],
        'a box of zero width': [20, 30, 0, 9],
        'a box of negative height': [20, 30, 9, -9],
        'a box thinner than a pixel': [20, 30, 0.5, 9],
    },
)
def _(data: FaultyDataset, bbox: list) -> None:
    data.add_cell(bbox)


@_trials(
    faults.NOT_FINITE,
    {
        'NaN in a box': [NAN, 1, 9, 9],
        'infinity in a box': [1, 1, INF, 9],
        'an integer of 400 digits in a box': [10**400, 1, 9, 9],
        'a box that overflows': [1e308, 1, 1e308, 9],
    },
)
def _(data: FaultyDataset, bbox: list) -> None:
    data.add_cell(bbox)


@_trials(
    faults.MALFORMED_BOX,
    {
        'no box': None,
        'a box of three numbers': [1, 1, 9],
        'a box of words': ['1', '1', '9', '9'],
        'a box of truth values': [True, 1, 9, 9],
    },
)
def _(data: FaultyDataset, bbox: Any) -> None:
    data.add_cell(bbox)


@_trials(
    faults.MALFORMED_BOX,
    {'an annotation that is a number': 7, 'an annotation that is null': None},
)
def _(data: FaultyDataset, annotation: Any) -> None:
    data.annotations.append(annotation)


@_trials(
    faults.UNKNOWN_CATEGORY,
    {
        'a category_id that is not listed': 14,
        'a category_id that is a list': [1],
        'no category_id': None,
    },
    adds=1,
)
def _(data: FaultyDataset, category_id: Any) -> None:
    data.add_cell(category_id=category_id)


@_trials(
    faults.UNCLEAR_CROWD,
    {'iscrowd "no"': 'no', 'iscrowd 2': 2, 'iscrowd NaN': NAN},
    adds=1,
)
def _(data: FaultyDataset, flag: Any) -> None:
    data.add_cell(iscrowd=flag)


@_trial(faults.REPEATED_ANNOTATION_ID, 'two annotations of one id', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(id=0)


@_trials(
    faults.LOST_ANNOTATION,
    {
        'an image_id that is not listed': 7,
        'no image_id': None,
        'an image_id that is a list': [100],
        'an image_id of NaN': NAN,
    },
)
def _(data: FaultyDataset, image_id: Any) -> None:
    data.add_cell(image_id=image_id)


# --- attributes ------------------------------------------------------------


@_trials(
    faults.STRANGE_CODE,
    {'the code 3': 3, 'the code -7': -7, 'a code of 400 digits': 10**400},
    adds=1,
)
def _(data: FaultyDataset, code: Any) -> None:
    data.add_cell(nucleolus=code)


@_trials(
    faults.MALFORMED_CODE,
    {
        'the code "prominent"': 'prominent',
        'the code 0.5': 0.5,
        'the code NaN': NAN,
        'the code true': True,
        'the code [1]': [1],
    },
    adds=1,
)
def _(data: FaultyDataset, code: Any) -> None:
    data.add_cell(nucleolus=code)


@_trial(faults.MALFORMED_CODE, '"attributes" that is a list', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(attributes=[1, 2])


@_trial(faults.CODE_CONFLICT, 'a code flat and nested, differing', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(attributes=dict(nucleolus=0))


@_trial(faults.CODE_CONFLICT, 'a code under both spellings', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(nuclear_chromatin=0)


# --- rows of text ----------------------------------------------------------


@_trials(
    faults.ROW_WIDTH,
    {
        'a row cut off': '1 0.5 0.5 0.2',
        'a row of COCO-like columns': '1 .5 .5 .2 .2',
        'a row with a column too many': ' '.join(
            ['1 .5 .5 .2 .2', *'00000000']
        ),
    },
    layout='text',
)
def _(data: FaultyDataset, row: str) -> None:
    data.add_row(row)


@_trials(
    faults.ROW_WORDS,
    {'a word in the box': ('x', '.5', '.2', '.2')},
    layout='text',
)
def _(data: FaultyDataset, box: Sequence[str]) -> None:
    data.add_row(data.row(box=box))


@_trial(faults.ROW_PIXELS, 'a box in pixels', layout='text')
def _(data: FaultyDataset) -> None:
    data.add_row(data.row(box=(30, 20, 10, 10)))


@_trials(
    faults.NOT_FINITE,
    {'nan in a row': 'nan', 'inf in a row': 'inf'},
    layout='text',
)
def _(data: FaultyDataset, word: str) -> None:
    data.add_row(data.row(box=(word, '.5', '.2', '.2')))


@_trials(
    faults.UNKNOWN_CATEGORY,
    {
        'the class 14 in a row': 14,
        'the class -1 in a row': -1,
        'the class 1.5 in a row': 1.5,
        'a class name in a row': 'lymphoblast',
    },
    layout='text',
    adds=1,
)
def _(data: FaultyDataset, category: Any) -> None:
    data.add_row(data.row(category=category))


@_trial(faults.MALFORMED_CODE, 'a code in words', layout='text', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_row(data.row(codes=('large', *CODES[1:])))


@_trial(faults.LABELS_WITHOUT_IMAGE, 'a lonely label file', layout='text')
def _(data: FaultyDataset) -> None:
    data.rows['lonely'] = [data.row()]


@_trial(
    faults.UNREADABLE_LABELS, 'a label file in UTF-16', layout='text', adds=0
)
def _(data: FaultyDataset) -> None:
    data.add_image('bad.png')
    data.write()
    path = data.folder / 'labels' / 'bad.txt'
    path.write_bytes(data.row().encode('utf-16'))
    del data.rows['bad']


@_trial(faults.BYTE_ORDER_MARK, 'a label file with BOM', layout='text', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_row(data.row())
    rows = data.rows['5_1_1000_ALL']
    rows[0] = '\ufeff' + rows[0]


@_trial(
    faults.IMAGE_WITHOUT_LABELS, 'an image without label file', layout='text'
)
def _(data: FaultyDataset) -> None:
    data.draw('unlabelled.png')


@_trial(
    faults.SHARED_LABELS,
    'a.png beside a.jpg',
    layout='text',
    number=2,
    also=[faults.LABELS_WITHOUT_IMAGE],
)
def _(data: FaultyDataset) -> None:
    data.add_image('a.png')
    data.add_row(data.row())
    data.draw('a.jpg')


# --- regions ---------------------------------------------------------------


def _add_region(data: FaultyDataset, region: Any) -> None:
    """Add a region to the last image."""
    data.images[-1]['annotated_regions'].append(region)


@_trials(
    faults.NO_RECTANGLE,
    {
        'a region with left and right exchanged': [30, 32, 10, 44],
        'a region with top and bottom exchanged': [10, 44, 30, 32],
        'a region in the order x1 x2 y1 y2': [30, 50, 32, 44],
        'NaN in a region': [NAN, 32, 30, 44],
        'an integer of 400 digits in a region': [1, 32, 10**400, 44],
    },
    layout='sparse_json',
)
def _(data: FaultyDataset, region: list) -> None:
    _add_region(data, region)


@_trials(
    faults.EMPTY_REGION,
    {
        'a region of no width': [10, 32, 10, 44],
        'a region outside the image': [70, 32, 90, 44],
    },
    layout='sparse_json',
)
def _(data: FaultyDataset, region: list) -> None:
    _add_region(data, region)


@_trial(
    faults.REGION_OVER_EDGE, 'a region over the edge', layout='sparse_json'
)
def _(data: FaultyDataset) -> None:
    _add_region(data, [30, 32, 90, 44])


@_trial(faults.REPEATED_REGION, 'a region twice', layout='sparse_json')
def _(data: FaultyDataset) -> None:
    _add_region(data, list(REGION))


@_trial(
    faults.OVERLAPPING_REGIONS, 'overlapping regions', layout='sparse_json'
)
def _(data: FaultyDataset) -> None:
    _add_region(data, [30, 20, 50, 44])


@_trials(
    faults.MALFORMED_REGIONS,
    {
        'regions that are null': None,
        'one region without a list around it': list(REGION),
        'a region of three numbers': [[1, 2, 3]],
        'regions in words': 'all',
    },
    layout='sparse_json',
)
def _(data: FaultyDataset, regions: Any) -> None:
    data.add_image('bad.png', annotated_regions=regions)


@_trial(
    faults.MALFORMED_REGIONS,
    'entries of an image with different regions',
    layout='sparse_json',
    also=[faults.REPEATED_IMAGE],
)
def _(data: FaultyDataset) -> None:
    entry = data.add_image('bad.png')
    data.images.append(dict(entry, annotated_regions=[]))


@_trial(
    faults.OUTSIDE_REGION,
    'a cell outside the regions of its image',
    layout='sparse_json',
    adds=1,
)
def _(data: FaultyDataset) -> None:
    data.add_cell((10, 36, 8, 8))


@_trial(
    faults.OUTSIDE_REGION,
    'a cell outside the rectangle of its row',
    layout='sparse_text',
    adds=1,
)
def _(data: FaultyDataset) -> None:
    data.add_cell((10, 36, 8, 8))


@_trial(
    faults.NO_RECTANGLE,
    'a rectangle of a row reversed',
    layout='sparse_text',
    adds=1,
)
def _(data: FaultyDataset) -> None:
    data.add_row(data.row(region=(60, 30, 4, 2)))


@_trial(faults.REGION_ORDER, 'rectangles in two orders', layout='sparse_text')
def _(data: FaultyDataset) -> None:
    x1, y1, x2, y2 = REGION
    data.add_row(data.row(region=(x1, x2, y1, y2)))


@_trial(faults.REGION_ORDER, 'rectangles around no cell', layout='sparse_text')
def _(data: FaultyDataset) -> None:
    for rows in data.rows.values():
        rows[:] = [data.row(region=(0, 0, 2, 2)) for _ in rows]


@_trial(
    faults.REGION_ORDER,
    'rectangles that fit both orders',
    layout='sparse_text',
)
def _(data: FaultyDataset) -> None:
    for rows in data.rows.values():
        row = data.row((12, 32, 6, 6), region=(10, 20, 30, 40))
        rows[:] = [row]


# --- image entries and files -----------------------------------------------


@_trials(
    faults.MALFORMED_IMAGE,
    {
        'an image entry that is a number': 7,
        'an image entry without id': dict(file_name='a.png'),
        'an image entry without file name': dict(id=7),
        'an image entry with an empty file name': dict(id=7, file_name=''),
    },
)
def _(data: FaultyDataset, entry: Any) -> None:
    data.images.append(entry)


@_trials(
    faults.REPEATED_IMAGE,
    {'an image entry twice': 0, 'an image under two ids': 50},
    adds=1,
)
def _(data: FaultyDataset, shift: int) -> None:
    entry = data.images[-1]
    data.images.append(dict(entry, id=entry['id'] + shift))
    data.add_cell()


@_trial(
    faults.SHARED_IMAGE_ID,
    'two images of one id',
    number=2,
    also=[faults.ANNOTATION_OF_DROPPED],
)
def _(data: FaultyDataset) -> None:
    data.add_image('a.png', id=7)
    data.add_image('b.png', id=7)
    data.add_cell()


@_trial(faults.ID_AS_STRING, 'an image_id as a string', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(image_id=str(data.images[-1]['id']))


@_trial(faults.ID_AS_STRING, 'an id of an image as a string', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_image('more.png', id='500')
    data.add_cell(image_id=500)


@_trial(faults.ID_AS_STRING, 'a category_id as a string', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell(category_id='1')


def _add_bad_image(
    data: FaultyDataset, name: str = 'bad.png', **kwargs
) -> Path:
    """Add an image with one cell, which shall be dropped with it."""
    data.add_image(name, **kwargs)
    data.add_cell()
    return data.image_path(name)


_LOST_CELL = dict(also=[faults.ANNOTATION_OF_DROPPED])


@_trials(
    faults.OUTSIDE_FOLDER,
    {
        'an absolute file name': '{folder}/elsewhere.png',
        'a file name with ..': '../elsewhere.png',
        'a file name with .. inside': 'a/../../elsewhere.png',
        'the address of a web page': 'https://example.org/a.png',
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, name: str) -> None:
    data.picture('elsewhere').save(data.folder / 'elsewhere.png')
    _add_bad_image(data, name.format(folder=data.folder), draw=False)


@_trial(faults.OUTSIDE_FOLDER, 'a link out of the root', **_LOST_CELL)
def _(data: FaultyDataset) -> None:
    path = _add_bad_image(data)
    elsewhere = data.folder.parent / f'{data.folder.name}_elsewhere.png'
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@_trial(faults.OUTSIDE_FOLDER, 'a linked folder out of the root', **_LOST_CELL)
def _(data: FaultyDataset) -> None:
    elsewhere = data.folder.parent / f'{data.folder.name}_elsewhere'
    elsewhere.mkdir()
    data.picture('bad').save(elsewhere / 'bad.png')
    (data.folder / 'images' / 'linked').symlink_to(elsewhere)
    _add_bad_image(data, 'linked/bad.png', draw=False)


@_trials(
    faults.MISSING_IMAGE,
    {
        'a missing image': 'bad.png',
        'a file name with a zero byte': 'bad\0.png',
        'a file name of half a surrogate pair': 'bad\ud800.png',
        'a file taken for a folder': '0_1_1000_ALL.png/bad.png',
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, name: str) -> None:
    _add_bad_image(data, name, draw=False)


def _png_head(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    chunks = [
        (b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)),
        (b'IDAT', zlib.compress(bytes(100))),
        (b'IEND', b''),
    ]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body))
        + name
        + body
        + struct.pack('>I', zlib.crc32(name + body))
        for name, body in chunks
    )


@_trials(
    faults.NO_IMAGE,
    {
        'an image of zero bytes': b'',
        'a text with the name of an image': b'no image at all',
        'a PNG with a broken header': b'\x89PNG\r\n\x1a\nbroken' * 9,
        'a PNG without a column': _png_head(0, 9),
        'the start of a JPEG': b'\xff\xd8\xff\xe0\x00\x10JFIF',
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, content: bytes) -> None:
    _add_bad_image(data).write_bytes(content)


@_trial(faults.NO_IMAGE, 'a folder with the name of an image', **_LOST_CELL)
def _(data: FaultyDataset) -> None:
    path = _add_bad_image(data)
    path.unlink()
    path.mkdir()


@_trials(
    faults.TRUNCATED_IMAGE,
    {
        'a PNG cut in half': ('bad.png', 0.5),
        'a PNG without its last bytes': ('bad.png', 0.99),
        'a PNG cut in its header': ('bad.png', 0.003),
        'a JPEG cut in half': ('bad.jpg', 0.5),
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, case: Tuple[str, float]) -> None:
    path = _add_bad_image(data, case[0])
    content = path.read_bytes()
    path.write_bytes(content[: int(case[1] * len(content))])


@_trials(
    faults.TOO_LARGE,
    {
        'a PNG that claims 3.6 gigapixels': (60000, 60000),
        'a PNG that claims 4 billion columns': (2**32 - 1, 2**32 - 1),
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, size: Tuple[int, int]) -> None:
    _add_bad_image(data).write_bytes(_png_head(*size))


@_trials(
    faults.TURNED_IMAGE,
    {
        'a JPEG turned by EXIF': ('bad.jpg', 6),
        'a PNG turned by EXIF': ('bad.png', 8),
        'a TIFF turned by EXIF': ('bad.tif', 5),
        'a JPEG upside down by EXIF': ('bad.jpg', 3),
    },
    **_LOST_CELL,
)
def _(data: FaultyDataset, case: Tuple[str, int]) -> None:
    name, orientation = case
    exif = Image.Exif()
    exif[274] = orientation
    _add_bad_image(data, name, draw=False)
    data.draw(name, exif=exif)


def _note(data: FaultyDataset, picture: Image.Image, name: str) -> None:
    """Replace the last image by one in another mode."""
    data.add_image(name, draw=False)
    picture.save(data.image_path(name))
    data.add_cell()


@_trials(
    faults.NOT_RGB,
    {
        'a CMYK image': ('CMYK', 'more.jpg'),
        'a palette image': ('P', 'more.png'),
        'a grey image': ('L', 'more.png'),
        'an image with transparency': ('RGBA', 'more.png'),
        'a black and white image': ('1', 'more.tif'),
    },
    adds=1,
)
def _(data: FaultyDataset, case: Tuple[str, str]) -> None:
    mode, name = case
    _note(data, data.picture('more').convert(mode), name)


@_trial(faults.SIXTEEN_BIT, 'a 16-bit image', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_image('more.png', draw=False)
    pixels = np.asarray(data.picture('more')).astype(np.uint16) * 16
    cv2.imwrite(str(data.image_path('more.png')), pixels)
    data.add_cell()


@_trial(
    faults.SIXTEEN_BIT, 'a grey 16-bit image', adds=1, also=[faults.NOT_RGB]
)
def _(data: FaultyDataset) -> None:
    grey = np.asarray(data.picture('more').convert('L')).astype(np.uint16)
    _note(data, Image.fromarray(grey * 16), 'more.png')


@_trials(
    faults.SIZE_UNKNOWN,
    {
        'no width': None,
        'a width of zero': 0,
        'a width in words': '64',
        'a width of 400 digits': 10**400,
    },
    adds=1,
)
def _(data: FaultyDataset, width: Any) -> None:
    data.images[-1]['width'] = width
    data.add_cell()


@_trials(
    faults.SIZE_WRONG,
    {'width and height exchanged': SIZE[::-1], 'another size': (640, 480)},
    adds=1,
)
def _(data: FaultyDataset, size: Tuple[int, int]) -> None:
    data.images[-1].update(width=size[0], height=size[1])
    data.add_cell()


# --- whole files -----------------------------------------------------------


@_trial(faults.BYTE_ORDER_MARK, 'a JSON with BOM', adds=1)
def _(data: FaultyDataset) -> None:
    data.add_cell()
    data.raw = b'\xef\xbb\xbf' + data.to_json()


@_trials(
    faults.NO_JSON,
    {
        'a truncated JSON': lambda text: text[: len(text) // 2],
        'an empty file': lambda text: b'',
        'a JSON in UTF-16': lambda text: text.decode().encode('utf-16'),
        'bytes that are no text': lambda text: b'\xff\xfe\x00' + text,
        'a JSON nested without end': lambda text: b'[' * 200_000,
        'an integer of 10000 digits': lambda text: b'[' + b'9' * 10_000 + b']',
    },
)
def _(data: FaultyDataset, change: Callable) -> None:
    data.raw = change(data.to_json())


@_trials(
    faults.NO_COCO,
    {
        'a list at the root': [],
        'a number at the root': 7,
        'no annotations': dict(images=[], categories=[]),
        'images that are an object': dict(
            images={}, annotations=[], categories=[]
        ),
    },
)
def _(data: FaultyDataset, content: Any) -> None:
    data.raw = json.dumps(content).encode()


@_trials(
    faults.UNCLEAR_CATEGORIES,
    {
        'a category id with two names': dict(id=1, name='other'),
        'a category without a name': dict(id=20),
        'a category with an empty name': dict(id=20, name=' '),
        'a category without an id': dict(name='other'),
    },
)
def _(data: FaultyDataset, category: dict) -> None:
    data.categories.append(category)


@_trial(faults.UNLISTED_CLASS, 'a category of another data set')
def _(data: FaultyDataset) -> None:
    data.categories.append(dict(id=20, name='platelet'))
    data.add_cell(category_id=20)


@_trial(faults.MOSTLY_FAULTY, 'boxes in words throughout')
def _(data: FaultyDataset) -> None:
    for annotation in data.annotations:
        annotation['bbox'] = ['1', '1', '9', '9']


@_trial(
    faults.MOSTLY_FAULTY, 'regions reversed throughout', layout='sparse_json'
)
def _(data: FaultyDataset) -> None:
    for image in data.images:
        image['annotated_regions'] = [[*REGION[2:], *REGION[:2]]]


@_trial(faults.MOSTLY_FAULTY, 'text with boxes in pixels', layout='text')
def _(data: FaultyDataset) -> None:
    for rows in data.rows.values():
        rows[:] = [data.row(box=SPARE_BOX) for _ in rows]


@_trial(faults.MOSTLY_FAULTY, 'images of zero bytes throughout')
def _(data: FaultyDataset) -> None:
    for image in data.images:
        data.image_path(image['file_name']).write_bytes(b'')


@_trial(faults.NOTHING_LEFT, 'an empty split')
def _(data: FaultyDataset) -> None:
    data.images, data.annotations = [], []


# --- what only the check of all splits sees --------------------------------


def _damage(data: FaultyDataset, name: str) -> None:
    """Change one byte in the middle of an image."""
    path = data.image_path(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


@_trial(faults.CORRUPT_PIXELS, 'a damaged byte inside a PNG')
def _(data: FaultyDataset) -> None:
    _damage(data, '5_1_1000_ALL.png')


def _rename(data: FaultyDataset, test: FaultyDataset) -> None:
    """Give the test split patients and pictures of its own."""
    for image in test.images:
        old = test.image_path(image['file_name'])
        image['file_name'] = f'10{image["file_name"]}'
        old.unlink()
        test.draw(image['file_name'])


@_trial(faults.SHARED_PATIENT, 'a patient in train and test', twin=True)
def _(data: FaultyDataset, test: FaultyDataset) -> None:
    _rename(data, test)
    test.add_image('05_7_1000_ALL.png')


@_trial(faults.IDENTICAL_ACROSS, 'an image in train and test', twin=True)
def _(data: FaultyDataset, test: FaultyDataset) -> None:
    _rename(data, test)
    image = Image.open(data.image_path('5_1_1000_ALL.png'))
    test.add_image('200_7_1000_ALL.png', draw=False)
    # Another file with the same pixels.
    image.save(test.image_path('200_7_1000_ALL.png'), compress_level=1)


@_trial(faults.SIMILAR_ACROSS, 'a brighter copy in train and test', twin=True)
def _(data: FaultyDataset, test: FaultyDataset) -> None:
    _rename(data, test)
    image = Image.open(data.image_path('5_1_1000_ALL.png'))
    test.add_image('200_7_1000_ALL.png', draw=False)
    brighter = image.point(lambda value: min(255, round(value * 0.9 + 20)))
    brighter.save(test.image_path('200_7_1000_ALL.png'))


@_trial(faults.IDENTICAL_WITHIN, 'an image under two names')
def _(data: FaultyDataset) -> None:
    content = data.image_path('5_1_1000_ALL.png').read_bytes()
    data.add_image('5_2_1000_ALL.png')
    data.image_path('5_2_1000_ALL.png').write_bytes(content)


# --- judging ---------------------------------------------------------------


def _load(data: FaultyDataset, **kwargs: Any) -> LLDDataset:
    """Read a faulty_dataset."""
    return LLDDataset(
        **data.options, **kwargs, pipeline=[], serialize_data=False
    )


def _judge_refusal(trial: Trial, data: FaultyDataset) -> str:
    """See whether data is refused for the right reason."""
    try:
        _load(data)
    except AnnotationError as error:
        if error.fault is not trial.fault:
            return f'refused as {error.fault}'
        if str(data.folder) not in str(error):
            return f'no file is named: {error}'
        return ''
    return 'not refused'


def _judge_loading(
    trial: Trial, data: FaultyDataset, good: List[Tuple]
) -> str:
    """See whether a fault is counted and all good data is there."""
    dataset = _load(data)
    expected = {fault.text: 1 for fault in trial.also}
    expected[trial.fault.text] = trial.number
    if dataset.issues.counts != expected:
        return f'counted {dict(dataset.issues.counts)}, expected {expected}'
    found = Counter(signatures(dataset))
    lost = Counter(good) - found
    if lost:
        return f'good cells are lost: {sorted(lost)}'
    if found.total() != len(good) + trial.adds:
        return f'{found.total() - len(good)} cells let in'
    for unit, (seen, kept, removed) in dataset.issues.balance().items():
        if seen != kept + removed:
            return f'{unit}: {seen} read, {kept} kept, {removed} removed'
    try:
        _load(data, strict=True)
    except AnnotationError as error:
        if str(data.folder) not in str(error):
            return f'strict: no file is named: {error}'
        return ''
    return 'strict=True does not raise'


def _judge_report(trial: Trial, specimens: Sequence[FaultyDataset]) -> str:
    """See whether the check of the data set reports a fault."""
    sources = [
        Source(split, data.options)
        for split, data in zip(('train', 'test'), specimens)
    ]
    report = examine(sources, workers=1)
    found = {fault.kind: fault.count for fault in report.across}
    expected = {trial.fault.text: trial.number}
    if found != expected:
        return f'reported {found}, expected {expected}'
    return ''


def run_trial(trial: Trial, folder: Path) -> TrialResult:
    """Run one trial.

    Args:
        trial (Trial): The trial.
        folder (Path): An empty folder to work in.

    Returns:
        TrialResult: What came of it.
    """
    clean = FaultyDataset(folder / 'clean', trial.layout)
    clean.write()
    good = signatures(_load(clean))
    specimens = [FaultyDataset(folder / 'train', trial.layout)]
    if trial.twin:
        specimens.append(FaultyDataset(folder / 'test', trial.layout))
    trial.inject(*specimens)
    for faulty_dataset in specimens:
        faulty_dataset.write()
    if trial.fault.outcome is Outcome.REFUSED:
        problem = _judge_refusal(trial, specimens[0])
    elif trial.fault.outcome is Outcome.REPORTED:
        problem = _judge_report(trial, specimens)
    else:
        problem = _judge_loading(trial, specimens[0], good)
    return TrialResult(trial, problem)


def run_trials(folder: Path) -> List[TrialResult]:
    """Run all trials, quietly.

    Args:
        folder (Path): An empty folder to work in.

    Returns:
        list[TrialResult]: One a trial.
    """
    with quiet_log():
        return [
            run_trial(trial, Path(folder) / str(index))
            for index, trial in enumerate(TRIALS)
        ]
