# Copyright (c) mmleuk authors. All rights reserved.
"""Puts every fault of the list into good data, and sees what becomes of it.

A fault that is repaired, masked, ignored or dropped must be counted under its
kind and nothing else with it; every good cell beside it must be read as
without the fault; what was read must be what was kept and what was removed;
and ``strict=True`` must raise.
"""

import json
import math
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

import cv2
import numpy as np
import pytest
from faulty_dataset import BOXES, CODES, REGION, SIZE, SPARE_BOX, FaultyDataset
from PIL import Image

from mmleuk.datasets.checks import Source, examine
from mmleuk.datasets.lld import LLDDataset
from mmleuk.io import faults
from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import FAULTS, Fault, Outcome
from mmleuk.structures import LLD_ATTRIBUTES

NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Trial:
    """One fault, put into good data.

    Args:
        name (str): What is wrong.
        fault (Fault): The kind that it must be counted as.
        inject (Callable): Puts it into a FaultyDataset.
        layout (str): Format of the data.
        adds (int): Cells in the records beyond the good ones.
        number (int): How often the fault is counted.
        also (Sequence[Fault]): What is counted besides, once each.
        twin (bool): Whether inject takes a second data set, the split test.
    """

    name: str
    fault: Fault
    inject: Callable
    layout: str = 'json'
    adds: int = 0
    number: int = 1
    also: Sequence[Fault] = ()
    twin: bool = False


TRIALS = []


def trial(fault, name, **kwargs):
    """Add a function to the trials."""
    return lambda inject: TRIALS.append(Trial(name, fault, inject, **kwargs))


def trials(fault, cases, **kwargs):
    """Add a function of the data and a value to the trials, for all values."""

    def add(inject):
        for name, value in cases.items():
            trial(fault, name, **kwargs)(
                lambda data, value=value: inject(data, value)
            )

    return add


def cells(fault, cases, **kwargs):
    """Add trials in which a cell has these keys."""
    trials(fault, cases, **kwargs)(lambda data, keys: data.add_cell(**keys))


def rows(fault, cases, **kwargs):
    """Add trials in which a row of text has these columns."""
    trials(fault, cases, layout='text', **kwargs)(
        lambda data, columns: data.add_row(data.row(**columns))
    )


def regions(fault, cases):
    """Add trials in which the last image has one more region."""
    trials(fault, cases, layout='sparse_json')(
        lambda data, box: data.images[-1]['annotated_regions'].append(box)
    )


# --- cells -----------------------------------------------------------------


@trial(faults.REPEATED_BOX, 'an exact duplicate')
def _(data):
    data.annotations.append(dict(data.annotations[-1], id=99))


@trial(
    faults.REPEATED_ATTRIBUTE,
    'duplicates with another code',
    adds=1,
    also=[faults.REPEATED_BOX],
)
def _(data):
    data.add_cell()
    data.add_cell(nucleolus=0)


@trial(
    faults.REPEATED_CLASS,
    'duplicates with another class',
    adds=1,
    also=[faults.REPEATED_BOX],
)
def _(data):
    data.add_cell()
    data.add_cell(category_id=2)


cells(
    faults.OVER_EDGE,
    {
        'a box over the left edge': dict(bbox=[-5, 20, 10, 10]),
        'a box over the lower right corner': dict(bbox=[58, 40, 30, 30]),
    },
    adds=1,
)
cells(
    faults.NO_AREA,
    {
        'a box outside the image': dict(bbox=[70, 10, 9, 9]),
        'a box of zero width': dict(bbox=[20, 30, 0, 9]),
        'a box of negative height': dict(bbox=[20, 30, 9, -9]),
        'a box thinner than a pixel': dict(bbox=[20, 30, 0.5, 9]),
    },
)
cells(
    faults.NOT_FINITE,
    {
        'NaN in a box': dict(bbox=[NAN, 1, 9, 9]),
        'infinity in a box': dict(bbox=[1, 1, INF, 9]),
        'an integer of 400 digits in a box': dict(bbox=[10**400, 1, 9, 9]),
        'a box that overflows': dict(bbox=[1e308, 1, 1e308, 9]),
    },
)
cells(
    faults.MALFORMED_BOX,
    {
        'no box': dict(bbox=None),
        'a box of three numbers': dict(bbox=[1, 1, 9]),
        'a box of words': dict(bbox=['1', '1', '9', '9']),
        'a box of truth values': dict(bbox=[True, 1, 9, 9]),
    },
)


