# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.registry import VISBACKENDS
from mmengine.structures import InstanceData
from mmengine.visualization import BaseVisBackend

from mmleuk.structures import UNANNOTATED
from mmleuk.structures.metainfo import LLD_METAINFO
from mmleuk.visualization import LLDLocalVisualizer

GREY = 200
# A basophil: no other thing on a picture is of this colour.
COLOUR = LLD_METAINFO['palette'][13]


@VISBACKENDS.register_module()
class RecordingVisBackend(BaseVisBackend):
    """Stands for TensorBoard: takes pictures and writes no file of them."""

    def __init__(self, save_dir='unused'):
        super().__init__(save_dir)
        self.pictures = []

    def _init_env(self):
        pass

    @property
    def experiment(self):
        return self

    def add_image(self, name, image, step=0, **kwargs):
        self.pictures.append((name, image, step))


def make_image(height=200, width=300):
    return np.full((height, width, 3), GREY, np.uint8)


def make_sample(with_pred=True, **ignored):
    sample = DetDataSample(metainfo=dict(img_path='a.png'))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[100.0, 80, 160, 140]]),
        labels=torch.tensor([13]),
        attributes=torch.tensor([[2, 0, 1, -1, 0, 1, 0]]),
    )
    if with_pred:
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([[102.0, 82, 162, 142], [10, 10, 40, 40]]),
            labels=torch.tensor([13, 13]),
            scores=torch.tensor([0.9, 0.1]),
            attribute_labels=torch.tensor([[2, 1, 1, 0, 0, 1, 0]] * 2),
            attribute_scores=torch.full((2, 7), 0.9),
        )
    if ignored:
        sample.ignored_instances = InstanceData(**ignored)
    return sample


def make_visualizer(meta=LLD_METAINFO, **options):
    visualizer = LLDLocalVisualizer(**dict(dict(min_side=0), **options))
    visualizer.dataset_meta = meta
    return visualizer


def draw(visualizer, sample, image=None, **options):
    image = make_image() if image is None else image
    visualizer.add_datasample('a', image, sample, **options)
    # What was drawn last is what a user would ask for.
    return visualizer.get_image()


def written(monkeypatch):
    """All texts that are written, with the letters' sizes."""
    texts = []
    monkeypatch.setattr(
        'mmleuk.visualization.pen.Pen.write',
        lambda self, x, top, text, size, *args: texts.append(text),
    )
    return texts


def is_colour(image, colour=COLOUR):
    """Pixels of a colour, the edges of a line left out."""
    return (np.abs(image.astype(int) - colour) <= 8).all(axis=-1)


def test_the_registry_knows_it():
    visualizer = VISUALIZERS.build(
        dict(type='mmleuk.LLDLocalVisualizer', name='of a registry')
    )
    assert isinstance(visualizer, LLDLocalVisualizer)


def test_annotation_and_prediction_stand_side_by_side(monkeypatch):
    texts = written(monkeypatch)
    drawn = draw(make_visualizer(legend=False), make_sample())
    assert drawn.shape[1] > 2 * 300
    assert drawn.shape[0] > 200
    assert texts[0] == 'basophil'
    assert 'annotation · 1 cell' in texts
    assert 'prediction · 1 cell · scores > 0.3, not calibrated' in texts
    # The second detection scores too little.
    assert [text for text in texts if 'basophil' in text] == [
        'basophil',
        'basophil 0.90',
    ]


def test_a_box_lies_where_the_cell_is():
    visualizer = make_visualizer(attributes='none', legend=False)
    drawn = draw(visualizer, make_sample(with_pred=False))
    top = drawn.shape[0] - 200
    columns = is_colour(drawn[top + 110]).nonzero()[0]
    assert columns.min() == pytest.approx(100, abs=2)
    assert columns.max() == pytest.approx(160, abs=2)
    rows = is_colour(drawn[:, 130]).nonzero()[0] - top
    assert rows.max() == pytest.approx(140, abs=2)
    # The cell itself is untouched.
    assert (drawn[top + 90 : top + 130, 110:150] == GREY).all()


def test_small_images_are_enlarged():
    visualizer = make_visualizer(min_side=600, attributes='none', legend=False)
    drawn = draw(visualizer, make_sample(with_pred=False))
    assert drawn.shape[1] == 900
    top = drawn.shape[0] - 600
    columns = is_colour(drawn[top + 330]).nonzero()[0]
    assert columns.min() == pytest.approx(300, abs=2)
    assert columns.max() == pytest.approx(480, abs=2)


def test_unannotated_area_is_dimmed_in_the_annotation_alone():
    sample = make_sample(
        bboxes=torch.tensor([[0.0, 0, 50, 200]]),
        labels=torch.tensor([UNANNOTATED]),
    )
    drawn = draw(make_visualizer(legend=False), sample)
    top, right = drawn.shape[0] - 200, drawn.shape[1] - 300
    assert (drawn[top + 5 : -5, 5:40] < 0.7 * GREY).all()
    assert (drawn[top + 150 : -5, 60:290] == GREY).all()
    assert (drawn[top + 5 : -5, right + 5 : right + 40] == GREY).all()
    # Both have the outline of what is annotated.
    for left in (0, right):
        edge = drawn[top + 100, left + 44 : left + 56]
        assert (edge < 40).all(axis=-1).any()


