# Copyright (c) mmleuk authors. All rights reserved.
"""Names of LLD's folders and files."""

import os.path as osp
import re
from typing import NamedTuple, Optional, Sequence

LLD_SUBSETS = tuple(
    f'{microscope}_{magnification}X_{camera}'
    for microscope in 'HL'
    for magnification in (100, 40, 10)
    for camera in ('C1', 'C2')
)

# `4_15_1000_ALL` (patient, field, magnification code, diagnosis) and
# `4_15_3_400_ALL`, in which a second number counts the fields at 40x. The code
# is the magnification of objective and eyepiece (10x). A patient has a number,
# which `train_000_1000_PBC` has not.
FIELD_NAME = re.compile(
    r'(?P<patient>[A-Za-z]*\d+[A-Za-z]*)'
    r'_(?P<field>\d+(?:_\d+)?)'
    r'_(?P<code>1000|400|100)'
    r'_(?P<diagnosis>[A-Za-z]+)'
)


class FieldName(NamedTuple):
    """The parts of the file name of an image.

    Args:
        patient (str, optional): The patient, as written.
        field (str, optional): The field: ``'15'``, or ``'15_3'`` for the
            third 40x field in the 15th 100x field.
        magnification (str, optional): The objective: ``'100x'``, ``'40x'`` or
            ``'10x'``.
        diagnosis (str, optional): The diagnosis in upper case: ``'ALL'``.
    """

    patient: Optional[str] = None
    field: Optional[str] = None
    magnification: Optional[str] = None
    diagnosis: Optional[str] = None


def parse_field_name(file_name: str) -> FieldName:
    """Parse the name or path of an image; all None if it is not LLD's."""
    stem = osp.splitext(osp.basename(file_name))[0]
    match = FIELD_NAME.fullmatch(stem)
    if match is None:
        return FieldName()
    return FieldName(
        patient=match['patient'],
        field=match['field'],
        magnification=f'{int(match["code"]) // 10}x',
        diagnosis=match['diagnosis'].upper(),
    )


def normalise_patient(patient: object) -> str:
    """Normalise the name of a patient for comparisons.

    It is put in lower case; a number loses leading zeros: ``'04'`` and ``4``
    are one patient.
    """
    name = str(patient).strip().lower()
    return str(int(name)) if name.isdecimal() else name


def normalise_subset(name: str) -> str:
    """Put the name in upper case if it is one of LLD's twelve subsets."""
    upper = name.upper()
    return upper if upper in LLD_SUBSETS else name


def match_folder(name: str, folders: Sequence[str], root: str) -> str:
    """Find the name of a subset's folder, whatever its casing.

    Args:
        name (str): Name of the subset.
        folders (Sequence[str]): Names of the folders; an exact match wins.
        root (str): Where they are, for the message.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If several differ in nothing but casing.
    """
    if name in folders:
        return name
    matches = [folder for folder in folders if folder.lower() == name.lower()]
    if not matches:
        raise FileNotFoundError(
            f'{root}: no folder of the subset {name} is there, found '
            f'{", ".join(sorted(folders)) or "none"}. Set `data_root` to the '
            'folder that holds the subsets.'
        )
    if len(matches) > 1:
        raise ValueError(
            f'{root}: the folders {", ".join(sorted(matches))} could all be '
            f'the subset {name}. Write `subset` as the one that is meant.'
        )
    return matches[0]
