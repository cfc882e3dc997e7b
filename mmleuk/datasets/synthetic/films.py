# Copyright (c) mmleuk authors. All rights reserved.
"""Draw fields, patients and subsets, and write them to disk."""

import json
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np

from mmleuk.datasets.naming import LLD_SUBSETS
from mmleuk.datasets.sparsify import cut_to_regions
from mmleuk.io.conversion_report import ConversionReport
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.io.writers.json_writers import write_json, write_lld_json
from mmleuk.io.writers.text_writers import SparseTextWriter, TextWriter
from mmleuk.structures import MISSING
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .background import Blood, draw_background, overlap
from .cells import Sprite, draw_cell, mask_extent
from .morphology import (
    CLASS_MIX,
    SCHEMA,
    patient_mix,
    sample_class,
    sample_codes,
)
from .optics import parse_subset, photograph
from .texture import Array

# Raise it when the same settings draw other pixels: films on disk are
# compared with it.
GENERATOR_VERSION = 1
MANIFEST = 'synthetic.json'


@dataclass(frozen=True)
class FilmPlan:
    """Settings of synthetic films.

    Args:
        subsets (tuple[str]): Names such as ``H_100X_C1``. Fields of one
            number, patient and magnification show the same cells in each.
        train_fields (int): Training fields per subset.
        test_fields (int): Test fields per subset.
        train_patients (int): Patients of the training fields.
        test_patients (int): Patients of the test fields. No patient is in
            both splits.
        size (tuple[int, int]): Width and height of the images in pixels.
        cells (float, optional): Mean number of white cells per field. None
            takes that of the magnification.
        squeeze (float): Width of a round object divided by its height. The
            released images are squeezed to about 0.6.
        sparse (bool): Also write sparse labels of the training fields: one
            rectangle each, and the cells whose centre is in it.
        region_share (float): Share of a field in its rectangle.
        text (bool): Also write text labels.
        region_order (str): Order of the rectangle in sparse text labels, a
            key of ``REGION_ORDERS``.
        missing (float): Probability that an attribute code is missing.
        seed (int): Seed.

    Raises:
        ValueError: If a value is out of its range.
    """

    subsets: Tuple[str, ...] = ('H_100X_C1',)
    train_fields: int = 60
    test_fields: int = 20
    train_patients: int = 10
    test_patients: int = 5
    size: Tuple[int, int] = (512, 512)
    cells: Optional[float] = None
    squeeze: float = 1.0
    sparse: bool = False
    region_share: float = 0.2
    text: bool = False
    region_order: str = 'x1x2y1y2'
    missing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for subset in self.subsets:
            parse_subset(subset)
        subsets = tuple(subset.upper() for subset in self.subsets)
        object.__setattr__(self, 'subsets', subsets)
        object.__setattr__(self, 'size', tuple(self.size))
        checks = dict(
            subsets=(len(subsets) > 0, 'at least one'),
            size=(min(self.size) >= 64, 'sides of 64 pixels or more'),
            squeeze=(0.2 <= self.squeeze <= 1, 'a number in [0.2, 1]'),
            region_share=(0 < self.region_share <= 1, 'a number in (0, 1]'),
            region_order=(
                self.region_order in REGION_ORDERS,
                f'one of {list(REGION_ORDERS)}',
            ),
            missing=(0 <= self.missing < 1, 'a number in [0, 1)'),
        )
        for name in ('train_fields', 'test_fields', 'cells', 'seed'):
            checks[name] = ((getattr(self, name) or 0) >= 0, '0 or more')
        for name in ('train_patients', 'test_patients'):
            checks[name] = (getattr(self, name) >= 1, '1 or more')
        for name, (good, expected) in checks.items():
            if not good:
                raise ValueError(
                    f'got {name}={getattr(self, name)!r}, expected {expected}'
                )


