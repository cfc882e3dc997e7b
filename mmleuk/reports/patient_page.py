# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from PIL import Image

from mmleuk.structures import PredictionHeader
from mmleuk.structures.metainfo import make_palette

from . import wording
from .cell_table import CellTable
from .cell_words import describe_cell, pack_cells
from .comparison import Reference, compare
from .differential import BlastShare, TypeRow, count_types
from .facts import model_facts, provenance, sample_facts
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

# Picture of the whole field, pictures of its cells by number, and why not.
_Taken = Tuple[Optional[Picture], Dict[int, Picture], Optional[str]]

NOTICE = 'Research output, not a diagnosis'


@dataclass(frozen=True)
class PatientEntry:
    """What the index says of a patient.

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
        header (PredictionHeader): What holds for all images.
        settings (ReportSettings): Settings of the report.
        image_root (str | Path, optional): Folder of the images.
        reference (Reference, optional): What to compare attributes with.
    """

    def __init__(
        self,
        store: PatientStore,
        patient: Optional[str],
        header: PredictionHeader,
        settings: ReportSettings,
        image_root: Optional[Path] = None,
        reference: Optional[Reference] = None,
    ) -> None:
        self.store = store
        self.patient = patient
        self.header = header
        self.settings = settings
        self.image_root = image_root
        self.reference = reference
        palette = make_palette(header.types)
        # What the model was never taught is not shown.
        blind = untrained_attributes(header)
        self.attributes = tuple(
            a for a in header.schema or () if a.name not in blind
        )
        self.colours = dict(zip(header.types, palette))
        self.tally = PatientSummary(header, settings)
        self.labels: List[str] = []
        self.rows: List[TypeRow] = []
        self.blasts: Optional[BlastShare] = None
        self._missing: List[str] = []

    def make(self, stem: str, out: Path) -> Tuple[str, PatientEntry]:
        """Make the page, and write the table of cells beside it.

        Args:
            stem (str): Name of the files without their ending.
            out (Path): Folder of the files.

        Returns:
            tuple[str, PatientEntry]: The page as HTML and what the index says
            of the patient.
        """
        table_name = f'{stem}.csv'
        with CellTable(out / table_name, self.header) as table:
            for key, image in self.store.images(self.patient):
                found = self.tally.add(key, image)
                table.write(self.patient, image, found)
        self.labels = _distinct_labels(self.tally)
        self.rows, self.blasts = count_types(self.tally)
        gallery = self._pick_gallery()
        pictured = self._pick_fields()
        crops, fields = self._take_pictures(gallery, pictured)
        notes = find_notes(self.tally, self.labels)
        if self._missing:
            notes.append(
                Note(
                    'no-picture',
                    'Pictures not shown',
                    f'{wording.number(len(self._missing), "image")} could not '
                    'be opened again for pictures. The numbers do not depend '
                    'on them.',
                    items=tuple(self._missing),
                )
            )
        page = self._render(table_name, gallery, crops, fields, notes)
        entry = PatientEntry(
            self.patient,
            f'{stem}.html',
            len(self.tally.fields),
            self.tally.num_named,
            self.blasts,
            tuple(notes),
        )
        return page, entry

    def _pick_gallery(self) -> List[dict]:
        names = [row.name for row in self.rows]
        if self.settings.unnamed_type in self.header.types:
            names.append(self.settings.unnamed_type)
        return [
            dict(name=name, count=self.tally.num_of(name), rows=rows)
            for name in names
            if (rows := self.tally.gallery.rows(name))
        ]

    def _pick_fields(self) -> Set[int]:
        """Take the fields with most blasts, then with most cells."""
        fields = self.tally.fields
        readable = [i for i, field in enumerate(fields) if not field.error]
        readable.sort(
            key=lambda i: (-fields[i].num_blasts, -fields[i].num_cells)
        )
        return set(readable[: self.settings.max_pictures])

    def _take_pictures(
        self, gallery: List[dict], pictured: Set[int]
    ) -> Tuple[Dict[int, Picture], List[dict]]:
        """Open each image that is needed once."""
        wanted: Dict[int, List[FoundCell]] = {i: [] for i in pictured}
        for section in gallery:
            for row in section['rows']:
                for found in row.cells:
                    wanted.setdefault(found.field_index, []).append(found)

        def take(index: int) -> _Taken:
            field = self.tally.fields[index]
            try:
                image = open_image(field.file, field.size, self.image_root)
            except (OSError, ValueError) as error:
                return None, {}, f'{self.labels[index]}: {error}'
            whole = index in pictured
            return *self._picture(image, index, whole, wanted[index]), None

        crops: Dict[int, Picture] = {}
        fields = []
        # Pillow decodes and shrinks without holding the interpreter.
        with ThreadPoolExecutor(2) as pool:
            order = sorted(wanted)
            for index, taken in zip(order, pool.map(take, order)):
                picture, some, error = taken
                crops.update(some)
                if error is not None:
                    self._missing.append(error)
                if picture is not None:
                    fields.append(self._show_field(index, picture))
        return crops, fields

    def _picture(
        self,
        image: Image.Image,
        index: int,
        whole: bool,
        cells: Sequence[FoundCell],
    ) -> Tuple[Optional[Picture], Dict[int, Picture]]:
        crops = {}
        if cells:
            window = self.tally.window(self.tally.fields[index].scale)
            for found in cells:
                crops[found.number] = crop(
                    image, found.cell.bbox, window, self.settings.crop_size
                )
        size = self.settings.picture_size
        return (shrink(image, size) if whole else None), crops

    def _show_field(self, index: int, picture: Picture) -> dict:
        field = self.tally.fields[index]
        first = sum(other.num_cells for other in self.tally.fields[:index])
        cells = merge_duplicate_boxes(
            self.store.image(field.key),
            index,
            first,
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
        x1, y1, x2, y2 = found.cell.bbox
        return dict(
            number=found.number,
            place=found.place,
            type=found.cell.type,
            colour=self.colours[found.cell.type],
            certainty=found.confidence,
            left=x1,
            top=y1,
            width=x2 - x1,
            height=y2 - y1,
        )

    def _show_cell(self, found: FoundCell, picture: Optional[Picture]) -> dict:
        return dict(
            self._show_box(found),
            field_index=found.field_index,
            field=self.labels[found.field_index],
            picture=picture,
            **describe_cell(self.attributes, found),
        )

    def _render(
        self,
        table_name: str,
        gallery: List[dict],
        crops: Dict[int, Picture],
        fields: List[dict],
        notes: List[Note],
    ) -> str:
        tally = self.tally
        sections = [
            dict(
                section,
                colour=self.colours[section['name']],
                is_blast=section['name'] in tally.blasts,
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
        # Blasts and doubtful cells were kept; they are listed as they lie.
        listed = sorted(tally.table, key=lambda found: found.number)
        table = [self._show_cell(found, None) for found in listed]
        in_gallery = [
            cell
            for section in sections
            for row in section['rows']
            for cell in row['cells']
        ]
        name = self.patient
        title = f'Patient {name}' if name else 'No patient named'
        untrained = untrained_types(tally)
        calibrated = not tally.num_uncalibrated
        profile = tally.profile()
        compared, too_few = ({}, [])
        if self.attributes:
            compared, too_few = compare(
                profile, self.reference, self.attributes, self.settings.level
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
            facts=sample_facts(tally) + model_facts(self.header),
            provenance=provenance(self.header, self.settings),
            settings=self.settings,
            tally=tally,
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
            one_scale=len({field.scale for field in tally.readable}) < 2,
            compared=compared,
            too_few=[kind for kind in too_few if kind != unnamed],
            reference=self.reference,
            surprising=[
                (wording.surprise(self.attributes, kind, item), kind, count)
                for kind, item, count in tally.surprising_values()
            ],
            fields=fields,
            blurred=find_blurred(tally),
            num_readable=len(tally.readable),
            table=table,
            table_name=table_name,
            attributes=[attribute.title for attribute in self.attributes],
            colours=self.colours,
            data=pack_cells(table + in_gallery, calibrated),
        )


def _distinct_labels(tally: PatientSummary) -> List[str]:
    """Name fields so that no two are called the same."""
    seen = Counter(field.name for field in tally.fields)
    return [
        field.name if seen[field.name] == 1 else f'{field.name} ({field.file})'
        for field in tally.fields
    ]