@trials(
    faults.MALFORMED_BOX,
    {'an annotation that is a number': 7, 'an annotation that is null': None},
)
def _(data, annotation):
    data.annotations.append(annotation)


cells(
    faults.UNKNOWN_CATEGORY,
    {
        'a category_id that is not listed': dict(category_id=14),
        'a category_id that is a list': dict(category_id=[1]),
        'no category_id': dict(category_id=None),
    },
    adds=1,
)
cells(
    faults.UNCLEAR_CROWD,
    {
        'iscrowd "no"': dict(iscrowd='no'),
        'iscrowd 2': dict(iscrowd=2),
        'iscrowd NaN': dict(iscrowd=NAN),
    },
    adds=1,
)
cells(
    faults.REPEATED_ANNOTATION_ID,
    {'two annotations of one id': dict(id=0)},
    adds=1,
)
cells(
    faults.LOST_ANNOTATION,
    {
        'an image_id that is not listed': dict(image_id=7),
        'no image_id': dict(image_id=None),
        'an image_id that is a list': dict(image_id=[100]),
        'an image_id of NaN': dict(image_id=NAN),
    },
)


# --- attributes ------------------------------------------------------------

cells(
    faults.STRANGE_CODE,
    {
        'the code 3': dict(nucleolus=3),
        'the code -7': dict(nucleolus=-7),
        'a code of 400 digits': dict(nucleolus=10**400),
    },
    adds=1,
)
cells(
    faults.MALFORMED_CODE,
    {
        'the code "prominent"': dict(nucleolus='prominent'),
        'the code 0.5': dict(nucleolus=0.5),
        'the code NaN': dict(nucleolus=NAN),
        'the code true': dict(nucleolus=True),
        'the code [1]': dict(nucleolus=[1]),
        '"attributes" that is a list': dict(attributes=[1, 2]),
    },
    adds=1,
)
cells(
    faults.CODE_CONFLICT,
    {
        'a code flat and nested, differing': dict(
            attributes=dict(nucleolus=0)
        ),
        'a code under both spellings': dict(nuclear_chromatin=0),
    },
    adds=1,
)

cells(
    faults.UNEXPECTED_CODES,
    {'a none with attributes': dict(category_id=0)},
    adds=1,
)


# --- rows of text ----------------------------------------------------------


@trials(
    faults.ROW_WIDTH,
    {
        'a row cut off': '1 0.5 0.5 0.2',
        'a row of COCO-like columns': '1 .5 .5 .2 .2',
        'a row with a column too many': '1 .5 .5 .2 .2 0 0 0 0 0 0 0 0',
    },
    layout='text',
)
def _(data, row):
    data.add_row(row)


rows(
    faults.ROW_WORDS,
    {'a word in the box': dict(box=('x', '.5', '.2', '.2'))},
)
rows(faults.ROW_PIXELS, {'a box in pixels': dict(box=(30, 20, 10, 10))})
rows(
    faults.NOT_FINITE,
    {
        'nan in a row': dict(box=('nan', '.5', '.2', '.2')),
        'inf in a row': dict(box=('inf', '.5', '.2', '.2')),
    },
)
rows(
    faults.UNKNOWN_CATEGORY,
    {
        'the class 14 in a row': dict(category=14),
        'the class -1 in a row': dict(category=-1),
        'the class 1.5 in a row': dict(category=1.5),
        'a class name in a row': dict(category='lymphoblast'),
    },
    adds=1,
)
rows(
    faults.MALFORMED_CODE,
    {'a code in words': dict(codes=('large', *CODES[1:]))},
    adds=1,
)


