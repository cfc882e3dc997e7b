# Copyright (c) mmleuk authors. All rights reserved.
import json
import pickle
import re
import tracemalloc
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
import torch
from mmdet.evaluation import DumpDetResults
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import INFERENCERS
from mmengine.runner import Runner

from mmleuk.apis import (
    LLDInferencer,
    Tiling,
    UnreadableImageError,
    WindowReader,
    lld_inferencer,
)
from mmleuk.evaluation.functional import Calibration
from mmleuk.io.predictions import PredictionReader
from mmleuk.structures import (
    LLD_ATTRIBUTES,
    AttributeSchema,
    TypeProfile,
)

ROOT = Path(__file__).parents[2]
LITE0 = 'configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py'
CLASSES = ('neutrophil', 'lymphocyte')
SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CELLS = [(40, 50, 36, 0, 0), (120, 70, 44, 1, 8)]


def infer(weights, inputs, model=None, **kwargs):
    inferencer = LLDInferencer(
        model, weights, device='cpu', show_progress=False
    )
    return inferencer(inputs, **kwargs)['predictions']


@pytest.fixture
def inferencer(blob_weights):
    return LLDInferencer(
        weights=blob_weights, device='cpu', show_progress=False
    )


@pytest.fixture
def fields(tmp_path, make_film):
    """A folder with two fields of two patients, and their cells."""
    for name, cells in {
        'P1/4_15_1000_ALL.png': CELLS,
        'P2/field.png': CELLS[:1],
    }.items():
        path = tmp_path / 'fields' / name
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), make_film(200, 150, cells))
    return tmp_path / 'fields'