def test_an_ignored_cell_is_dashed():
    sample = make_sample(
        with_pred=False,
        bboxes=torch.tensor([[200.0, 20, 280, 100]]),
        labels=torch.tensor([13]),
    )
    visualizer = make_visualizer(legend=False)
    drawn = draw(visualizer, sample)
    top = drawn.shape[0] - 200
    edge = is_colour(drawn[top + 30 : top + 90, 280], (90, 90, 90))
    assert 0.2 < edge.mean() < 0.8
    changes = np.abs(np.diff(edge.astype(int))).sum()
    assert changes >= 6
    # Hatched inside.
    assert (drawn[top + 30 : top + 90, 210:270] < GREY - 40).any()


def test_the_legend_explains_what_occurs(monkeypatch):
    texts = written(monkeypatch)
    sample = make_sample()
    draw(make_visualizer(), sample)
    legend = ' '.join(texts)
    for part in (
        'Nuclear Chromatin: O open, c coarse',
        '– not stated',
        'underlined differs from the annotation',
    ):
        assert part in legend
    for part in ('ignored', 'dimmed', 'dotted', '≠', 'extra', '?'):
        assert part not in legend


def test_a_missed_cell_and_another_type_are_marked(monkeypatch):
    texts = written(monkeypatch)
    sample = make_sample()
    sample.pred_instances.labels[:] = 12
    draw(make_visualizer(), sample)
    assert 'eosinophil 0.90 ≠' in texts
    draw(make_visualizer(), sample, pred_score_thr=0.95)
    assert 'basophil missed' in texts
    texts.clear()
    draw(make_visualizer(mark_differences=False), sample)
    assert 'eosinophil 0.90' in texts


def test_names_are_abbreviated_where_there_is_no_room(monkeypatch):
    texts = written(monkeypatch)
    ticks = np.arange(0, 200, 40)
    boxes = [[x, y, x + 40.0, y + 40] for x in ticks for y in ticks]
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes),
        labels=torch.full((25,), 4),
    )
    image = make_image(200, 200)
    draw(make_visualizer(), sample, image)
    assert texts.count('aLym') == 25
    assert 'aLym atypical lymphocyte' in texts
    texts.clear()
    draw(make_visualizer(class_names='full'), sample, image)
    assert texts.count('atypical lymphocyte') == 25


def test_plain_samples_of_mmdet_are_drawn():
    sample = make_sample()
    del sample.gt_instances.attributes
    del sample.pred_instances.attribute_labels
    del sample.pred_instances.attribute_scores
    coco = dict(classes=('person', 'bicycle'), palette=[(9, 9, 9), (8, 8, 8)])
    for meta in (coco, {}):
        drawn = draw(make_visualizer(meta), sample)
        assert drawn.shape[1] > 600
        assert (drawn != drawn[:1]).any()


def test_attributes_without_a_schema_are_announced(caplog, monkeypatch):
    texts = written(monkeypatch)
    messages = []
    monkeypatch.setattr(
        'mmleuk.visualization.local_visualizer.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    meta = dict(classes=LLD_METAINFO['classes'])
    draw(make_visualizer(meta), make_sample(with_pred=False))
    assert 'basophil' in texts
    assert 'dataset_meta has no "attributes"' in messages[0]


def test_masks_are_left_to_mmdet():
    sample = DetDataSample()
    mask = torch.zeros((1, 200, 300), dtype=torch.bool)
    mask[:, 50:150, 50:150] = True
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[50.0, 50, 150, 150]]),
        labels=torch.tensor([0]),
        masks=mask,
    )
    drawn = draw(make_visualizer(), sample, draw_pred=False)
    # As large as the image, and painted.
    assert drawn.shape == (200, 300, 3)
    assert (drawn[80:120, 80:120] != GREY).any()


@pytest.mark.parametrize('sample', [None, DetDataSample()])
def test_without_instances_it_is_the_image(sample):
    drawn = draw(make_visualizer(), sample)
    np.testing.assert_array_equal(drawn, make_image())


def test_empty_instances_are_a_panel_without_cells(monkeypatch):
    texts = written(monkeypatch)
    sample = make_sample()
    sample.gt_instances = sample.gt_instances[:0]
    sample.pred_instances = sample.pred_instances[:0]
    draw(make_visualizer(), sample)
    assert texts[0] == 'annotation · 0 cells'


def test_pictures_reach_files_and_backends(tmp_path):
    recorder = RecordingVisBackend()
    visualizer = make_visualizer(
        vis_backends=[dict(type='LocalVisBackend'), recorder],
        save_dir=str(tmp_path),
    )
    file = tmp_path / 'deep' / 'a.png'
    drawn = draw(visualizer, make_sample(), out_file=str(file), step=3)
    ((name, picture, step),) = recorder.pictures
    assert (name, step) == ('a', 3)
    on_disk = cv2.imread(str(file))[..., ::-1]
    np.testing.assert_array_equal(on_disk, picture)
    np.testing.assert_array_equal(on_disk, drawn)
    # The file is not written twice.
    assert not list(tmp_path.rglob('vis_image/*'))
    draw(visualizer, make_sample(), step=4)
    assert len(recorder.pictures) == 2
    assert [p.name for p in tmp_path.rglob('vis_image/*')] == ['a_4.png']


def test_the_same_sample_gives_the_same_picture():
    first, second = (draw(make_visualizer(), make_sample()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(attributes='all'), "attributes is 'all', expected one of"),
        (dict(class_names='long'), "class_names is 'long'"),
        (dict(dim=2), r'dim is 2, expected a share'),
        (dict(min_side=-1), 'min_side is -1'),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LLDLocalVisualizer(**options)
