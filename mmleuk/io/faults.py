# Copyright (c) mmleuk authors. All rights reserved.
"""The faults of data that are looked for, and what is done about them.

This is the one list: readers count by it, the report and the table in
docs/dataset.md are made from it, and
tests/test_datasets/test_checks/test_fault_trials.py tries each entry.
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Dict, Optional


class Outcome(str, Enum):
    """What happens to a record with a fault."""

    REPAIRED = 'repaired'
    MASKED = 'masked'
    IGNORED = 'ignored'
    DROPPED = 'dropped'
    REFUSED = 'refused'
    REPORTED = 'reported'


# What each outcome means, in words.
OUTCOMES = {
    Outcome.REPAIRED: 'corrected, or kept as the text says; nothing is lost',
    Outcome.MASKED: 'the attribute counts as missing in that cell',
    Outcome.IGNORED: 'the cell stays as neither a positive nor a negative',
    Outcome.DROPPED: 'that record is left out, all others stay',
    Outcome.REFUSED: 'an error says what was found, where, and how to fix it',
    Outcome.REPORTED: 'loading goes on, check_dataset.py names it',
}


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Args:
        text (str): What was found and done, in the plural, for the log.
        outcome (Outcome): What happens to the record.
        found (str): Examples of what is found, for the table in the docs.
        removes (str, optional): Unit of which one count removes one:
            ``'images'``, ``'annotations'``, ``'regions'`` or ``'label
            files'``.
        limited_to_half_of (str, optional): Unit (e.g. ``'annotations'``) of
            which at most half may have this fault; beyond that the file is
            rejected. None sets no limit.
        fix (str): What to do about the data.
    """

    text: str
    outcome: Outcome
    found: str
    removes: Optional[str] = None
    limited_to_half_of: Optional[str] = None
    fix: str = 'Correct the record'

    def __str__(self) -> str:
        return self.text


FAULTS: Dict[str, Fault] = {}


def _fault(outcome: Outcome, text: str, found: str, **kwargs) -> Fault:
    """Add a fault to the list."""
    return FAULTS.setdefault(text, Fault(text, outcome, found, **kwargs))


def _dropped(text: str, found: str, unit: str, **kwargs) -> Fault:
    """Add a fault whose records are dropped."""
    return _fault(Outcome.DROPPED, text, found, removes=unit, **kwargs)


def _limited(text: str, found: str, unit: str, **kwargs) -> Fault:
    """Add a fault whose records are dropped, if they are at most half."""
    return _dropped(text, found, unit, limited_to_half_of=unit, **kwargs)


_repaired = partial(_fault, Outcome.REPAIRED)
_masked = partial(_fault, Outcome.MASKED)
_ignored = partial(_fault, Outcome.IGNORED)
_refused = partial(_fault, Outcome.REFUSED)
_reported = partial(_fault, Outcome.REPORTED)

