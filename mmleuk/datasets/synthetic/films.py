# Copyright (c) mmleuk authors. All rights reserved.
"""Composing fields, patients and subsets, and writing them to disk.

The films are made up. They let the demo, the tests and the documentation run
without a download; a score on them says nothing about real blood.
"""

import json
import shutil
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from mmleuk.datasets.naming import LLD_SUBSETS
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.structures.metainfo import LLD_CLASSES

from .background import Blood, draw_background, overlap
from .cells import Sprite, draw_cell, mask_extent
from .morphology import (
    CLASS_MIX,
    NOT_APPLICABLE,
    SCHEMA,
    patient_mix,
    sample_class,
    sample_codes,
)
from .optics import MAGNIFICATIONS, parse_subset, photograph
from .texture import Array

# Raised whenever the same settings draw other pixels, so that films on disk
# are never taken for what the code at hand would draw.
GENERATOR_VERSION = 1
MANIFEST = 'synthetic.json'


@dataclass(frozen=True)
class FilmPlan:
    """What to draw.

    Args:
        subsets (tuple[str]): Names such as ``H_100X_C1``. Fields of one
            number, patient and magnification show the same cells in each.
        train_fields (int): Training fields a subset.
        test_fields (int): Test fields a subset.
        train_patients (int): Patients of the training fields.
        test_patients (int): Patients of the test fields; none is in both.
        size (tuple[int, int]): Width and height of the images in pixels.
        cells (float, optional): Mean number of white cells a field. None
            takes the magnification's own. Default: None.
        squeeze (float): Width of a round thing over its height. The released
            images are squeezed to about 0.60. Default: 1.
        sparse (bool): Also write sparse labels of the training fields: one
            rectangle each, and the cells whose centre is in it.
            Default: False.
        region_share (float): Share of a field in its rectangle.
            Default: 0.2.
        text (bool): Also write text labels. Default: False.
        region_order (str): Order of the rectangle in sparse text labels,
            'x1x2y1y2' as the release's README has it, or 'x1y1x2y2' as its
            loader unpacks it. Default: 'x1x2y1y2'.
        missing (float): Chance that an attribute code is missing.
            Default: 0.
        seed (int): Seed. Default: 0.

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
        object.__setattr__(
            self, 'subsets', tuple(subset.upper() for subset in self.subsets)
        )
        object.__setattr__(self, 'size', tuple(self.size))
        checks = [
            ('subsets', len(self.subsets) > 0, 'at least one'),
            ('train_fields', self.train_fields >= 0, '0 or more'),
            ('test_fields', self.test_fields >= 0, '0 or more'),
            ('train_patients', self.train_patients >= 1, '1 or more'),
            ('test_patients', self.test_patients >= 1, '1 or more'),
            ('size', min(self.size) >= 64, 'sides of 64 pixels or more'),
            ('cells', self.cells is None or self.cells >= 0, '0 or more'),
            ('squeeze', 0.2 <= self.squeeze <= 1, 'a number in [0.2, 1]'),
            (
                'region_share',
                0 < self.region_share <= 1,
                'a number above 0, at most 1',
            ),
            (
                'region_order',
                self.region_order in REGION_ORDERS,
                f'one of {list(REGION_ORDERS)}',
            ),
            ('missing', 0 <= self.missing < 1, 'a number in [0, 1)'),
            ('seed', self.seed >= 0, '0 or more'),
        ]
        for name, good, expected in checks:
            if not good:
                raise ValueError(
                    f'got {name}={getattr(self, name)!r}, expected {expected}'
                )


PRESETS: Dict[str, FilmPlan] = {
    # Round cells: squeezed ones are no harder, and those who look at the
    # demo's drawings should see what they know from a microscope.
    'demo': FilmPlan(cells=5.0),
    'sparse': FilmPlan(
        subsets=('H_40X_C1',), train_fields=80, size=(640, 640), sparse=True
    ),
    # To compare methods on: many cells a field, which is no larger than what a
    # CPU trains at.
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
    """A patient: diagnosis, blood, and own mix of classes.

    Args:
        number (int): Number, as in file names.
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
        """Draw a patient.

        Args:
            seed (int): Seed of all films.
            number (int): Number, from 1. Diagnoses take turns.

        Returns:
            Patient: The patient.
        """
        rng = _generator(seed, 'patient', number)
        diagnosis = list(CLASS_MIX)[(number - 1) % len(CLASS_MIX)]
        return cls(
            number, diagnosis, Blood.sample(rng), patient_mix(rng, diagnosis)
        )