PRESETS: Dict[str, FilmPlan] = {
    # Round cells: they look as in a microscope and are no easier to find.
    'demo': FilmPlan(cells=5.0),
    'sparse': FilmPlan(
        subsets=('H_40X_C1',), train_fields=80, size=(640, 640), sparse=True
    ),
    # To compare methods: many cells per field, at a size that a CPU can train
    # on.
    'sparse40x': FilmPlan(subsets=('H_40X_C1',), size=(400, 400), sparse=True),
    'docs': FilmPlan(
        subsets=LLD_SUBSETS,
        train_fields=3,
        test_fields=2,
        train_patients=3,
        test_patients=2,
        size=(640, 640),
        squeeze=0.6,
    ),
    'tests': FilmPlan(
        subsets=('H_100X_C1', 'L_40X_C2'),
        train_fields=4,
        test_fields=2,
        train_patients=2,
        test_patients=1,
        size=(192, 192),
        cells=2.5,
        sparse=True,
        text=True,
        missing=0.05,
    ),
}


@dataclass(frozen=True)
class Patient:
    """A patient.

    Args:
        number (int): Number in file names, from 1.
        diagnosis (str): ALL, AML, APML, CLL or CML.
        blood (Blood): Erythrocytes, platelets and stain.
        mix (dict[str, float]): Share of each class.
    """

    number: int
    diagnosis: str
    blood: Blood
    mix: Dict[str, float]

    @classmethod
    def sample(cls, seed: int, number: int) -> 'Patient':
        """Draw a patient; the number, from 1, determines the diagnosis."""
        rng = _generator(seed, 'patient', number)
        diagnosis = list(CLASS_MIX)[(number - 1) % len(CLASS_MIX)]
        return cls(
            number, diagnosis, Blood.sample(rng), patient_mix(rng, diagnosis)
        )


class DrawnField(NamedTuple):
    """A drawn field with its labels.

    Args:
        image (np.ndarray): (H, W, 3) uint8 in B, G, R.
        record (FieldRecord): The labels of all white cells.
        sparse (FieldRecord, optional): The labels inside one rectangle, where
            sparse labels are wanted.
    """

    image: Array
    record: FieldRecord
    sparse: Optional[FieldRecord] = None


class _PlacedCell(NamedTuple):
    category: str
    codes: Tuple[int, ...]
    sprite: Sprite
    # Centre and radius in pixels.
    x: float
    y: float
    radius: float


def _generator(seed: int, *key: Union[int, str]) -> np.random.Generator:
    """Make the random generator of one named thing."""
    words = [
        zlib.crc32(part.encode()) if isinstance(part, str) else int(part)
        for part in key
    ]
    return np.random.default_rng([seed, *words])


def draw_field(
    plan: FilmPlan, subset: str, patient: Patient, number: int
) -> DrawnField:
    """Draw one field.

    Args:
        plan (FilmPlan): The settings.
        subset (str): Name such as ``H_100X_C1``.
        patient (Patient): Whose blood it is.
        number (int): Number of the field among the patient's, from 1.

    Returns:
        DrawnField: Image and labels.
    """
    power = parse_subset(subset)[1]
    width, height = plan.size
    # The image is drawn with round cells and squeezed afterwards.
    drawn_width = round(width / plan.squeeze)
    rng = _generator(
        plan.seed, 'scene', patient.number, subset.split('_')[1], number
    )
    mean = power.cells if plan.cells is None else plan.cells
    # Fields are chosen for their white cells, but some show none.
    count = 0 if rng.random() < 0.03 else max(rng.poisson(mean), 1)
    placed = _place_cells(
        rng, patient, (height, drawn_width), power.px_per_um, count
    )
    circles = np.array([(cell.x, cell.y, cell.radius) for cell in placed])
    density = draw_background(
        rng,
        patient.blood,
        (height, drawn_width),
        power.px_per_um,
        circles.reshape(-1, 3) / power.px_per_um,
    )
    factors = np.array([width / drawn_width, 1] * 2)
    cells = []
    for cell in placed:
        bbox = paint(density, cell.sprite, cell.x, cell.y) * factors
        lost = rng.random(len(SCHEMA)) < plan.missing
        codes = tuple(np.where(lost, MISSING, cell.codes).tolist())
        bbox = tuple(bbox.round(2).tolist())
        cells.append(CellRecord(bbox, cell.category, codes))
    density *= np.array(patient.blood.stain, np.float32)

    key = subset, patient.number, number
    image = photograph(_generator(plan.seed, 'photo', *key), density, subset)
    if plan.squeeze != 1:
        image = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA
        )
    # The release's sparse set numbers the 100x field as well.
    suffix = '_1' if plan.sparse and power.code == 400 else ''
    name = f'{number}{suffix}_{power.code}_{patient.diagnosis}.png'
    record = FieldRecord(
        f'{patient.number}_{name}', width, height, tuple(cells)
    )
    if not plan.sparse:
        return DrawnField(image, record)
    region = _draw_region(_generator(plan.seed, 'region', *key), plan)
    return DrawnField(image, record, cut_to_regions(record, [region]))