# Cells.
REPEATED_BOX = _dropped(
    'repeated boxes dropped',
    'two annotations with exactly one box: one cell stays',
    'annotations',
    fix='Keep one annotation a cell',
)
REPEATED_ATTRIBUTE = _masked(
    'attributes on which repeated boxes differ masked',
    'repeated boxes with different codes',
    fix='Keep one annotation a cell',
)
REPEATED_CLASS = _ignored(
    'cells on whose class repeated boxes differ ignored',
    'repeated boxes with different classes or crowd flags',
    fix='Keep one annotation a cell',
)
OVER_EDGE = _repaired(
    'boxes over the edge clipped',
    'a box that reaches over the edge of the image',
)
NO_AREA = _dropped(
    'boxes without an area in the image dropped',
    'a box outside the image, or of zero, negative or less than 1 px width',
    'annotations',
)
NOT_FINITE = _dropped(
    'boxes that are not finite dropped',
    'NaN, infinity or an overflow in a box',
    'annotations',
)
MALFORMED_BOX = _limited(
    'annotations without a box of four numbers dropped',
    'a bbox that is absent, too short, or of words; an annotation that is no '
    'object',
    'annotations',
)
UNKNOWN_CATEGORY = _ignored(
    'cells of an unknown category ignored',
    'a category_id that "categories" does not list, a class number beyond '
    'the list, or a word',
    limited_to_half_of='annotations',
    fix='Add the class to "categories", or correct the cell',
)
UNCLEAR_CROWD = _ignored(
    'cells with an unclear crowd flag ignored',
    'iscrowd or ignore that is neither 0 nor 1',
)
REPEATED_ANNOTATION_ID = _repaired(
    'repeated annotation ids disregarded',
    'two annotations with one id: both stay',
    fix='Give each annotation an id of its own',
)
LOST_ANNOTATION = _limited(
    'annotations of images not listed dropped',
    'an image_id that is absent or that no entry of "images" has',
    'annotations',
    fix='Make the ids agree',
)
ANNOTATION_OF_DROPPED = _dropped(
    'annotations of dropped images dropped',
    'what was annotated in an image that is dropped',
    'annotations',
    fix='Repair the image',
)

# Attributes.
STRANGE_CODE = _masked(
    'attribute codes outside the schema masked',
    'a whole number that names no value of the attribute, other than that '
    'of the format for a missing one (4 in JSON, 2 or 4 in text) and those '
    'of `metainfo["missing_codes"]`',
)
UNEXPECTED_CODES = _masked(
    'cells of a class without attributes that state some masked',
    'a "none" with other codes than that of the format for missing ones',
    fix='Correct the class or the codes',
)
MALFORMED_CODE = _masked(
    'attribute codes that are no whole numbers masked',
    'a word, a fraction or NaN as a code; "attributes" that is no object',
)
CODE_CONFLICT = _masked(
    'attributes stated twice, differently, masked',
    'a code under two spellings, or flat and nested, that differ',
)

# Rows of text labels.
ROW_WIDTH = _limited(
    'rows with a wrong number of columns dropped',
    'a row of another layout, a row cut off',
    'annotations',
    fix='Correct the row, or set `ann_format` to what the file is',
)
ROW_WORDS = _limited(
    'rows whose box is not of numbers dropped',
    'words in the place of the box',
    'annotations',
)
ROW_PIXELS = _limited(
    'rows with a box in pixels dropped',
    'a box that is not given as shares of the image',
    'annotations',
    fix='Divide by the width and height of the image',
)
LABELS_WITHOUT_IMAGE = _limited(
    'label files without an image dropped',
    'a label file whose image is not there',
    'label files',
    fix='Complete the copy of the data, or set `data_prefix`',
)
UNREADABLE_LABELS = _limited(
    'label files that are no text dropped, their images taken as not '
    'annotated',
    'a label file that is not UTF-8',
    'label files',
    fix='Save the file as UTF-8',
)
ATTRIBUTE_COLUMNS = _refused(
    'text labels of seven attributes under a schema of six',
    'rows with all seven attribute columns, while the schema has six '
    'attributes and no Cell Size: its first column can be taken for chromatin',
    fix='Add cell_size to metainfo["attributes"], in the order of the '
    'columns. To leave it out, name the columns of the files: '
    'metainfo["text_columns"]',
)
MAC_FILES = _repaired(
    'files of macOS (._*) among labels and images left out',
    'a ._a.txt or ._a.png, which holds no label and no image',
    fix='Delete them, or leave them: they do no harm',
)
IMAGE_WITHOUT_LABELS = _repaired(
    'images without a label file taken as not annotated',
    'an image of the folder without a label file',
    fix='Add the label file, an empty one if there is no cell',
)

