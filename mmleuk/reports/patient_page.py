# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set, Tuple, Union

from mmleuk.structures import PredictionHeader
from mmleuk.structures.metainfo import make_palette
from mmleuk.version import __version__

from . import wording
from .cell_table import cell_table
from .comparison import Reference, compare
from .differential import BlastShare, count_types
from .found_cells import FoundCell, merge_duplicate_boxes
from .notes import (
    Note,
    find_blurred,
    find_notes,
    untrained_attributes,
    untrained_types,
)
from .patient_store import PatientStore
from .patient_summary import PatientSummary
from .pictures import Picture, crop, open_image, shrink
from .rendering import render
from .settings import ReportSettings

# Picture of a field, pictures of its cells by number, and an error.
_Taken = Tuple[Optional[Picture], Dict[int, Picture], Optional[str]]

_UNKNOWN = 'not stated'

NOTICE = 'Research output, not a diagnosis'


@dataclass(frozen=True)
class PatientEntry:
    """Entry of a patient in the index.

    Args:
        patient (str, optional): The patient, None of images that name none.
        page (str): File name of the page.
        num_fields (int): Images.
        num_cells (int): Cells that could be named.
        blasts (BlastShare): The share of blasts.
        notes (tuple[Note]): Notes on the data.
    """

    patient: Optional[str]
    page: str
    num_fields: int
    num_cells: int
    blasts: BlastShare
    notes: Tuple[Note, ...]