def _place_cells(
    rng: np.random.Generator,
    patient: Patient,
    frame: Tuple[int, int],
    px_per_um: float,
    count: int,
) -> List[_PlacedCell]:
    """Choose white cells and places where they hardly overlap."""
    height, width = frame
    placed: List[_PlacedCell] = []
    for _ in range(count):
        category = sample_class(rng, patient.mix)
        codes = sample_codes(rng, category)
        sprite = draw_cell(
            category, codes, int(rng.integers(2**32)), px_per_um
        )
        x1, y1, x2, y2 = mask_extent(sprite.cover >= 0.5)
        radius = 0.47 * max(x2 - x1, y2 - y1)
        # Half a radius from the border, so that more than half is seen.
        margin = min(0.5 * radius, min(frame) / 3)
        tries = rng.uniform(margin, (width - margin, height - margin), (60, 2))
        for x, y in tries:
            if all(
                np.hypot(x - other.x, y - other.y)
                > 0.97 * (radius + other.radius)
                for other in placed
            ):
                placed.append(
                    _PlacedCell(category, codes, sprite, x, y, radius)
                )
                break
    return placed


def paint(density: Array, sprite: Sprite, x: float, y: float) -> Array:
    """Put a cell on a field.

    Args:
        density (np.ndarray): (H, W, 3) float32, changed in place.
        sprite (Sprite): The cell.
        x (float): Column of the sprite's centre.
        y (float): Row of the sprite's centre.

    Returns:
        np.ndarray: Tight box x1, y1, x2, y2 of the visible part.
    """
    height, width = sprite.cover.shape
    left, top = round(x - width / 2), round(y - height / 2)
    to, of = overlap(density.shape, sprite.cover.shape, left, top)
    cover = sprite.cover[of]
    # A white cell is thicker than an erythrocyte and hides most of it.
    density[to] *= 1 - 0.94 * cover[..., None]
    density[to] += sprite.density[of]
    return mask_extent(cover >= 0.5) + [to[1].start, to[0].start] * 2


def _draw_region(rng: np.random.Generator, plan: FilmPlan) -> Box:
    """Draw an annotated rectangle of the wanted area."""
    width, height = plan.size
    # Any aspect that fits, around that of the image.
    bound = min(2.0, 1 / plan.region_share)
    aspect = np.exp(rng.uniform(-1, 1) * np.log(bound))
    share = np.sqrt(plan.region_share)
    w = int(round(width * share * np.sqrt(aspect)))
    h = int(round(height * share / np.sqrt(aspect)))
    x = int(rng.integers(0, width - w + 1))
    y = int(rng.integers(0, height - h + 1))
    return x, y, x + w, y + h