@dataclass(frozen=True)
class FieldCell:
    """One labelled cell of a field.

    Args:
        class_name (str): One of the 14 classes.
        codes (tuple[int]): Seven attribute codes as written to file.
        bbox (tuple[float]): x1, y1, x2, y2 in pixels of the image.
    """

    class_name: str
    codes: Tuple[int, ...]
    bbox: Tuple[float, float, float, float]

    @property
    def centre(self) -> Tuple[float, float]:
        """tuple[float, float]: x and y of the middle of the box."""
        x1, y1, x2, y2 = self.bbox
        return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True)
class Field:
    """One field of a film.

    Args:
        file_name (str): Name as in the release.
        image (np.ndarray): (H, W, 3) uint8 in B, G, R.
        cells (tuple[FieldCell]): The white cells.
        region (tuple[int], optional): The annotated rectangle x1, y1, x2, y2
            in pixels, where sparse labels are wanted.
    """

    file_name: str
    image: Array
    cells: Tuple[FieldCell, ...]
    region: Optional[Tuple[int, int, int, int]] = None

    @property
    def cells_in_region(self) -> Tuple[FieldCell, ...]:
        """tuple[FieldCell]: Cells whose centre is in the rectangle."""
        x1, y1, x2, y2 = self.region
        return tuple(
            cell
            for cell in self.cells
            if x1 <= cell.centre[0] <= x2 and y1 <= cell.centre[1] <= y2
        )


def _generator(seed: int, *key: Union[int, str]) -> np.random.Generator:
    """A generator of its own for each thing that is drawn by name."""
    words = [
        zlib.crc32(part.encode()) if isinstance(part, str) else int(part)
        for part in key
    ]
    return np.random.default_rng([seed, *words])


def draw_field(
    plan: FilmPlan, subset: str, patient: Patient, number: int
) -> Field:
    """Draw one field.

    Args:
        plan (FilmPlan): The settings.
        subset (str): Name such as ``H_100X_C1``.
        patient (Patient): Whose blood it is.
        number (int): Number of the field among the patient's, from 1.

    Returns:
        Field: Image and labels.
    """
    magnification = subset.upper().split('_')[1]
    power = MAGNIFICATIONS[magnification]
    width, height = plan.size
    frame = (height, round(width / plan.squeeze))
    rng = _generator(plan.seed, 'scene', patient.number, magnification, number)
    mean = power.cells if plan.cells is None else plan.cells
    # Fields are chosen for their white cells, but some show none.
    count = 0 if rng.random() < 0.03 else max(rng.poisson(mean), 1)
    placed = _place_cells(rng, patient, frame, power.px_per_um, count)
    circles = np.array([(x, y, radius) for _, _, _, x, y, radius in placed])
    density = draw_background(
        rng,
        patient.blood,
        frame,
        power.px_per_um,
        circles.reshape(-1, 3) / power.px_per_um,
    )
    cells = []
    for class_name, codes, sprite, x, y, _ in placed:
        bbox = paint(density, sprite, x, y)
        codes = _forget(rng, codes, plan.missing)
        cells.append(FieldCell(class_name, codes, bbox))
    density *= np.array(patient.blood.stain, np.float32)

    image = photograph(
        _generator(plan.seed, 'photo', subset, patient.number, number),
        density,
        subset,
    )
    if plan.squeeze != 1:
        image = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA
        )
        factor = width / frame[1]
        cells = [
            replace(
                cell,
                bbox=(
                    cell.bbox[0] * factor,
                    cell.bbox[1],
                    cell.bbox[2] * factor,
                    cell.bbox[3],
                ),
            )
            for cell in cells
        ]
    region = None
    if plan.sparse:
        region = _draw_region(
            _generator(plan.seed, 'region', subset, patient.number, number),
            plan,
        )
    name = _file_name(plan, subset, patient, number)
    return Field(name, image, tuple(cells), region)