class PatientPage:
    """Makes the page and the table of one patient.

    Args:
        store (PatientStore): The predictions.
        patient (str, optional): One of its patients.
        header (PredictionHeader): Header of the predictions.
        settings (ReportSettings): Settings of the report.
        image_root (str | Path, optional): Folder of the images.
        reference (Reference, optional): Reference for the attributes.
    """

    def __init__(
        self,
        store: PatientStore,
        patient: Optional[str],
        header: PredictionHeader,
        settings: ReportSettings,
        image_root: Union[str, Path, None] = None,
        reference: Optional[Reference] = None,
    ) -> None:
        self.store = store
        self.patient = patient
        self.header = header
        self.settings = settings
        self.image_root = image_root
        self.reference = reference
        without_labels = untrained_attributes(header)
        self.attributes = tuple(
            a for a in header.schema or () if a.name not in without_labels
        )
        self.colours = dict(zip(header.types, make_palette(header.types)))
        self.summary = PatientSummary(header, settings)

    def make(self, stem: str, out: Path) -> Tuple[str, PatientEntry]:
        """Make the page, and write the table of cells.

        Args:
            stem (str): Name of the files without their ending.
            out (Path): Folder of the files.

        Returns:
            tuple[str, PatientEntry]: The page as HTML and the entry of the
            patient in the index.
        """
        summary, table_name = self.summary, f'{stem}.csv'
        with cell_table(out / table_name, self.header) as write:
            for key, image in self.store.images(self.patient):
                write(self.patient, image, summary.add(key, image))
        self.labels = _distinct_labels(summary)
        self.rows, self.blasts = count_types(summary)
        gallery = self._pick_gallery()
        crops, fields, missing = self._take_pictures(gallery)
        notes = find_notes(summary, self.labels)
        if missing:
            notes.append(
                Note(
                    'no-picture',
                    'Pictures not shown',
                    f'{wording.number(len(missing), "image")} could not '
                    'be opened again for pictures. The numbers do not depend '
                    'on them.',
                    items=tuple(missing),
                )
            )
        entry = PatientEntry(
            self.patient,
            f'{stem}.html',
            len(summary.fields),
            summary.num_named,
            self.blasts,
            tuple(notes),
        )
        return self._render(table_name, gallery, crops, fields, notes), entry

    def _pick_gallery(self) -> List[dict]:
        """Choose the cells to show of each type."""
        names = [row.name for row in self.rows]
        if self.settings.unnamed_type in self.header.types:
            names.append(self.settings.unnamed_type)
        return [
            dict(name=name, count=self.summary.num_of(name), rows=rows)
            for name in names
            if (rows := self.summary.gallery.rows(name))
        ]

    def _pick_fields(self) -> Set[int]:
        """Choose the fields with most blasts, then with most cells."""
        fields = self.summary.fields
        readable = [i for i, field in enumerate(fields) if not field.error]
        readable.sort(
            key=lambda i: (-fields[i].num_blasts, -fields[i].num_cells)
        )
        return set(readable[: self.settings.max_pictures])

    def _take_pictures(
        self, gallery: List[dict]
    ) -> Tuple[Dict[int, Picture], List[dict], List[str]]:
        """Crops by cell, fields, and errors, opening each image once."""
        pictured = self._pick_fields()
        wanted: Dict[int, List[FoundCell]] = {i: [] for i in pictured}
        for section in gallery:
            for row in section['rows']:
                for found in row.cells:
                    wanted.setdefault(found.field_index, []).append(found)

        def take(index: int) -> _Taken:
            field = self.summary.fields[index]
            try:
                image = open_image(field.file, field.size, self.image_root)
            except (OSError, ValueError) as error:
                return None, {}, f'{self.labels[index]}: {error}'
            picture = None
            if index in pictured:
                picture = shrink(image, self.settings.picture_size)
            cut = {}
            if wanted[index]:
                window = self.summary.window(field.scale)
                cut = {
                    found.number: crop(
                        image, found.cell.bbox, window, self.settings.crop_size
                    )
                    for found in wanted[index]
                }
            return picture, cut, None

        crops: Dict[int, Picture] = {}
        fields, missing = [], []
        # Pillow decodes and shrinks without holding the interpreter.
        with ThreadPoolExecutor(2) as pool:
            order = sorted(wanted)
            for index, taken in zip(order, pool.map(take, order)):
                picture, some, error = taken
                crops.update(some)
                if error is not None:
                    missing.append(error)
                if picture is not None:
                    fields.append(self._show_field(index, picture))
        return crops, fields, missing

    def _show_field(self, index: int, picture: Picture) -> dict:
        """Describe a field and its boxes for the template."""
        fields = self.summary.fields
        field = fields[index]
        cells = merge_duplicate_boxes(
            self.store.image(field.key),
            index,
            sum(other.num_cells for other in fields[:index]),
            self.settings.same_cell_iou,
        )
        return dict(
            index=index,
            label=self.labels[index],
            file=field.file,
            picture=picture,
            num_cells=field.num_cells,
            num_blasts=field.num_blasts,
            boxes=[self._show_box(found) for found in cells],
        )

    def _show_box(self, found: FoundCell) -> dict:
        """Describe the box of a cell for the template."""
        x1, y1, x2, y2 = found.cell.bbox
        return dict(
            number=found.number,
            place=found.place,
            type=found.cell.type,
            colour=self.colours[found.cell.type],
            confidence=found.confidence,
            left=x1,
            top=y1,
            width=x2 - x1,
            height=y2 - y1,
        )

    def _show_cell(self, found: FoundCell, picture: Optional[Picture]) -> dict:
        """Describe a cell for the template."""
        return dict(
            self._show_box(found),
            field_index=found.field_index,
            field=self.labels[found.field_index],
            picture=picture,
            **wording.describe_cell(self.attributes, found),
        )

    def _render(
        self,
        table_name: str,
        gallery: List[dict],
        crops: Dict[int, Picture],
        fields: List[dict],
        notes: List[Note],
    ) -> str:
        summary = self.summary
        sections = [
            dict(
                section,
                colour=self.colours[section['name']],
                is_blast=section['name'] in summary.blasts,
                rows=[
                    dict(
                        kind=row.kind,
                        cells=[
                            self._show_cell(found, crops.get(found.number))
                            for found in row.cells
                        ],
                    )
                    for row in section['rows']
                ],
            )
            for section in gallery
        ]
        # Blasts and cells of low confidence were kept; listed by number.
        listed = sorted(summary.table, key=lambda found: found.number)
        table = [self._show_cell(found, None) for found in listed]
        in_gallery = [
            cell
            for section in sections
            for row in section['rows']
            for cell in row['cells']
        ]
        name = self.patient
        title = f'Patient {name}' if name else 'No patient named'
        untrained = untrained_types(summary)
        calibrated = not summary.num_uncalibrated
        compared: dict = {}
        too_few: list = []
        if self.attributes:
            compared, too_few = compare(
                summary.profile,
                self.reference,
                self.attributes,
                self.settings.level,
            )
        unnamed = self.settings.unnamed_type
        compared = {
            row.name: compared[row.name]
            for row in self.rows
            if row.name in compared
        }
        return render(
            'patient.html',
            footer=f'{title} · {NOTICE}',
            notice=NOTICE,
            patient=name,
            title=title,
            facts=_sample_facts(summary) + model_facts(self.header),
            provenance=_provenance(self.header, self.settings),
            settings=self.settings,
            summary=summary,
            blasts=self.blasts,
            rows=[row for row in self.rows if row.share.count],
            not_found=[
                row
                for row in self.rows
                if not row.share.count and row.name not in untrained
            ],
            untrained=untrained,
            method=self.rows[0].share.method if self.rows else 'wilson',
            calibrated=calibrated,
            has_calibration=self.header.calibration is not None,
            has_attributes=bool(self.attributes),
            notes=notes,
            sections=sections,
            one_scale=len({field.scale for field in summary.readable}) < 2,
            compared=compared,
            too_few=[kind for kind in too_few if kind != unnamed],
            reference=self.reference,
            surprising=[
                (wording.surprise(self.attributes, kind, item), kind, count)
                for kind, item, count in summary.surprising_values()
            ],
            fields=fields,
            blurred=find_blurred(summary),
            num_readable=len(summary.readable),
            table=table,
            table_name=table_name,
            attributes=[attribute.title for attribute in self.attributes],
            colours=self.colours,
            data=wording.pack_cells(table + in_gallery, calibrated),
        )