# Annotated regions.
NO_RECTANGLE = _limited(
    'annotated regions that are no rectangle dropped',
    'corners reversed, in another order, or not finite: that area counts as '
    'not annotated',
    'regions',
    fix='State x1 <= x2 and y1 <= y2 in the right order',
)
EMPTY_REGION = _dropped(
    'annotated regions without an area dropped',
    'a region outside the image or of no width',
    'regions',
)
REGION_OVER_EDGE = _repaired(
    'annotated regions over the edge clipped',
    'a region that reaches over the edge of the image',
)
REPEATED_REGION = _dropped(
    'repeated annotated regions dropped',
    'one rectangle twice in the list of an image',
    'regions',
)
OVERLAPPING_REGIONS = _repaired(
    'annotated regions that overlap taken as their union',
    'two regions of an image that overlap',
)
MALFORMED_REGIONS = _repaired(
    'images with unclear regions taken as not annotated',
    'annotated_regions that is no list of [x1, y1, x2, y2], or that two '
    'entries of the image state differently: the cells stay',
    limited_to_half_of='images',
    fix='Correct the list, or leave the key out where the whole image is '
    'annotated',
)
OUTSIDE_REGION = _repaired(
    'cells outside their own region kept',
    'a box whose centre lies in no annotated region of its image, or of its '
    'row',
    fix='Check the order of the corners',
)
REGION_ORDER = _refused(
    'folders without one clear order of corners',
    'sparse text that fits both orders of the rectangle, neither, or one '
    'here and another there',
    fix='Set `region_order`',
)

# Image entries and image files.
MALFORMED_IMAGE = _limited(
    'image entries without an id or a file name dropped',
    'an entry that is no object, or whose id or file_name is absent',
    'images',
)
REPEATED_IMAGE = _repaired(
    'repeated image entries merged',
    'several entries of one file, under one id or more',
    removes='images',
    fix='Keep one entry an image',
)
SHARED_IMAGE_ID = _limited(
    'image entries whose id stands for several files dropped',
    'one id for two files: their cells can belong to either',
    'images',
    fix='Give each image an id of its own',
)
ID_AS_STRING = _repaired(
    'ids written as strings here and as numbers there matched',
    'image_id "7" for the image 7, or the other way round',
    fix='Make the ids agree, in value and in type',
)
OUTSIDE_FOLDER = _limited(
    'images outside the image folder dropped, unopened',
    'an absolute file name, one with "..", a link that leaves the image '
    'folder and `data_root`',
    'images',
    fix='Set `data_prefix` to the folder that holds the files',
)
SHARED_LABELS = _limited(
    'images that share a label file dropped',
    'a.png beside a.jpg, with one a.txt',
    'images',
    fix='Rename one of them, and give each a label file',
)
MISSING_IMAGE = _limited(
    'annotated images that are not there dropped',
    'an image file that is missing',
    'images',
    fix='Complete the copy of the data, or set `data_prefix`',
)
NO_IMAGE = _limited(
    'files that are no image dropped',
    'a file of zero bytes, a text, a broken header, a folder',
    'images',
    fix='Copy it anew',
)
TRUNCATED_IMAGE = _limited(
    'images cut off before their end dropped',
    'a PNG or JPEG file that is truncated',
    'images',
    fix='Copy it anew',
)
TOO_LARGE = _limited(
    'images of more than 178 million pixels dropped',
    'a header that claims an enormous image ("decompression bomb")',
    'images',
    fix='Cut it into fields',
)
TURNED_IMAGE = _limited(
    'images turned by EXIF, with boxes of unknown orientation, dropped',
    'an EXIF orientation, which the loader applies, unless width and height '
    'as stated are those of the turned image',
    'images',
    fix='Save the image upright and check that its boxes fit',
)
SIXTEEN_BIT = _repaired(
    'images of 16 bits a channel, cut to the upper 8 by the loader, kept',
    'a 16-bit image: dark if its range is not used in full',
    fix='Save the image with 8 bits a channel',
)
NOT_RGB = _repaired(
    'images that are not RGB, converted by the loader, kept',
    'CMYK (its colours change), palette, grey, transparency',
    fix='Save the image as RGB',
)
SIZE_UNKNOWN = _repaired(
    'image sizes taken from the image file',
    'width or height that is absent or no positive whole number',
)
SIZE_WRONG = _repaired(
    'image sizes that contradict the image file replaced',
    'width or height other than those of the file: boxes are cut at the '
    "file's",
)