def _place_cells(
    rng: np.random.Generator,
    patient: Patient,
    frame: Tuple[int, int],
    px_per_um: float,
    count: int,
) -> List[Tuple[str, Tuple[int, ...], Sprite, float, float, float]]:
    """Choose white cells and places where they hardly overlap.

    Returns:
        list[tuple]: Class, codes, sprite, x, y and radius in pixels.
    """
    height, width = frame
    placed = []
    for _ in range(count):
        class_name = sample_class(rng, patient.mix)
        codes = sample_codes(rng, class_name)
        sprite = draw_cell(
            class_name, codes, int(rng.integers(2**32)), px_per_um
        )
        x1, y1, x2, y2 = sprite.extent()
        radius = 0.47 * max(x2 - x1, y2 - y1)
        # Half a radius from the border, so that more than half is seen.
        margin = min(0.5 * radius, min(frame) / 3)
        tries = rng.uniform(margin, (width - margin, height - margin), (60, 2))
        for x, y in tries:
            if all(
                np.hypot(x - other[3], y - other[4])
                > 0.97 * (radius + other[5])
                for other in placed
            ):
                placed.append((class_name, codes, sprite, x, y, radius))
                break
    return placed


def paint(
    density: Array, sprite: Sprite, x: float, y: float
) -> Tuple[float, float, float, float]:
    """Put a cell on a field.

    Args:
        density (np.ndarray): (H, W, 3) float32, changed in place.
        sprite (Sprite): The cell.
        x (float): Column of the sprite's centre.
        y (float): Row of the sprite's centre.

    Returns:
        tuple[float]: Tight box x1, y1, x2, y2 of what is inside the field.
    """
    height, width = sprite.cover.shape
    left, top = round(x - width / 2), round(y - height / 2)
    to, of = overlap(density.shape, sprite.cover.shape, left, top)
    cover = sprite.cover[of]
    # A white cell is thicker than an erythrocyte and hides most of it.
    density[to] *= 1 - 0.94 * cover[..., None]
    density[to] += sprite.density[of]
    x1, y1, x2, y2 = mask_extent(cover >= 0.5)
    dx, dy = to[1].start, to[0].start
    return float(x1 + dx), float(y1 + dy), float(x2 + dx), float(y2 + dy)


def _forget(
    rng: np.random.Generator, codes: Tuple[int, ...], missing: float
) -> Tuple[int, ...]:
    lost = rng.random(len(codes)) < missing
    return tuple(
        NOT_APPLICABLE if gone else code for code, gone in zip(codes, lost)
    )


def _draw_region(
    rng: np.random.Generator, plan: FilmPlan
) -> Tuple[int, int, int, int]:
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


def _file_name(
    plan: FilmPlan, subset: str, patient: Patient, number: int
) -> str:
    power = MAGNIFICATIONS[subset.upper().split('_')[1]]
    field = str(number)
    if plan.sparse and power.code == 400:
        # The release's sparse set numbers the 100x field as well.
        field = f'{number}_1'
    return f'{patient.number}_{field}_{power.code}_{patient.diagnosis}.png'


def fields_of(plan: FilmPlan, subset: str, split: str) -> Iterator[Field]:
    """Draw the fields of one split of one subset.

    Args:
        plan (FilmPlan): The settings.
        subset (str): Name such as ``H_100X_C1``.
        split (str): 'train' or 'test'.

    Yields:
        Field: One field after the other, patients in turn.
    """
    first, patients, fields = {
        'train': (1, plan.train_patients, plan.train_fields),
        'test': (
            plan.train_patients + 1,
            plan.test_patients,
            plan.test_fields,
        ),
    }[split]
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

    A subset that is there already, whole and with the same settings, is left
    as it is; one that a run with the same settings left unfinished is drawn
    again.

    Args:
        out (str | Path): Folder of the subsets.
        plan (FilmPlan): The settings.
        overwrite (bool): Replace films of other settings.
            Defaults to False.

    Returns:
        dict[str, dict[str, int]]: Number of images and cells drawn by split
        (``train_images`` ...), for each subset that was drawn now.

    Raises:
        FileExistsError: If a subset's folder holds anything else and
            ``overwrite`` is False, or holds what this function never wrote.
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
    settings = dict(generator_version=GENERATOR_VERSION, **asdict(plan))
    # Each subset is drawn on its own: it doesn't matter what else was.
    del settings['subsets']
    return json.loads(json.dumps(settings))


