# Copyright (c) mmleuk authors. All rights reserved.
import json
import re
import sqlite3
from pathlib import PurePosixPath
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from msgspec import convert, to_builtins

from mmleuk.structures import ImagePrediction

from .settings import ReportSettings


class PatientStore:
    """Predictions sorted by patient, on disk.

    A file of predictions holds the images of a patient in any order. They are
    sorted in an anonymous temporary database, which is deleted when it is
    closed, so that memory does not grow with their number.

    Args:
        settings (ReportSettings): Settings of the report.

    Attributes:
        num_repeated (int): Records left out because an earlier one is of the
            same file.
        num_left_out (int): Records left out because of their magnification.
    """

    def __init__(self, settings: ReportSettings) -> None:
        self.settings = settings
        self.num_repeated = 0
        self.num_left_out = 0
        # '' is a database in a temporary file of sqlite's own.
        self._database = sqlite3.connect('')
        # Names are blobs: text of sqlite holds no lone surrogates.
        self._database.execute(
            'CREATE TABLE images (id INTEGER PRIMARY KEY, patient BLOB, '
            'file BLOB UNIQUE, rank BLOB, record TEXT)'
        )

    def __enter__(self) -> 'PatientStore':
        return self

    def __exit__(self, *error: Any) -> None:
        self._database.close()

    def add_all(self, images: Iterable[ImagePrediction]) -> None:
        """Store images, without those that the settings leave out."""
        magnification = self.settings.magnification
        for image in images:
            if magnification not in (None, image.magnification):
                self.num_left_out += 1
                continue
            rank = f'{_natural(image.field or "")}\n{_natural(image.file)}'
            cursor = self._database.execute(
                'INSERT OR IGNORE INTO images (patient, file, rank, record) '
                'VALUES (?, ?, ?, ?)',
                (
                    _encode(self._name_patient(image)),
                    _encode(image.file),
                    _encode(rank),
                    json.dumps(to_builtins(image)),
                ),
            )
            self.num_repeated += 1 - cursor.rowcount
        self._database.execute(
            'CREATE INDEX IF NOT EXISTS by_patient ON images (patient, rank)'
        )

    def _name_patient(self, image: ImagePrediction) -> Optional[str]:
        if not self.settings.patient_from_folder:
            return image.patient or None
        folder = PurePosixPath(image.file.replace('\\', '/')).parent
        return None if folder == PurePosixPath('.') else str(folder)

    def patients(self) -> List[Optional[str]]:
        """List the patients in natural order, last None if any is unnamed."""
        rows = self._database.execute('SELECT DISTINCT patient FROM images')
        names = [
            None if name is None else name.decode('utf-8', 'surrogatepass')
            for (name,) in rows
        ]
        return sorted(
            names, key=lambda name: (name is None, _natural(name or ''))
        )

    def images(
        self, patient: Optional[str]
    ) -> Iterator[Tuple[int, ImagePrediction]]:
        """Read the images of a patient, in natural order of fields and files.

        Yields:
            tuple[int, ImagePrediction]: Key for :meth:`image`, and image.
        """
        rows = self._database.execute(
            'SELECT id, record FROM images WHERE patient IS ? ORDER BY rank',
            (_encode(patient),),
        )
        for key, record in rows:
            yield key, convert(json.loads(record), ImagePrediction)

    def image(self, key: int) -> ImagePrediction:
        """Read the image of a key that :meth:`images` yields."""
        (record,) = self._database.execute(
            'SELECT record FROM images WHERE id = ?', (key,)
        ).fetchone()
        return convert(json.loads(record), ImagePrediction)


def _encode(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else text.encode('utf-8', 'surrogatepass')


def _natural(text: str) -> str:
    """Make a sort key that puts 10 after 9."""
    return re.sub(
        r'\d+', lambda match: match[0].lstrip('0').rjust(20, '0'), text
    )