# Whole files.
BYTE_ORDER_MARK = _repaired(
    'byte order marks skipped',
    'a file that starts with a byte order mark (BOM)',
    fix='Save the file as UTF-8 without BOM',
)
NO_JSON = _refused(
    'files that are no JSON',
    'a truncated JSON, one that is not UTF-8 or nested without end',
    fix='Copy the file anew',
)
NO_COCO = _refused(
    'files that are not in the COCO layout',
    'a list at the root, one of the three lists absent',
    fix='Check that this is the annotation file',
)
UNCLEAR_CATEGORIES = _refused(
    'files whose categories are unclear',
    'one category id with two names, a category without a name: all labels '
    'rest on this list',
    fix='Give each category an id and a name of its own',
)
UNLISTED_CLASS = _refused(
    'classes that the dataset does not have',
    'a category with a name that neither metainfo["classes"] nor `class_map` '
    'knows: the config is about other data',
    fix='Add it to metainfo["classes"], or say by `class_map` what it '
    'becomes: another class, "ignore", or None to drop it',
)
MOSTLY_FAULTY = _refused(
    'files of which more than half is faulty',
    'faults marked * in more than half of the annotations, images, label '
    'files or regions: the file may be of another format',
    fix='Check that file, format and images belong together',
)
NOTHING_LEFT = _refused(
    'splits without an image',
    'an empty list of images, or none left after filtering',
    fix='Check `patients`, `class_map` and `filter_cfg`',
)

# Found only by the check of a whole data set and its pixels.
CORRUPT_PIXELS = _reported(
    'images that can not be decoded',
    'bytes damaged inside an image file. In training, loading raises an '
    'error that names the file',
    fix='Copy it anew',
)
MISPLACED_BOXES = _reported(
    'fields whose boxes miss their cells',
    'boxes that would hold at least twice the nuclear stain if all were moved '
    'by the same distance',
    fix='Look at the field (--pictures), and move its boxes or remove it',
)
OVERLAP_ACROSS = _reported(
    'pairs of fields that show the same cells, in more than one split',
    'two fields of a patient in one subset that overlap on the film, one in '
    'train and one in test',
    fix='Put both into one split',
)
OVERLAP_WITHIN = _reported(
    'pairs of fields that show the same cells, within a split',
    'two fields of a patient in one subset that overlap on the film',
    fix='Remove one of the two, or accept that these cells count twice',
)
SHARED_PATIENT = _reported(
    'patients in more than one split',
    'one patient in train and test, within a subset or across them',
    fix='Use `exclude_patients`',
)
IDENTICAL_ACROSS = _reported(
    'identical images in more than one split',
    'the same pixels in train and test, under any name',
    fix='Remove the image from one split',
)
SIMILAR_ACROSS = _reported(
    'nearly identical images in more than one split',
    'images of train and test whose perceptual hashes differ in at most '
    '3 of 64 bits: compressed or brightened copies. Look at them',
    fix='Remove the image from one split',
)
IDENTICAL_WITHIN = _reported(
    'identical images within a split',
    'the same pixels under two names',
    fix='Remove one of them',
)


def fault_table() -> str:
    """Write the list as a table in Markdown.

    Returns:
        str: The table of docs/dataset.md, one row a fault.
    """
    rows = [
        '| outcome | what is found | as the log and the report call it |',
        '| --- | --- | --- |',
    ]
    for fault in sorted(
        FAULTS.values(), key=lambda fault: list(Outcome).index(fault.outcome)
    ):
        star = '\\*' if fault.limited_to_half_of else ''
        rows.append(
            f'| {fault.outcome.value}{star} | {fault.found} | {fault.text} |'
        )
    return '\n'.join(rows)
