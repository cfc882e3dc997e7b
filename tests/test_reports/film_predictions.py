# Copyright (c) mmleuk authors. All rights reserved.
"""Predictions of small drawn films, for the tests of reports."""

import json

from msgspec import to_builtins
from msgspec.structs import replace
from PIL import Image, ImageDraw

from mmleuk.io.predictions import PredictionReader
from mmleuk.structures import (
    AttributePrediction,
    AttributeSchema,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
    TypeProfile,
)

SIZE = (160, 120)
TYPES = ('none', 'myeloblast', 'promonocyte', 'monocyte', 'basophil')
SCHEMA = AttributeSchema(
    [
        dict(
            name='cell_size',
            title='Cell Size',
            values=('small', 'medium', 'large'),
        ),
        dict(
            name='cytoplasm',
            title='Cytoplasm',
            values=('scanty', 'abundant'),
        ),
    ]
)
# Basophils are in no training data.
PROFILE = TypeProfile(
    TYPES,
    SCHEMA,
    dict(
        cell_size=[[0, 0, 0], [10, 60, 30], [5, 25, 30], [2, 30, 68], [0] * 3],
        cytoplasm=[[0, 0], [97, 3], [20, 40], [10, 90], [0, 0]],
    ),
)
CALIBRATION = dict(fitted_on='val.json', num_cells=900, type_temperature=1.2)


def make_header(**kwargs):
    return PredictionHeader(
        **{
            **dict(
                types=TYPES,
                schema=SCHEMA,
                model=dict(
                    config='attr.py',
                    checkpoint='epoch_9.pth',
                    sha256='f' * 64,
                    dataset='train.json',
                    score_thr=0.3,
                ),
                software=dict(mmleuk='0.1.0'),
                created='2026-01-31T12:00:00+00:00',
                calibration=CALIBRATION,
                type_profile=PROFILE,
            ),
            **kwargs,
        }
    )


def make_cell(
    kind='myeloblast',
    confidence=0.9,
    box=(40, 40, 70, 72),
    size='medium',
    cytoplasm='scanty',
    score=None,
):
    values = dict(cell_size=size, cytoplasm=cytoplasm)
    probs = dict(
        cell_size=[0.8 if v == size else 0.1 for v in SCHEMA[0].values],
        cytoplasm=[0.8 if v == cytoplasm else 0.2 for v in SCHEMA[1].values],
    )
    sure = None if confidence is None else 0.75
    return CellPrediction(
        box,
        kind,
        confidence if score is None else score,
        {
            name: AttributePrediction(value, 0.8, probs[name], sure)
            for name, value in values.items()
        },
        confidence,
        PROFILE.explain(kind, values),
    )


def apart(*cells):
    """The same cells side by side, so that none lies on another."""
    return [
        replace(cell, bbox=(12.0 * n, 0.0, 12.0 * n + 11, 9.0))
        for n, cell in enumerate(cells)
    ]


def make_image(file='3_1.png', cells=(), **kwargs):
    return ImagePrediction(
        file,
        *SIZE,
        tuple(cells),
        **{**dict(patient='3', magnification='100x'), **kwargs},
    )


def make_film(patient='3', num_fields=6, focus=100.0):
    """A patient with cells of all kinds: half of the named ones blasts."""
    images = []
    for number in range(1, num_fields + 1):
        # Cells differ, so that sorting has something to sort.
        shift = 0.01 * number
        cells = [
            make_cell('myeloblast', 0.95 - shift, (10, 10, 40, 42)),
            make_cell('myeloblast', 0.80 - shift, (60, 10, 92, 40), 'small'),
            make_cell('monocyte', 0.7 + shift, (100, 20, 150, 70), 'large'),
            make_cell(
                'promonocyte', 0.6, (20, 70, 60, 110), cytoplasm='abundant'
            ),
        ]
        if number == 1:
            # 3 of 100 training myeloblasts have it.
            cells.append(
                make_cell(
                    'myeloblast',
                    0.85,
                    (80, 80, 118, 116),
                    cytoplasm='abundant',
                )
            )
            cells.append(make_cell('none', 0.5, (130, 80, 155, 110)))
        images.append(
            make_image(
                f'{patient}_{number}.png',
                cells,
                patient=patient,
                field=str(number),
                focus=focus,
            )
        )
    return images


def write_predictions(path, images, **header):
    """Written as ASCII: a file name need not be valid UTF-8."""
    record = make_header(**header).to_dict()
    lines = [json.dumps(to_builtins(image)) for image in images]
    path.write_text(
        f'{json.dumps(record)[:-1]}, "images": [{",".join(lines)}]}}'
    )
    return PredictionReader(path)


def draw_images(folder, images):
    """Draw each image: cells as discs on a pale ground."""
    for image in images:
        drawn = Image.new('RGB', (image.width, image.height), (246, 226, 208))
        pen = ImageDraw.Draw(drawn)
        for cell in image.cells:
            pen.ellipse(cell.bbox, (110, 60, 150))
        path = folder / image.file
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(path)
    return folder