def _already_there(folder: Path, plan: FilmPlan, overwrite: bool) -> bool:
    if not folder.exists() or not any(folder.iterdir()):
        return False
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise FileExistsError(
            f'{folder} is not empty and has no {MANIFEST}, so it may not be '
            'synthetic films: choose another folder or delete it by hand'
        )
    found = json.loads(manifest.read_text())
    complete = found.pop('complete', False)
    wanted = _settings(plan)
    if complete and found == wanted:
        return True
    if found != wanted and not overwrite:
        differing = sorted(
            key
            for key in {*found, *wanted}
            if found.get(key) != wanted.get(key)
        )
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
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    _write_json(manifest, dict(complete=False, **_settings(plan)))
    counts = {}
    for split in ('train', 'test'):
        images = folder / 'images' / split
        images.mkdir(parents=True)
        full, sparse = _LabelFile(plan), _LabelFile(plan)
        for field in fields_of(plan, subset, split):
            path = images / field.file_name
            if not cv2.imwrite(str(path), field.image):
                raise OSError(f'could not write {path}')
            full.add(field.file_name, field.cells)
            if split == 'train' and plan.sparse:
                sparse.add(
                    field.file_name, field.cells_in_region, field.region
                )
            if plan.text:
                _write_text(folder, split, plan, field)
        labels = folder / 'json_labels'
        labels.mkdir(exist_ok=True)
        _write_json(labels / f'{split}.json', full.content)
        if split == 'train' and plan.sparse:
            _write_json(labels / 'train_sparse.json', sparse.content)
        counts[f'{split}_images'] = len(full.content['images'])
        counts[f'{split}_cells'] = len(full.content['annotations'])
    _write_json(manifest, dict(complete=True, **_settings(plan)))
    return counts


class _LabelFile:
    """Content of one JSON label file, with the keys of the release.

    Args:
        plan (FilmPlan): The settings.
    """

    def __init__(self, plan: FilmPlan) -> None:
        self.size = plan.size
        self.content = dict(
            images=[],
            annotations=[],
            categories=[
                dict(id=index, name=name)
                for index, name in enumerate(LLD_CLASSES)
            ],
        )

    def add(
        self,
        file_name: str,
        cells: Sequence[FieldCell],
        region: Optional[Sequence[int]] = None,
    ) -> None:
        """Add one image.

        Args:
            file_name (str): Name of the image file.
            cells (Sequence[FieldCell]): Its labelled cells.
            region (Sequence[int], optional): Its annotated rectangle. None
                means that all of it is annotated. Defaults to None.
        """
        width, height = self.size
        image_id = len(self.content['images'])
        image = dict(
            id=image_id, file_name=file_name, width=width, height=height
        )
        if region is not None:
            image['annotated_regions'] = [list(region)]
        self.content['images'].append(image)
        for cell in cells:
            x1, y1, x2, y2 = (round(value, 2) for value in cell.bbox)
            keys = (attribute.json_key for attribute in SCHEMA)
            self.content['annotations'].append(
                dict(
                    id=len(self.content['annotations']),
                    image_id=image_id,
                    category_id=LLD_CLASSES.index(cell.class_name),
                    bbox=[x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                    area=round((x2 - x1) * (y2 - y1), 2),
                    iscrowd=0,
                    **dict(zip(keys, cell.codes)),
                )
            )


def _write_json(path: Path, content: Dict) -> None:
    path.write_text(json.dumps(content, indent=1) + '\n')


def _write_text(
    folder: Path, split: str, plan: FilmPlan, field: Field
) -> None:
    name = Path(field.file_name).with_suffix('.txt').name
    full = folder / 'txt_labels' / 'AttriDet' / split
    full.mkdir(parents=True, exist_ok=True)
    rows = [_text_row(plan, cell, ()) for cell in field.cells]
    (full / name).write_text(''.join(rows))
    if split == 'train' and plan.sparse:
        sparse = folder / 'txt_labels' / 'Sparse' / split
        sparse.mkdir(parents=True, exist_ok=True)
        x1, y1, x2, y2 = field.region
        region = {'x1x2y1y2': (x1, x2, y1, y2), 'x1y1x2y2': (x1, y1, x2, y2)}[
            plan.region_order
        ]
        # A rectangle without cells is an empty file, as in the release: it
        # says nothing of the rectangle.
        rows = [
            _text_row(plan, cell, region) for cell in field.cells_in_region
        ]
        (sparse / name).write_text(''.join(rows))


def _text_row(plan: FilmPlan, cell: FieldCell, region: Sequence[int]) -> str:
    width, height = plan.size
    x1, y1, x2, y2 = cell.bbox
    box = (
        (x1 + x2) / 2 / width,
        (y1 + y2) / 2 / height,
        (x2 - x1) / width,
        (y2 - y1) / height,
    )
    columns = [str(LLD_CLASSES.index(cell.class_name))]
    columns += [f'{value:.6f}' for value in box]
    columns += [str(value) for value in (*region, *cell.codes)]
    return ' '.join(columns) + '\n'