def test_predictions_are_those_of_the_test_tool(tiny, tmp_path):
    """The same boxes, scores, types and attributes, for all detections."""
    images = [
        dict(id=i, file_name=name, width=120, height=96)
        for i, name in enumerate(tiny.names)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
    (tiny.folder / 'test.json').write_text(
        json.dumps(dict(images=images, annotations=[], categories=categories))
    )
    cfg = Config.fromfile(tiny.config)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.load_from = str(tiny.weights)
    runner = Runner.from_cfg(cfg)
    runner.test_evaluator.metrics = [
        DumpDetResults(out_file_path=str(tmp_path / 'out.pkl'))
    ]
    runner.test()
    with open(tmp_path / 'out.pkl', 'rb') as stream:
        expected = pickle.load(stream)

    by_config = infer(
        tiny.weights,
        tiny.folder / 'images',
        tiny.config,
        batch_size=2,
        score_thr=0,
    )
    assert [image.file for image in by_config] == tiny.names
    for result, image in zip(expected, by_config):
        instances = result['pred_instances']
        assert len(image.cells) == len(instances['scores']) > 0
        assert [CLASSES[i] for i in instances['labels']] == [
            cell.type for cell in image.cells
        ]
        np.testing.assert_allclose(
            [cell.bbox for cell in image.cells],
            instances['bboxes'],
            atol=6e-4,
        )
        np.testing.assert_allclose(
            [cell.score for cell in image.cells],
            instances['scores'],
            atol=1e-6,
        )
        rows = [
            [p for a in cell.attributes.values() for p in a.probs]
            for cell in image.cells
        ]
        np.testing.assert_allclose(
            rows, instances['attribute_probs'], atol=1e-6
        )
    by_checkpoint = infer(tiny.weights, tiny.folder / 'images', score_thr=0)
    assert by_checkpoint[0].file == tiny.names[0]
    for one, other in zip(by_checkpoint, by_config):
        np.testing.assert_allclose(
            [cell.bbox for cell in one.cells],
            [cell.bbox for cell in other.cells],
            atol=1e-2,
        )


def test_squeezed_images_are_widened(tiny, tmp_path):
    images = tiny.folder / 'images'
    resize = "dict(type='Resize', scale=(96, 96), keep_ratio=True)"
    plain = Path(tiny.config).read_text()
    assert resize in plain
    # 120 x 96 is widened to 240 x 96 and fits into 192 x 96.
    by_hand = "dict(type='Resize', scale=(192, 77), keep_ratio=False)"
    results = []
    for name, text in (
        ('set.py', plain + '\nunsqueeze = 0.5\n'),
        ('hand.py', plain.replace(resize, by_hand)),
        ('off.py', plain),
    ):
        config = tmp_path / name
        config.write_text(text)
        found = infer(tiny.weights, images, config, score_thr=0)
        results.append([[c.bbox for c in image.cells] for image in found])
    widened, expected, off = results
    for boxes, others in zip(widened, expected):
        np.testing.assert_allclose(boxes, others, atol=1e-3)
        # In pixels of the file.
        assert np.max(boxes) <= 120
    assert widened != off


def test_a_folder_is_predicted_and_written(inferencer, fields, tmp_path):
    images = inferencer(
        str(fields),
        recursive=True,
        patient_from_folder=True,
        out_dir=tmp_path / 'out',
        show_dir=tmp_path / 'drawn',
    )['predictions']
    assert [image.file for image in images] == [
        'P1/4_15_1000_ALL.png',
        'P2/field.png',
    ]
    first, second = images
    assert (first.width, first.height) == (200, 150)
    assert [(c.type, *np.round(c.bbox)) for c in first.cells] == [
        ('neutrophil', 22, 32, 59, 69),
        ('lymphocyte', 98, 48, 143, 93),
    ]
    assert first.focus > 0
    assert (first.patient, first.field) == ('4', '15')
    assert (first.magnification, first.diagnosis) == ('100x', 'ALL')
    assert (second.patient, second.field) == ('P2', None)
    assert set(first.cells[0].attributes) == set(SCHEMA.names)
    assert (first.cells[0].confidence, first.cells[0].evidence) == (None, ())

    reader = PredictionReader(tmp_path / 'out' / 'predictions.json')
    assert list(reader) == images
    header = reader.header
    assert (header.types, header.image_root) == (CLASSES, str(fields))
    assert header.schema.names == SCHEMA.names
    assert header.model == dict(
        config='blobs',
        checkpoint='blobs.pth',
        sha256=header.model['sha256'],
        dataset='data/films/train.json',
        score_thr=0.3,
        cell_iou_thr=None,
        tiling=None,
    )
    assert re.fullmatch('[0-9a-f]{64}', header.model['sha256'])
    drawn = sorted(
        p.relative_to(tmp_path / 'drawn').as_posix()
        for p in (tmp_path / 'drawn').rglob('*.*')
    )
    assert drawn == ['P1/4_15_1000_ALL.png.jpg', 'P2/field.png.jpg']
    picture = cv2.imread(str(tmp_path / 'drawn' / drawn[0]))
    film = cv2.imread(str(fields / 'P1' / '4_15_1000_ALL.png'))
    assert picture.shape == film.shape
    # The film is there in its own colours, and boxes are drawn on it.
    assert np.median(np.abs(picture.astype(int) - film)) <= 2
    assert np.abs(picture.astype(int) - film).max() > 50


def test_what_is_written_fits_the_schema(make_weights, fields, tmp_path):
    cells = [(0, [0] * 7)] * 70 + [(1, [1] * 7)] * 70
    meta = dict(
        mmleuk_calibration=Calibration(
            1.5, dict(cell_size=2.0), 348, 'val.json'
        ).to_dict(),
        mmleuk_type_profile=TypeProfile.count(
            CLASSES, SCHEMA, cells
        ).to_dict(),
    )
    (fields / 'broken.png').write_bytes(b'nothing')
    images = infer(
        make_weights(meta=meta),
        fields,
        recursive=True,
        out_dir=tmp_path,
        tile=Tiling(160, 60, (0, 0, 190, 150)),
        cell_iou_thr=0.7,
    )
    written = json.loads((tmp_path / 'predictions.json').read_text())
    schema = json.loads((ROOT / 'docs/predictions.schema.json').read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(written)
    assert sum(len(image['cells']) for image in written['images']) == 3
    cell = images[1].cells[0]
    assert 0 < cell.confidence < cell.score
    assert cell.attributes['cell_size'].confidence is not None
    assert cell.attributes['nucleolus'].confidence is None
    assert len(cell.evidence) == 7
    # The schema does refuse what is wrong.
    written['images'][1]['cells'][0]['score'] = 1.5
    assert not validator.is_valid(written)


def test_an_attribute_nobody_labelled_is_left_out(
    make_weights, fields, tmp_path
):
    codes = [0, 0, 0, -1, 0, 0, 0]
    profile = TypeProfile.count(CLASSES, SCHEMA, [(0, codes), (1, codes)])
    weights = make_weights(meta=dict(mmleuk_type_profile=profile.to_dict()))
    inferencer = LLDInferencer(
        weights=weights, device='cpu', show_progress=False
    )
    trained = inferencer(fields / 'P1', out_dir=tmp_path)['predictions']
    header = PredictionReader(tmp_path / 'predictions.json').header
    others = [name for name in SCHEMA.names if name != 'nucleolus']
    assert list(header.schema.names) == others
    full = infer(make_weights(), fields / 'P1')
    for cell, other in zip(trained[0].cells, full[0].cells):
        assert list(cell.attributes) == others
        assert all(
            cell.attributes[name] == other.attributes[name] for name in others
        )
    drawn = inferencer.visualizer.dataset_meta['attributes']
    assert [attribute['name'] for attribute in drawn] == others


@pytest.mark.parametrize('with_config', [False, True])
def test_no_visualizer_is_needed(make_weights, fields, tmp_path, with_config):
    text = torch.load(make_weights())['meta']['cfg']
    cfg = Config.fromstring(text, '.py')
    cfg.visualizer = None
    cfg.dump(tmp_path / 'config.py')
    inferencer = LLDInferencer(
        tmp_path / 'config.py' if with_config else None,
        make_weights(cfg.pretty_text),
        device='cpu',
        show_progress=False,
    )
    (image,) = inferencer(fields / 'P2')['predictions']
    assert len(image.cells) == 1
    with pytest.raises(ValueError, match='config has no `visualizer`'):
        inferencer(fields / 'P2', return_vis=True)


def test_arrays_are_predicted_and_drawn(inferencer, make_film):
    film = make_film(200, 150, CELLS)
    results = inferencer([film, film[:, :80]], batch_size=2, return_vis=True)
    first, second = results['predictions']
    assert (first.file, second.file) == ('image_000000', 'image_000001')
    assert (len(first.cells), len(second.cells)) == (2, 1)
    assert (first.patient, second.width) == (None, 80)
    assert [v.shape for v in results['visualization']] == [
        (150, 200, 3),
        (150, 80, 3),
    ]


def test_a_broken_image_stops_nothing(inferencer, fields, tmp_path, make_film):
    good = fields / 'P1' / '4_15_1000_ALL.png'
    broken = dict(
        text=fields / 'text.png',
        empty=fields / 'empty.jpg',
        cut=fields / 'cut.png',
        absent=fields / 'absent.png',
    )
    broken['text'].write_text('no image')
    broken['empty'].touch()
    broken['cut'].write_bytes(good.read_bytes()[:-30])
    grey = np.zeros((10, 10), np.uint8)
    inputs = [good, *broken.values(), grey, good]
    images = list(
        inferencer.stream(inputs, batch_size=3, out_dir=tmp_path / 'out')
    )
    assert [len(image.cells) for image in images] == [2, 0, 0, 0, 0, 0, 2]
    assert images[0] == images[-1]
    messages = [image.error for image in images[1:-1]]
    for message, part in zip(
        messages,
        [
            'can not decode',
            'can not decode',
            'cut short',
            'No such',
            '(10, 10)',
        ],
    ):
        assert part in message
    assert all((i.width, i.focus) == (0, None) for i in images[1:-1])
    assert list(PredictionReader(tmp_path / 'out' / 'predictions.json')) == (
        images
    )
    with pytest.raises(UnreadableImageError, match='text.png: OpenCV can not'):
        inferencer(inputs, strict=True)


def test_batches_are_as_large_as_asked_for(inferencer, make_film):
    film = make_film(100, 100, [])
    inferencer([film] * 5, batch_size=2)
    assert inferencer.model.batch_sizes == [2, 2, 1]


def test_memory_does_not_grow_with_the_images(inferencer, make_film, tmp_path):
    path = tmp_path / 'film.png'
    cv2.imwrite(str(path), make_film(500, 500, CELLS))
    peaks = []
    for count in (4, 24):
        tracemalloc.start()
        for _ in inferencer.stream([path] * count, out_dir=tmp_path / 'out'):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1e6


def match_up(cells, others, atol):
    """Check that two sets of cells are the same, in any order."""
    assert len(cells) == len(others)
    key = lambda cell: (round(cell.bbox[1] / 4), cell.bbox[0])  # noqa: E731
    for cell, other in zip(sorted(cells, key=key), sorted(others, key=key)):
        np.testing.assert_allclose(cell.bbox, other.bbox, atol=atol)
        assert cell.type == other.type
        assert cell.attributes == other.attributes


@pytest.mark.parametrize('size, overlap', [(200, 70), (333, 60), (256, 128)])
def test_tiles_give_the_cells_of_the_whole(
    inferencer, make_film, size, overlap
):
    """None is lost or counted twice, and each keeps its attributes."""
    rng = np.random.default_rng(size)
    cells = [
        (
            x * 62 + 31 + int(rng.integers(-3, 4)),
            y * 62 + 31 + int(rng.integers(-3, 4)),
            int(rng.integers(20, 54)),
            int(rng.integers(2)),
            int(rng.integers(-20, 20)),
        )
        for x in range(13)
        for y in range(10)
    ]
    film = make_film(13 * 62, 10 * 62, cells)
    (whole,) = inferencer(film)['predictions']
    assert len(whole.cells) == len(cells)
    batches = len(inferencer.model.batch_sizes)
    (tiled,) = inferencer(film, batch_size=4, tile=Tiling(size, overlap))[
        'predictions'
    ]
    assert len(inferencer.model.batch_sizes) > batches + 1
    match_up(tiled.cells, whole.cells, atol=0)
    assert (tiled.width, tiled.height) == (whole.width, whole.height)


def test_small_images_are_not_tiled(inferencer, fields, make_film):
    inputs = [fields / 'P2' / 'field.png', make_film(500, 90, CELLS[:1])]
    images = inferencer([*inputs, inputs[0]], batch_size=8, tile=200)[
        'predictions'
    ]
    assert [image.width for image in images] == [200, 500, 200]
    assert images[0] == images[2]
    # Three tiles of the second, the first and the third as a whole.
    assert inferencer.model.batch_sizes == [3, 2]


class HugeSlide(WindowReader):
    """100,000 px a side; a cell every 250 px, painted when it is read."""

    def __init__(self, make_film):
        super().__init__(100_000, 100_000)
        self.make_film = make_film
        self.windows = []

    def read(self, x1, y1, x2, y2):
        self.windows.append((x1, y1, x2, y2))
        cells = [
            (x - x1, y - y1, 50, (x // 250) % 2, 0)
            for x in range(x1 - x1 % 250, x2 + 250, 250)
            for y in range(y1 - y1 % 250, y2 + 250, 250)
        ]
        return self.make_film(x2 - x1, y2 - y1, cells)


def test_a_slide_is_read_tile_by_tile(inferencer, make_film, tmp_path):
    slide = HugeSlide(make_film)
    region = (49_960, 20_130, 52_540, 21_880)
    tracemalloc.start()
    (image,) = inferencer(slide, tile=Tiling(512, 100, region), batch_size=2)[
        'predictions'
    ]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
    assert len(slide.windows) == 7 * 5
    middles = sorted(
        (round(c.bbox[0] + c.bbox[2]) // 2, round(c.bbox[1] + c.bbox[3]) // 2)
        for c in image.cells
    )
    assert middles == [
        (x, y)
        for x in range(50_000, 52_501, 250)
        for y in range(20_250, 21_751, 250)
    ]
    assert (image.width, image.file) == (100_000, 'image_000000')
    with pytest.raises(ValueError, match='`tile`'):
        inferencer(slide)


def test_a_slide_that_breaks_midway_is_recorded(inferencer, make_film):
    class Broken(HugeSlide):
        def read(self, *window):
            if len(self.windows) == 3:
                raise UnreadableImageError('block 7 is lost')
            return super().read(*window)

    film = make_film(100, 100, CELLS[:1])
    tile = Tiling(512, 100, (0, 0, 2000, 2000))
    broken, good = inferencer([Broken(make_film), film], tile=tile)[
        'predictions'
    ]
    assert (broken.error, broken.cells) == ('block 7 is lost', ())
    assert len(good.cells) == 1


def test_cells_larger_than_the_overlap_are_warned_of(
    inferencer, make_film, monkeypatch
):
    messages = []
    monkeypatch.setattr(
        lld_inferencer, 'print_log', lambda text, **_: messages.append(text)
    )
    film = make_film(300, 300, [(150, 150, 190, 0, 0)])
    inferencer(film, tile=Tiling(200, 10))
    assert 'take an overlap larger than the largest cell' in messages[0]


def test_one_cell_of_two_types_is_counted_once_on_request(tiny):
    """An untrained network names each place many times."""
    path = tiny.folder / 'images' / tiny.names[0]
    (image,) = infer(tiny.weights, path, score_thr=0)
    (once,) = infer(tiny.weights, path, score_thr=0, cell_iou_thr=0.3)
    assert 0 < len(once.cells) < len(image.cells)
    assert all(cell in image.cells for cell in once.cells)


def test_a_detector_without_attributes(tiny, tmp_path):
    plain = Config.fromfile(tiny.config)
    del plain.model.roi_head['attribute_head']
    plain.model.roi_head.type = 'StandardRoIHead'
    state = {
        key: value
        for key, value in tiny.model.state_dict().items()
        if 'attribute' not in key
    }
    checkpoint = torch.load(tiny.weights, weights_only=True)
    checkpoint['meta']['cfg'] = plain.pretty_text
    checkpoint['state_dict'] = state
    torch.save(checkpoint, tmp_path / 'plain.pth')
    images = infer(
        tmp_path / 'plain.pth',
        tiny.folder / 'images',
        score_thr=0,
        out_dir=tmp_path,
        show_dir=tmp_path / 'drawn',
    )
    with_attributes = infer(tiny.weights, tiny.folder / 'images', score_thr=0)
    for image, other in zip(images, with_attributes):
        assert [c.bbox for c in image.cells] == [c.bbox for c in other.cells]
        assert all(cell.attributes == {} for cell in image.cells)
    reader = PredictionReader(tmp_path / 'predictions.json')
    assert reader.header.schema is None
    assert list(reader) == images


def test_weights_of_another_model_are_refused(make_weights, tiny):
    with pytest.raises(ValueError, match=r'made.pth: it lacks \d+ weights'):
        LLDInferencer(tiny.config, make_weights(), device='cpu')
    state = {'attribute_head.trunk.weight': torch.zeros(1)}
    with pytest.raises(ValueError, match='made.pth: it lacks'):
        LLDInferencer(weights=make_weights(state=state), device='cpu')
    state = {
        key: torch.zeros(3, 3)
        for key in tiny.model.state_dict()
        if 'fc' in key
    }
    with pytest.raises(ValueError, match='its weights are of another model'):
        LLDInferencer(tiny.config, make_weights(state=state), device='cpu')
    with pytest.raises(ValueError, match='got no weights'):
        LLDInferencer(tiny.config, device='cpu')


def test_other_attributes_than_the_data_have_are_refused(make_weights):
    path = make_weights()
    checkpoint = torch.load(path, weights_only=True)
    attributes = checkpoint['meta']['dataset_meta']['attributes']
    checkpoint['meta']['dataset_meta']['attributes'] = attributes[:6]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='its data have the attributes'):
        LLDInferencer(weights=path, device='cpu')


def test_names_of_types_are_never_guessed(make_weights, tmp_path, tiny):
    path = make_weights()
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint['meta']['dataset_meta']
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='no names of cell types'):
        LLDInferencer(weights=path, device='cpu')
    # The user's own config may tell them.
    checkpoint = torch.load(tiny.weights, weights_only=True)
    del checkpoint['meta']['dataset_meta']
    torch.save(checkpoint, path)
    inferencer = LLDInferencer(tiny.config, path, device='cpu')
    assert tuple(inferencer.recorder.types) == CLASSES


def test_a_config_in_a_checkpoint_is_not_run(make_weights, tmp_path):
    for line, message in [
        (f'open({str(tmp_path / "run")!r}, "w")', 'expected only literals'),
        (
            "model = dict(type='pathlib.Path.touch', "
            f'self={str(tmp_path / "run")!r})',
            'no installed part',
        ),
    ]:
        path = make_weights()
        checkpoint = torch.load(path, weights_only=True)
        checkpoint['meta']['cfg'] += f'\n{line}\n'
        torch.save(checkpoint, path)
        with pytest.raises(ValueError, match=message):
            LLDInferencer(weights=path, device='cpu')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(batch_size=0), 'batch_size is 0'),
        (dict(score_thr=1.1), 'score_thr is 1.1'),
        (dict(cell_iou_thr=-1), 'cell_iou_thr is -1'),
        (dict(tile=0), 'tile size is 0'),
    ],
)
def test_wrong_arguments_are_named(inferencer, make_film, kwargs, message):
    with pytest.raises(ValueError, match=message):
        inferencer(make_film(20, 20, []), **kwargs)