rows(faults.STRANGE_CODE, {'Cell Size 3': dict(codes=(3, *CODES[1:]))}, adds=1)
rows(
    faults.UNEXPECTED_CODES,
    {
        'a row of a none with attributes': dict(
            category=0, codes=(0, 1, 0, 0, 0, 0, 0)
        ),
        'a row of a none with one attribute': dict(
            category=0, codes=(2, 2, 2, 2, 2, 2, 0)
        ),
    },
    adds=1,
)


@trial(faults.ATTRIBUTE_COLUMNS, 'six names over seven columns', layout='text')
def _(data):
    data.options['metainfo'] = dict(attributes=LLD_ATTRIBUTES[1:])


@trial(faults.MAC_FILES, 'files of macOS', layout='text', number=2)
def _(data):
    data.write()
    for name in ('images/._0_1_1000_ALL.png', 'labels/._0_1_1000_ALL.txt'):
        (data.folder / name).write_bytes(b'\x00\x05\x16\x07\xff Mac OS X')


@trial(faults.LABELS_WITHOUT_IMAGE, 'a lonely label file', layout='text')
def _(data):
    data.rows['lonely'] = [data.row()]


@trial(faults.UNREADABLE_LABELS, 'a label file in UTF-16', layout='text')
def _(data):
    data.add_image('bad.png')
    data.write()
    path = data.folder / 'labels' / 'bad.txt'
    path.write_bytes(data.row().encode('utf-16'))
    del data.rows['bad']


@trial(faults.BYTE_ORDER_MARK, 'a label file with BOM', layout='text', adds=1)
def _(data):
    data.add_row(data.row())
    rows = data.rows['5_1_1000_ALL']
    rows[0] = '\ufeff' + rows[0]


@trial(
    faults.IMAGE_WITHOUT_LABELS, 'an image without label file', layout='text'
)
def _(data):
    data.draw('unlabelled.png')


@trial(
    faults.SHARED_LABELS,
    'a.png beside a.jpg',
    layout='text',
    number=2,
    also=[faults.LABELS_WITHOUT_IMAGE],
)
def _(data):
    data.add_image('a.png')
    data.add_row(data.row())
    data.draw('a.jpg')


# --- regions ---------------------------------------------------------------

regions(
    faults.NO_RECTANGLE,
    {
        'a region with left and right exchanged': [30, 32, 10, 44],
        'a region with top and bottom exchanged': [10, 44, 30, 32],
        'a region in the order x1 x2 y1 y2': [30, 50, 32, 44],
        'NaN in a region': [NAN, 32, 30, 44],
        'an integer of 400 digits in a region': [1, 32, 10**400, 44],
    },
)
regions(
    faults.EMPTY_REGION,
    {
        'a region of no width': [10, 32, 10, 44],
        'a region outside the image': [70, 32, 90, 44],
    },
)
regions(faults.REGION_OVER_EDGE, {'a region over the edge': [30, 32, 90, 44]})
regions(faults.REPEATED_REGION, {'a region twice': list(REGION)})
regions(faults.OVERLAPPING_REGIONS, {'overlapping regions': [30, 20, 50, 44]})


@trials(
    faults.MALFORMED_REGIONS,
    {
        'regions that are null': None,
        'one region without a list around it': list(REGION),
        'a region of three numbers': [[1, 2, 3]],
        'regions in words': 'all',
    },
    layout='sparse_json',
)
def _(data, regions):
    data.add_image('bad.png', annotated_regions=regions)


@trial(
    faults.MALFORMED_REGIONS,
    'entries of an image with different regions',
    layout='sparse_json',
    also=[faults.REPEATED_IMAGE],
)
def _(data):
    entry = data.add_image('bad.png')
    data.images.append(dict(entry, annotated_regions=[]))


OUTSIDE = dict(bbox=(10, 36, 8, 8))
cells(
    faults.OUTSIDE_REGION,
    {'a cell outside the regions of its image': OUTSIDE},
    layout='sparse_json',
    adds=1,
)
cells(
    faults.OUTSIDE_REGION,
    {'a cell outside the rectangle of its row': OUTSIDE},
    layout='sparse_text',
    adds=1,
)


