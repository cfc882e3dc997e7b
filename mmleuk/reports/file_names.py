# Copyright (c) mmleuk authors. All rights reserved.
import hashlib
import re
from typing import Optional

# Plain names are kept: no two differ in casing alone, none is long, none means
# something to a file system.
_PLAIN = re.compile(r'[a-z0-9][a-z0-9_-]{0,39}')

# A dot, which no plain name has, parts the two kinds of name.
_MARK = '.'


def page_name(patient: Optional[str]) -> str:
    """Make the stem of the files of a patient's report.

    Safe in any folder and on any file system, whatever the patient is called,
    and different for different patients.

    Args:
        patient (str, optional): The patient as written. None: of images that
            name none.

    Returns:
        str: ``patient_7``, or for a name that cannot be kept what is left of
        it and a hash.
    """
    if patient is None:
        return 'no_patient_named'
    if _PLAIN.fullmatch(patient):
        return f'patient_{patient}'
    left = re.sub(r'[^a-z0-9]+', '-', patient.lower()).strip('-')[:24]
    digest = hashlib.sha256(patient.encode('utf-8', 'surrogatepass'))
    return f'patient_{left}{_MARK}{digest.hexdigest()[:16]}'