@pytest.mark.parametrize('from_checkpoint', [True, False])
def test_no_visualizer_is_needed_to_predict(
    blob_weights, make_weights, make_film, tmp_path, from_checkpoint
):
    text = torch.load(blob_weights, weights_only=True)['meta']['cfg']
    text = f'{text}\nvisualizer = None\n'
    config = tmp_path / 'config.py'
    config.write_text(text)
    inferencer = LLDInferencer(
        None if from_checkpoint else str(config),
        make_weights(text),
        device='cpu',
        show_progress=False,
    )
    film = make_film(200, 150, CELLS)
    assert len(inferencer(film)['predictions'][0].cells) == 2
    with pytest.raises(ValueError, match='no `visualizer`'):
        inferencer(film, return_vis=True)


def test_it_is_built_by_its_registry(blob_weights):
    built = INFERENCERS.build(
        dict(
            type='mmleuk.LLDInferencer',
            weights=str(blob_weights),
            device='cpu',
            show_progress=False,
        )
    )
    assert isinstance(built, LLDInferencer)


def test_the_real_config_predicts_out_of_its_checkpoint(tmp_path, make_film):
    """With weights that have learned nothing."""
    cfg = Config.fromfile(ROOT / LITE0)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(
                cfg=cfg.pretty_text,
                dataset_meta=dict(classes=[str(i) for i in range(14)]),
            ),
        ),
        tmp_path / 'lite0.pth',
    )
    (image,) = infer(
        tmp_path / 'lite0.pth', make_film(300, 300, CELLS), score_thr=0
    )
    assert len(image.cells) > 0
    assert set(image.cells[0].attributes) == set(SCHEMA.names)