@trial(
    faults.NO_RECTANGLE,
    'a rectangle of a row reversed',
    layout='sparse_text',
    adds=1,
)
def _(data):
    data.add_row(data.row(region=(60, 30, 4, 2)))


@trial(faults.REGION_ORDER, 'rectangles in two orders', layout='sparse_text')
def _(data):
    x1, y1, x2, y2 = REGION
    data.add_row(data.row(region=(x1, x2, y1, y2)))


@trial(faults.REGION_ORDER, 'rectangles around no cell', layout='sparse_text')
def _(data):
    for rows in data.rows.values():
        rows[:] = [data.row(region=(0, 0, 2, 2)) for _ in rows]


@trial(
    faults.REGION_ORDER,
    'rectangles that fit both orders',
    layout='sparse_text',
)
def _(data):
    for rows in data.rows.values():
        rows[:] = [data.row((12, 32, 6, 6), region=(10, 20, 30, 40))]


# --- image entries and files -----------------------------------------------


@trials(
    faults.MALFORMED_IMAGE,
    {
        'an image entry that is a number': 7,
        'an image entry without id': dict(file_name='a.png'),
        'an image entry without file name': dict(id=7),
        'an image entry with an empty file name': dict(id=7, file_name=''),
    },
)
def _(data, entry):
    data.images.append(entry)


@trials(
    faults.REPEATED_IMAGE,
    {'an image entry twice': 0, 'an image under two ids': 50},
    adds=1,
)
def _(data, shift):
    entry = data.images[-1]
    data.images.append(dict(entry, id=entry['id'] + shift))
    data.add_cell()


@trial(
    faults.SHARED_IMAGE_ID,
    'two images of one id',
    number=2,
    also=[faults.ANNOTATION_OF_DROPPED],
)
def _(data):
    data.add_image('a.png', id=7)
    data.add_image('b.png', id=7)
    data.add_cell()


cells(
    faults.ID_AS_STRING,
    {
        'an image_id as a string': dict(image_id='105'),
        'a category_id as a string': dict(category_id='1'),
    },
    adds=1,
)


@trial(faults.ID_AS_STRING, 'an id of an image as a string', adds=1)
def _(data):
    data.add_image('more.png', id='500')
    data.add_cell(image_id=500)


def add_bad_image(data, name='bad.png', **kwargs):
    """Add an image with one cell, which shall be dropped with it."""
    data.add_image(name, **kwargs)
    data.add_cell()
    return data.image_path(name)


LOST_CELL = dict(also=[faults.ANNOTATION_OF_DROPPED])


@trials(
    faults.OUTSIDE_FOLDER,
    {
        'an absolute file name': '{folder}/elsewhere.png',
        'a file name with ..': '../elsewhere.png',
        'a file name with .. inside': 'a/../../elsewhere.png',
        'the address of a web page': 'https://example.org/a.png',
    },
    **LOST_CELL,
)
def _(data, name):
    data.picture('elsewhere').save(data.folder / 'elsewhere.png')
    add_bad_image(data, name.format(folder=data.folder), draw=False)


@trial(faults.OUTSIDE_FOLDER, 'a link out of the root', **LOST_CELL)
def _(data):
    path = add_bad_image(data)
    elsewhere = data.folder.parent / 'elsewhere.png'
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@trial(faults.OUTSIDE_FOLDER, 'a linked folder out of the root', **LOST_CELL)
def _(data):
    elsewhere = data.folder.parent / 'elsewhere'
    elsewhere.mkdir()
    data.picture('bad').save(elsewhere / 'bad.png')
    (data.folder / 'images' / 'linked').symlink_to(elsewhere)
    add_bad_image(data, 'linked/bad.png', draw=False)


@trials(
    faults.MISSING_IMAGE,
    {
        'a missing image': 'bad.png',
        'a file name with a zero byte': 'bad\0.png',
        'a file name of half a surrogate pair': 'bad\ud800.png',
        'a file taken for a folder': '0_1_1000_ALL.png/bad.png',
    },
    **LOST_CELL,
)
def _(data, name):
    add_bad_image(data, name, draw=False)


def png_head(width, height):
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


