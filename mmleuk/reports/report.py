# Copyright (c) mmleuk authors. All rights reserved.
import hashlib
import re
from pathlib import Path
from typing import Callable, List, Optional, Union

from mmleuk.io.atomic_write import write_text
from mmleuk.io.predictions import PredictionReader

from .comparison import Reference
from .notes import Note
from .patient_page import NOTICE, PatientEntry, PatientPage, model_facts
from .patient_store import PatientStore
from .rendering import render
from .settings import ReportSettings
from .wording import number

# Plain names are kept: no two differ only in case, none is long or means
# something to a file system.
_PLAIN = re.compile(r'[a-z0-9][a-z0-9_-]{0,39}')


def page_name(patient: Optional[str]) -> str:
    """Make the stem of the files of a patient's report.

    It is safe in any folder and on any file system, and different for
    different patients: ``patient_7``, or for a name that cannot be kept what
    is left of it and a hash.
    """
    if patient is None:
        return 'no_patient_named'
    if _PLAIN.fullmatch(patient):
        return f'patient_{patient}'
    left = re.sub(r'[^a-z0-9]+', '-', patient.lower()).strip('-')[:24]
    digest = hashlib.sha256(patient.encode('utf-8', 'surrogatepass'))
    # No plain name has a dot.
    return f'patient_{left}.{digest.hexdigest()[:16]}'


def write_reports(
    reader: PredictionReader,
    out: Union[str, Path],
    settings: Optional[ReportSettings] = None,
    image_root: Optional[Union[str, Path]] = None,
    reference: Optional[Reference] = None,
    on_patient: Optional[Callable[[PatientEntry], None]] = None,
) -> List[PatientEntry]:
    """Write a page and a table for each patient, and an index of them.

    The predictions are read once, in any order of patients, and only one
    patient is held in memory.

    Args:
        reader (PredictionReader): The predictions.
        out (str | Path): Folder to write to. It is made. Pages of the same
            patients are replaced, other files are left.
        settings (ReportSettings, optional): Settings. None: the defaults.
        image_root (str | Path, optional): Folder of the images. None: the
            one of the predictions.
        reference (Reference, optional): Reference for the attributes. None:
            the profile of the training data, if the predictions have it.
        on_patient (Callable, optional): Called with each patient's entry when
            its page is written.

    Returns:
        list[PatientEntry]: Entries of the index.

    Raises:
        ValueError: If the predictions are malformed, or the settings name a
            type of blast that the model lacks.
    """
    settings = settings or ReportSettings()
    header = reader.header
    settings.find_blasts(header.types)
    if image_root is None:
        image_root = header.image_root
    if reference is None and header.type_profile is not None:
        reference = Reference(header.type_profile, 'training data')
    out = Path(out)
    entries = []
    with PatientStore(settings) as store:
        store.add_all(reader)
        for patient in store.patients():
            page, entry = PatientPage(
                store, patient, header, settings, image_root, reference
            ).make(page_name(patient), out)
            # File names may hold lone surrogates.
            write_text(out / entry.page, page, errors='replace')
            entries.append(entry)
            if on_patient is not None:
                on_patient(entry)
        notes = _note_what_was_left_out(store)
    write_text(
        out / 'index.html',
        render(
            'index.html',
            footer=NOTICE,
            notice=NOTICE,
            entries=entries,
            notes=notes,
            settings=settings,
            facts=[
                ('Predictions', reader.path.name),
                *model_facts(header),
            ],
        ),
        errors='replace',
    )
    return entries


def _note_what_was_left_out(store: PatientStore) -> List[Note]:
    notes = []
    if store.num_repeated:
        notes.append(
            Note(
                'repeated',
                'Repeated records',
                f'Left out: {number(store.num_repeated, "record")} of images '
                'that an earlier record names. The first one counts.',
            )
        )
    if store.num_left_out:
        notes.append(
            Note(
                'other-magnification',
                'Other magnifications',
                f'Left out: {number(store.num_left_out, "image")}, because '
                f'{store.settings.magnification} was asked for.',
                caution=False,
            )
        )
    return notes
