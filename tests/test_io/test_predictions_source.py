# Copyright (c) mmleuk authors. All rights reserved.
import json

from converter_fields import SCHEMA

from mmleuk.io import ReadSettings, convert
from mmleuk.io.predictions import PredictionWriter
from mmleuk.structures import (
    AttributePrediction,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
)


def test_predictions_become_tasks_to_correct(exports, tmp_path):
    source = tmp_path / 'predictions.json'
    header = PredictionHeader(
        ('neutrophil', 'monocyte', 'none'),
        SCHEMA,
        {},
        {},
        '2024-05-01T10:00:00',
    )
    large = AttributePrediction('large', 0.7, (0.1, 0.2, 0.7))
    with PredictionWriter(source, header) as writer:
        writer.write(
            ImagePrediction(
                'film/a.png',
                64,
                48,
                (
                    CellPrediction(
                        (16, 12, 32, 36),
                        'neutrophil',
                        0.9,
                        dict(cell_size=large),
                    ),
                    CellPrediction((1, 1, 9, 9), 'monocyte', 0.2),
                    CellPrediction(
                        (40, 1, 49, 9), 'none', 0.9, dict(cell_size=large)
                    ),
                ),
            )
        )
        writer.write(ImagePrediction('x.png', 0, 0, error='cut off'))
    target = tmp_path / 'tasks.json'
    report = convert(
        str(source),
        str(target),
        'predictions',
        'label_studio',
        ReadSettings(str(exports.images), SCHEMA, min_score=0.5),
        as_predictions=True,
        image_prefix='/data/local-files/?d=film/',
    )
    assert report.num_in == 3
    assert list(report.issues.counts) == ['cells scored below 0.5 dropped']
    assert report.dropped == {'cells scored below 0.5': 1}
    assert report.unread == {'images that could not be read': 1}
    (task,) = json.loads(target.read_text())
    assert task['data'] == dict(image='/data/local-files/?d=film/a.png')
    assert 'annotations' not in task

    # What somebody accepts as it is.
    task['annotations'] = task.pop('predictions')
    (field,) = exports.read('label_studio', [task])
    cell, none = field.cells
    assert cell.bbox == (16, 12, 32, 36)
    assert cell.category == 'neutrophil'
    assert cell.attributes == (2, -1, -1, -1, -1, -1, -1)
    assert none.attributes == (-1,) * 7