def write_content(data, content):
    add_bad_image(data).write_bytes(content)


trials(
    faults.NO_IMAGE,
    {
        'an image of zero bytes': b'',
        'a text with the name of an image': b'no image at all',
        'a PNG with a broken header': b'\x89PNG\r\n\x1a\nbroken' * 9,
        'a PNG without a column': png_head(0, 9),
        'the start of a JPEG': b'\xff\xd8\xff\xe0\x00\x10JFIF',
    },
    **LOST_CELL,
)(write_content)
trials(
    faults.TOO_LARGE,
    {
        'a PNG that claims 3.6 gigapixels': png_head(60000, 60000),
        'a PNG that claims 4 billion columns': png_head(2**32 - 1, 2**32 - 1),
    },
    **LOST_CELL,
)(write_content)


@trial(faults.NO_IMAGE, 'a folder with the name of an image', **LOST_CELL)
def _(data):
    path = add_bad_image(data)
    path.unlink()
    path.mkdir()


@trials(
    faults.TRUNCATED_IMAGE,
    {
        'a PNG cut in half': ('bad.png', 0.5),
        'a PNG without its last bytes': ('bad.png', 0.99),
        'a PNG cut in its header': ('bad.png', 0.003),
        'a JPEG cut in half': ('bad.jpg', 0.5),
    },
    **LOST_CELL,
)
def _(data, case):
    path = add_bad_image(data, case[0])
    content = path.read_bytes()
    path.write_bytes(content[: int(case[1] * len(content))])


@trials(
    faults.TURNED_IMAGE,
    {
        'a JPEG turned by EXIF': ('bad.jpg', 6),
        'a PNG turned by EXIF': ('bad.png', 8),
        'a TIFF turned by EXIF': ('bad.tif', 5),
        'a JPEG upside down by EXIF': ('bad.jpg', 3),
    },
    **LOST_CELL,
)
def _(data, case):
    name, orientation = case
    exif = Image.Exif()
    exif[274] = orientation
    add_bad_image(data, name, draw=False)
    data.draw(name, exif=exif)