def _distinct_labels(summary: PatientSummary) -> List[str]:
    """Name fields so that no two are called the same."""
    seen = Counter(field.name for field in summary.fields)
    return [
        field.name if seen[field.name] == 1 else f'{field.name} ({field.file})'
        for field in summary.fields
    ]


def model_facts(header: PredictionHeader) -> List[Tuple[str, str]]:
    """List the facts of the model at the top of a page, with their names."""
    return [
        # The time is part of the provenance.
        ('Analysed', header.created[:10]),
        ('Model', str(header.model.get('checkpoint') or _UNKNOWN)),
        ('Trained on', str(header.model.get('dataset') or _UNKNOWN)),
    ]


def _sample_facts(summary: PatientSummary) -> List[Tuple[str, str]]:
    """Facts of the sample at the top of the page, with their names."""
    scales = [field.scale for field in summary.fields]
    facts = [
        ('Fields', f'{len(summary.fields):,}'),
        ('Cells counted', f'{summary.num_named:,}'),
        ('Magnification', _list_counts(scale[0] for scale in scales)),
    ]
    if any(scale[1] for scale in scales):
        facts.append(('Subset', _list_counts(scale[1] for scale in scales)))
    if summary.diagnoses:
        names = ', '.join(sorted(summary.diagnoses))
        facts.append(('Diagnosis in file names (not used)', names))
    return facts


def _provenance(
    header: PredictionHeader, settings: ReportSettings
) -> List[Tuple[str, str]]:
    """Origin of the numbers, with their names."""
    names = dict(
        config='Config',
        checkpoint='Checkpoint',
        sha256='SHA-256 of the checkpoint',
        dataset='Training data',
        score_thr='Score threshold',
    )
    facts = [('Analysed', header.created)]
    for key, name in names.items():
        value = header.model.get(key)
        facts.append((name, _UNKNOWN if value is None else str(value)))
    software = [f'{name} {text}' for name, text in header.software.items()]
    return facts + [
        ('Calibrated on', _name_calibration(header.calibration)),
        ('Software', ', '.join(software) or _UNKNOWN),
        ('Report', f'mmleuk {__version__}'),
        (
            'Bootstrap',
            f'{settings.num_resamples} draws of fields, seed {settings.seed}',
        ),
        ('Types of the model', ', '.join(header.types)),
    ]


def _name_calibration(calibration: Optional[dict]) -> str:
    if calibration is None:
        return 'nothing: the model is not calibrated'
    text = str(calibration.get('fitted_on') or f'data {_UNKNOWN}')
    if calibration.get('num_cells') is not None:
        text += f', {wording.number(calibration["num_cells"], "cell")}'
    return text


def _list_counts(values: Iterable[Optional[str]]) -> str:
    counts = Counter(value or _UNKNOWN for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return ', '.join(f'{name} ({counts[name]})' for name in sorted(counts))