def fields_of(plan: FilmPlan, subset: str, split: str) -> Iterator[DrawnField]:
    """Draw the fields of one split of one subset.

    Args:
        plan (FilmPlan): The settings.
        subset (str): Name such as ``H_100X_C1``.
        split (str): 'train' or 'test'.

    Yields:
        DrawnField: One field after the other, patients in turn.
    """
    first, patients, fields = dict(
        train=(1, plan.train_patients, plan.train_fields),
        test=(plan.train_patients + 1, plan.test_patients, plan.test_fields),
    )[split]
    for index in range(fields):
        patient = Patient.sample(plan.seed, first + index % patients)
        yield draw_field(plan, subset, patient, index // patients + 1)


def write_films(
    out: Union[str, Path], plan: FilmPlan, overwrite: bool = False
) -> Dict[str, Dict[str, int]]:
    """Draw films and write them in the layout of the release.

    .. code-block:: none

        <out>/<subset>/images/{train,test}/*.png
        <out>/<subset>/json_labels/{train,test}.json
        <out>/<subset>/json_labels/train_sparse.json            (sparse)
        <out>/<subset>/txt_labels/AttriDet/{train,test}/*.txt   (text)
        <out>/<subset>/txt_labels/Sparse/train/*.txt            (both)
        <out>/<subset>/synthetic.json                           (settings)

    A complete subset of the same settings is kept; an unfinished one is drawn
    again.

    Args:
        out (str | Path): Folder of the subsets.
        plan (FilmPlan): The settings.
        overwrite (bool): Replace films of other settings.

    Returns:
        dict[str, dict[str, int]]: Number of images and cells by split
        (``train_images`` ...), for each subset that was drawn now.

    Raises:
        FileExistsError: If a subset's folder holds films of other settings
            and ``overwrite`` is False, or holds other files.
    """
    out = Path(out)
    pending = [
        subset
        for subset in plan.subsets
        if not _already_there(out / subset, plan, overwrite)
    ]
    return {
        subset: _write_subset(out / subset, plan, subset) for subset in pending
    }


def _settings(plan: FilmPlan) -> Dict:
    """Make the manifest of a complete subset, as JSON reads it."""
    settings = dict(generator_version=GENERATOR_VERSION, **asdict(plan))
    # Each subset is drawn on its own, whichever others there are.
    settings.update(complete=True)
    del settings['subsets']
    return json.loads(json.dumps(settings))


def _already_there(folder: Path, plan: FilmPlan, overwrite: bool) -> bool:
    """Tell whether a subset is complete; clear it if it is to be redrawn."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise FileExistsError(
            f'{folder} is not empty and has no {MANIFEST}, so it may not be '
            'synthetic films: choose another folder or delete it by hand'
        )
    found, wanted = json.loads(manifest.read_text()), _settings(plan)
    if found == wanted:
        return True
    differing = sorted(
        key
        for key in {*found, *wanted} - {'complete'}
        if found.get(key) != wanted.get(key)
    )
    if differing and not overwrite:
        raise FileExistsError(
            f'{folder} holds synthetic films of other settings '
            f'({", ".join(differing)}): overwrite them (--overwrite) or '
            'choose another folder'
        )
    for part in ('images', 'json_labels', 'txt_labels'):
        if (folder / part).exists():
            shutil.rmtree(folder / part)
    return False


def _write_subset(folder: Path, plan: FilmPlan, subset: str) -> Dict[str, int]:
    """Draw and write one subset; return the number of images and cells."""
    settings = _settings(plan)
    write_json(folder / MANIFEST, dict(settings, complete=False))
    json_folder, text_folder = folder / 'json_labels', folder / 'txt_labels'
    args = SCHEMA, LLD_CLASSES
    counts = {}
    for split in ('train', 'test'):
        images = folder / 'images' / split
        images.mkdir(parents=True)
        records, sparse = [], []
        for field in fields_of(plan, subset, split):
            path = images / field.record.file_name
            if not cv2.imwrite(str(path), field.image):
                raise OSError(f'could not write {path}')
            records.append(field.record)
            if field.sparse is not None:
                sparse.append(field.sparse)
        write_lld_json(records, json_folder / f'{split}.json', *args)
        if plan.text:
            out = text_folder / 'AttriDet' / split
            _write_text(TextWriter(*args), records, out)
        if split == 'train' and plan.sparse:
            write_lld_json(sparse, json_folder / 'train_sparse.json', *args)
            if plan.text:
                writer = SparseTextWriter(
                    *args, region_order=plan.region_order
                )
                _write_text(writer, sparse, text_folder / 'Sparse' / split)
        counts[f'{split}_images'] = len(records)
        counts[f'{split}_cells'] = sum(len(field.cells) for field in records)
    write_json(folder / MANIFEST, settings)
    return counts


def _write_text(
    writer: TextWriter, fields: List[FieldRecord], folder: Path
) -> None:
    """Write text labels, if there are fields."""
    report = ConversionReport()
    if fields:
        writer.write(writer.fit(fields, report), str(folder), report)