@trials(
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
def _(data, case):
    mode, name = case
    path = add_bad_image(data, name, draw=False)
    data.picture('more').convert(mode).save(path)


@trial(faults.SIXTEEN_BIT, 'a 16-bit image', adds=1)
def _(data):
    path = add_bad_image(data, 'more.png', draw=False)
    pixels = np.asarray(data.picture('more')).astype(np.uint16) * 16
    cv2.imwrite(str(path), pixels)


@trial(
    faults.SIXTEEN_BIT, 'a grey 16-bit image', adds=1, also=[faults.NOT_RGB]
)
def _(data):
    path = add_bad_image(data, 'more.png', draw=False)
    grey = np.asarray(data.picture('more').convert('L')).astype(np.uint16)
    Image.fromarray(grey * 16).save(path)


@trials(
    faults.SIZE_UNKNOWN,
    {
        'no width': None,
        'a width of zero': 0,
        'a width in words': '64',
        'a width of 400 digits': 10**400,
    },
    adds=1,
)
def _(data, width):
    data.images[-1]['width'] = width
    data.add_cell()


@trials(
    faults.SIZE_WRONG,
    {'width and height exchanged': SIZE[::-1], 'another size': (640, 480)},
    adds=1,
)
def _(data, size):
    data.images[-1].update(width=size[0], height=size[1])
    data.add_cell()


# --- whole files -----------------------------------------------------------


@trial(faults.BYTE_ORDER_MARK, 'a JSON with BOM', adds=1)
def _(data):
    data.add_cell()
    data.raw = b'\xef\xbb\xbf' + data.to_json()


@trials(
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
def _(data, change):
    data.raw = change(data.to_json())


@trials(
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
def _(data, content):
    data.raw = json.dumps(content).encode()


@trials(
    faults.UNCLEAR_CATEGORIES,
    {
        'a category id with two names': dict(id=1, name='other'),
        'a category without a name': dict(id=20),
        'a category with an empty name': dict(id=20, name=' '),
        'a category without an id': dict(name='other'),
    },
)
def _(data, category):
    data.categories.append(category)


@trial(faults.UNLISTED_CLASS, 'a category of another data set')
def _(data):
    data.categories.append(dict(id=20, name='platelet'))
    data.add_cell(category_id=20)


@trial(faults.MOSTLY_FAULTY, 'boxes in words throughout')
def _(data):
    for annotation in data.annotations:
        annotation['bbox'] = ['1', '1', '9', '9']


@trial(
    faults.MOSTLY_FAULTY, 'regions reversed throughout', layout='sparse_json'
)
def _(data):
    for image in data.images:
        image['annotated_regions'] = [[*REGION[2:], *REGION[:2]]]


@trial(faults.MOSTLY_FAULTY, 'text with boxes in pixels', layout='text')
def _(data):
    for rows in data.rows.values():
        rows[:] = [data.row(box=SPARE_BOX) for _ in rows]


@trial(faults.MOSTLY_FAULTY, 'images of zero bytes throughout')
def _(data):
    for image in data.images:
        data.image_path(image['file_name']).write_bytes(b'')


@trial(faults.NOTHING_LEFT, 'an empty split')
def _(data):
    data.images, data.annotations = [], []


# --- what only the check of all splits sees --------------------------------


@trial(faults.CORRUPT_PIXELS, 'a damaged byte inside a PNG')
def _(data):
    path = data.image_path('5_1_1000_ALL.png')
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


@trial(faults.MISPLACED_BOXES, 'cells 14 px below their boxes')
def _(data):
    image = np.full((*SIZE[::-1], 3), 210, np.uint8)
    for x, y, width, height in BOXES:
        centre = round(x + width / 2), round(y + height / 2 + 14)
        cv2.circle(image, centre, 5, (120, 40, 110), -1)
    path = data.image_path('5_1_1000_ALL.png')
    cv2.imwrite(str(path), image)


def rename(test):
    """Give the test split patients and pictures of its own."""
    for image in test.images:
        test.image_path(image['file_name']).unlink()
        image['file_name'] = f'10{image["file_name"]}'
        test.draw(image['file_name'])


@trial(faults.SHARED_PATIENT, 'a patient in train and test', twin=True)
def _(data, test):
    rename(test)
    test.add_image('05_7_1000_ALL.png')


def overlapping_pictures():
    """Two pictures of one film, half of each on the other."""
    width, height = SIZE
    film = FaultyDataset.picture('film', (width * 3 // 2, height))
    return [film.crop((x, 0, x + width, height)) for x in (0, width // 2)]


@trial(faults.OVERLAP_WITHIN, 'two fields of a film that overlap')
def _(data):
    data.add_image('5_2_1000_ALL.png')
    for number, picture in enumerate(overlapping_pictures(), start=1):
        picture.save(data.image_path(f'5_{number}_1000_ALL.png'))


@trial(
    faults.OVERLAP_ACROSS,
    'one of them in train and one in test',
    also=[faults.SHARED_PATIENT],
    twin=True,
)
def _(data, test):
    rename(test)
    test.add_image('5_2_1000_ALL.png')
    one, two = overlapping_pictures()
    one.save(data.image_path('5_1_1000_ALL.png'))
    two.save(test.image_path('5_2_1000_ALL.png'))


def copy_to_test(data, test, change=lambda image: image):
    """Give the test split a changed copy of an image, in another file."""
    rename(test)
    test.add_image('200_7_1000_ALL.png', draw=False)
    image = change(Image.open(data.image_path('5_1_1000_ALL.png')))
    image.save(test.image_path('200_7_1000_ALL.png'), compress_level=1)


trial(faults.IDENTICAL_ACROSS, 'an image in train and test', twin=True)(
    copy_to_test
)


@trial(faults.SIMILAR_ACROSS, 'a brighter copy in train and test', twin=True)
def _(data, test):
    def brighten(image):
        return image.point(lambda value: min(255, round(value * 0.9 + 20)))

    copy_to_test(data, test, brighten)


@trial(faults.IDENTICAL_WITHIN, 'an image under two names')
def _(data):
    content = data.image_path('5_1_1000_ALL.png').read_bytes()
    data.add_image('5_2_1000_ALL.png')
    data.image_path('5_2_1000_ALL.png').write_bytes(content)


# --- judging ---------------------------------------------------------------


def load(data, **kwargs):
    return LLDDataset(
        **data.options, **kwargs, pipeline=[], serialize_data=False
    )


def signatures(dataset):
    """Every cell of a dataset by all that it states."""
    return Counter(
        (
            Path(info['img_path']).name,
            tuple(round(value, 3) for value in instance['bbox']),
            instance['bbox_label'],
            instance['ignore_flag'],
            tuple(instance['attributes']),
        )
        for info in dataset.data_list
        for instance in info['instances']
    )


def check_refused(trial, data):
    with pytest.raises(AnnotationError) as refusal:
        load(data)
    assert refusal.value.fault is trial.fault
    assert str(data.folder) in str(refusal.value)


def check_read(trial, data, good):
    dataset = load(data)
    expected = {fault.text: 1 for fault in trial.also}
    expected[trial.fault.text] = trial.number
    assert dict(dataset.issues.counts) == expected, 'counts'
    found = signatures(dataset)
    assert not good - found, 'good cells are lost'
    assert found.total() == good.total() + trial.adds, 'cells let in'
    for unit, (seen, kept, removed) in dataset.issues.balance().items():
        assert seen == kept + removed, unit
    with pytest.raises(AnnotationError) as strict:
        load(data, strict=True)
    assert str(data.folder) in str(strict.value)


def check_reported(trial, datasets):
    sources = [
        Source(split, data.options)
        for split, data in zip(('train', 'test'), datasets)
    ]
    report = examine(sources, workers=1)
    found = {fault.kind: fault.count for fault in report.across}
    expected = {fault.text: 1 for fault in trial.also}
    expected[trial.fault.text] = trial.number
    assert found == expected, 'reported'


def run_trial(trial, folder):
    clean = FaultyDataset(folder / 'clean', trial.layout)
    clean.write()
    good = signatures(load(clean))
    splits = ('train', 'test') if trial.twin else ('train',)
    datasets = [FaultyDataset(folder / name, trial.layout) for name in splits]
    trial.inject(*datasets)
    for data in datasets:
        data.write()
    if trial.fault.outcome is Outcome.REFUSED:
        check_refused(trial, datasets[0])
    elif trial.fault.outcome is Outcome.REPORTED:
        check_reported(trial, datasets)
    else:
        check_read(trial, datasets[0], good)


@pytest.mark.parametrize(
    'trial', TRIALS, ids=[trial.name.replace(' ', '_') for trial in TRIALS]
)
def test_trial(trial, tmp_path):
    run_trial(trial, tmp_path)


def test_every_fault_is_tried():
    tried = {
        fault.text for trial in TRIALS for fault in (trial.fault, *trial.also)
    }
    assert tried == set(FAULTS)


def empty_box(data):
    data.add_cell(bbox=[1, 1, 0, 0])


def change_box(bbox):
    return dict(inject=lambda data: data.annotations[0].update(bbox=bbox))


@pytest.mark.parametrize(
    'fault, change, problem',
    [
        (faults.NO_AREA, dict(inject=lambda data: None), 'counts'),
        (faults.OVER_EDGE, dict(), 'counts'),
        (faults.NO_AREA, dict(adds=1), 'cells let in'),
        (faults.NO_AREA, dict(number=2), 'counts'),
        (faults.NO_AREA, change_box([9] * 4), 'counts'),
        (faults.NO_AREA, change_box([1, 1, 0, 0]), 'good cells are lost'),
        (faults.NO_JSON, dict(), 'DID NOT RAISE'),
        (faults.SHARED_PATIENT, dict(), 'reported'),
    ],
)
def test_a_trial_can_fail(tmp_path, fault, change, problem):
    faulty = dict(name='x', fault=fault, inject=empty_box) | change
    with pytest.raises((AssertionError, pytest.fail.Exception), match=problem):
        run_trial(Trial(**faulty), tmp_path)
