# Copyright (c) mmleuk authors. All rights reserved.
import copy

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

# Shares of the training that lie in its phases.
PRETRAINING, ALL_LOSSES, NO_SIMILARITY, LAST = 0.5, 0.8, 0.95, 0.995
# One sure and one middling detection, right of the annotated part.
FOUND = InstanceData(
    bboxes=torch.tensor([[43.0, 2, 91, 60], [50, 10, 80, 40]]),
    labels=torch.tensor([5, 1]),
    scores=torch.tensor([0.99, 0.8]),
)


@pytest.fixture
def model_cfg(baseline_cfg):
    return baseline_cfg('sla-det').model


@pytest.fixture
def model(model_cfg, build_model):
    return build_model(model_cfg)


@pytest.fixture
def sure_model(model, monkeypatch):
    """A model that finds the same cells in every image."""
    monkeypatch.setattr(
        model, '_detect', lambda x, proposals, metas: [FOUND] * len(metas)
    )
    return model


def inputs_of(samples):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(samples), 3, 64, 96, generator=generator)


def run_loss(model, samples):
    torch.manual_seed(1)
    return model.loss(inputs_of(samples), copy.deepcopy(samples))


def check_gradients(model, losses):
    """Like DDP: every parameter must take part in the loss."""
    loss, _ = model.parse_losses(losses)
    assert loss.isfinite()
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('progress', [None, PRETRAINING, LAST])
def test_labelled_region_alone(
    model_cfg, build_model, make_sample, set_progress, progress
):
    """Without a runner and outside of its phases it is the detector alone."""
    if progress is not None:
        set_progress(progress)
    model = build_model(copy.deepcopy(model_cfg))
    for key in list(model_cfg):
        if key.startswith(('pseudo_', 'similarity_', 'nms_', 'loss_')):
            model_cfg.pop(key)
    model_cfg.type = 'FasterRCNN'
    plain = build_model(model_cfg)
    # Checkpoints of either fit the other.
    plain.load_state_dict(model.state_dict())

    samples = [make_sample(2), make_sample(0), make_sample(1, ())]
    losses, expected = run_loss(model, samples), run_loss(plain, samples)
    for key in ('loss_pseudo', 'loss_similarity', 'num_pseudo'):
        assert losses.pop(key) == 0
    assert losses.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(losses[key], expected[key])


@pytest.mark.parametrize(
    'progress, has_pseudo, has_similarity',
    [
        (100 / 130 - 0.001, False, False),
        (100 / 130 + 0.001, True, True),
        (120 / 130 - 0.001, True, True),
        (120 / 130 + 0.001, True, False),
        (129 / 130 - 0.001, True, False),
        (129 / 130 + 0.001, False, False),
    ],
)
def test_phases(
    sure_model,
    make_sample,
    set_progress,
    progress,
    has_pseudo,
    has_similarity,
):
    set_progress(progress)
    losses = run_loss(sure_model, [make_sample(2), make_sample(2)])
    assert (losses['num_pseudo'] > 0) == has_pseudo
    assert (losses['loss_pseudo'] > 0) == has_pseudo
    assert (losses['loss_similarity'] > 0) == has_similarity


@pytest.mark.parametrize('is_sure', [True, False])
@pytest.mark.parametrize(
    'images',
    [
        [dict(num_cells=2), dict(num_cells=1)],
        # One annotated as a whole, one without a cell in its rectangle.
        [dict(num_cells=2, unannotated=()), dict(num_cells=0)],
        [dict(num_cells=0), dict(num_cells=0)],
        [dict(num_cells=2, unannotated=()), dict(num_cells=0, unannotated=())],
        [dict(num_cells=2), dict(num_cells=0, unannotated=((0, 0, 96, 64),))],
    ],
)
def test_gradients_reach_all(
    request, make_sample, set_progress, is_sure, images
):
    model = request.getfixturevalue('sure_model' if is_sure else 'model')
    set_progress(ALL_LOSSES)
    samples = [make_sample(**image) for image in images]
    losses = run_loss(model, samples)
    if not is_sure:
        # A random detector is sure of nothing.
        assert losses['num_pseudo'] == 0
    if all(image.get('unannotated') == () for image in images):
        assert losses['num_pseudo'] == 0
    if not any(image['num_cells'] for image in images):
        assert losses['loss_similarity'] == 0
    check_gradients(model, losses)


def test_mixed_precision(model, make_sample, set_progress):
    """The pass without gradients does not take them from the weights."""
    set_progress(ALL_LOSSES)
    model.pseudo_score_thr = model.similarity_score_thr = 0.0
    model.nms_score_thr = model.max_overlap = 0.0
    with torch.autocast('cpu', torch.bfloat16):
        losses = run_loss(model, [make_sample(0), make_sample(1)])
    assert losses['num_pseudo'] > 0
    assert losses['loss_pseudo'].isfinite()
    check_gradients(model, losses)


@pytest.mark.parametrize('num_cells', [0, 2])
def test_further_losses_are_zeros_with_gradients(
    model, make_sample, set_progress, num_cells
):
    set_progress(ALL_LOSSES)
    losses = run_loss(model, [make_sample(num_cells)])
    for key in ('loss_pseudo', 'loss_similarity'):
        assert losses[key] == 0
        assert losses[key].requires_grad


def test_unknown_images_are_no_error(sure_model, make_sample, set_progress):
    set_progress(ALL_LOSSES)
    nothing = dict(num_cells=0, unannotated=((0.0, 0, 96, 64),))
    losses = run_loss(sure_model, [make_sample(**nothing)] * 2)
    loss, _ = sure_model.parse_losses(losses)
    assert losses['num_pseudo'] > 0
    loss.backward()
    assert loss.isfinite()


def test_ignored_instances_may_be_absent(
    sure_model, make_sample, set_progress
):
    set_progress(ALL_LOSSES)
    sample = make_sample(2)
    del sample.ignored_instances
    losses = run_loss(sure_model, [sample])
    assert losses['num_pseudo'] == 0
    check_gradients(sure_model, losses)


def test_no_proposals(model, make_sample, set_progress):
    set_progress(ALL_LOSSES)
    model.train_cfg.rpn_proposal.min_bbox_size = 10000
    losses = run_loss(model, [make_sample(2), make_sample(1)])
    assert losses['num_pseudo'] == 0
    check_gradients(model, losses)


def test_pseudo_labels_are_positives_alone(
    sure_model, make_sample, set_progress, monkeypatch
):
    """They bring no background, no attribute and no labelled cell."""
    set_progress(NO_SIMILARITY)
    calls = []
    bbox_loss = type(sure_model.roi_head).bbox_loss

    def spy(self, x, sampling_results):
        calls.append(sampling_results)
        return bbox_loss(self, x, sampling_results)

    monkeypatch.setattr(type(sure_model.roi_head), 'bbox_loss', spy)
    monkeypatch.setattr(
        sure_model, '_detect', lambda *args: [FOUND[:1], FOUND[:0]]
    )
    losses = run_loss(sure_model, [make_sample(2), make_sample(2)])
    assert losses['num_pseudo'] == 1
    labelled, pseudo_labelled = calls
    assert all(len(s.neg_priors) > 0 for s in labelled)
    assert [len(s.neg_priors) for s in pseudo_labelled] == [0, 0]
    assert len(pseudo_labelled[0].pos_priors) > 0
    assert pseudo_labelled[0].pos_gt_labels.eq(5).all()
    assert len(pseudo_labelled[1].pos_priors) == 0

    head = sure_model.roi_head.attribute_head.fc_attribute
    losses['loss_pseudo'].backward(retain_graph=True)
    assert head.weight.grad.eq(0).all()
    assert sure_model.roi_head.bbox_head.fc_cls.weight.grad.ne(0).any()
    assert sure_model.rpn_head.rpn_cls.weight.grad.ne(0).any()


def test_weight_of_pseudo_labels(sure_model, make_sample, set_progress):
    set_progress(NO_SIMILARITY)
    samples = [make_sample(2)]
    light = run_loss(sure_model, samples)['loss_pseudo']
    sure_model.pseudo_weight = 0.5
    heavy = run_loss(sure_model, samples)['loss_pseudo']
    torch.testing.assert_close(heavy, 5 * light)


@pytest.mark.parametrize(
    'box, score, is_kept',
    [
        ((50, 10, 80, 40), 0.7, True),
        ((50, 10, 80, 40), 0.6, False),
        # The centre decides, as for labels: it lies right of 40 or not.
        ((26, 36, 56, 62), 0.7, True),
        ((23, 36, 53, 62), 0.7, False),
        # On the labelled cell at (10, 10, 36, 36), barely and clearly.
        ((35, 35, 65, 60), 0.7, True),
        ((28, 20, 62, 44), 0.7, False),
        # On the ignored cell at (70, 40, 90, 60).
        ((72, 42, 92, 62), 0.7, False),
        # Too small.
        ((50, 10, 53, 13), 0.7, False),
    ],
)
def test_select(model, box, score, is_kept):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 36, 36]]), labels=torch.tensor([1])
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.tensor([[70.0, 40, 90, 60], [40, 0, 96, 64]]),
        labels=torch.tensor([3, -1]),
    )
    detection = InstanceData(
        bboxes=torch.tensor([box], dtype=torch.float32),
        scores=torch.tensor([score]),
        labels=torch.tensor([2]),
    )
    assert len(model._select(detection, sample)) == is_kept
    # There is nothing to find where all is annotated.
    sample.ignored_instances = sample.ignored_instances[:1]
    assert len(model._select(detection, sample)) == 0
    assert len(model._select(detection[:0], sample)) == 0


@pytest.mark.parametrize('class_agnostic', [True, False])
def test_detect(model, monkeypatch, class_agnostic):
    """One box a place, of the likeliest class and with that class's box."""
    place = torch.tensor([10.0, 10, 40, 40])
    boxes = torch.stack([place, place + 1, place + 2, place + 50])
    scores = torch.tensor(
        # Two classes and background.
        [[0.6, 0.1, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.45, 0.4, 0.15]]
    )
    if not class_agnostic:
        boxes = torch.cat([boxes - 5, boxes], dim=1)
    raw = [
        InstanceData(bboxes=boxes, scores=scores),
        InstanceData(bboxes=boxes[:0], scores=scores[:0]),
    ]
    monkeypatch.setattr(
        model.roi_head, 'predict_bbox', lambda *args, **kwargs: raw
    )
    found, nothing = model._detect(None, None, None)
    # The second wins over the first; the third and fourth score too low.
    assert found.labels.tolist() == [1]
    assert found.scores.tolist() == [pytest.approx(0.8)]
    torch.testing.assert_close(found.bboxes, place[None] + 1)
    assert nothing.bboxes.shape == (0, 4)
    assert len(nothing) == 0


def test_similarity_reads_cells_of_the_whole_batch(
    sure_model, make_sample, set_progress, monkeypatch
):
    """Middling scores alone, against the labels of all images."""
    set_progress(ALL_LOSSES)
    unsure = copy.deepcopy(FOUND)
    unsure.scores = torch.tensor([0.55, 0.8])
    monkeypatch.setattr(
        sure_model, '_detect', lambda *args: [unsure, FOUND[:1]]
    )
    calls = []
    loss = sure_model.loss_similarity.forward
    monkeypatch.setattr(
        sure_model.loss_similarity,
        'forward',
        lambda *args: calls.append(args) or loss(*args),
    )
    losses = run_loss(sure_model, [make_sample(1), make_sample(2)])
    ((anchors, anchor_labels, cells, cell_labels),) = calls
    assert anchor_labels.tolist() == [1]
    assert cell_labels.tolist() == [0, 0, 1]
    assert anchors.shape == (1, 128)
    assert cells.shape == (3, 128)
    assert cells.requires_grad
    assert losses['num_pseudo'] == 1


def test_phases_must_be_in_order(model_cfg, build_model):
    model_cfg.similarity_end = 0.5
    with pytest.raises(ValueError, match='ascending'):
        build_model(model_cfg)


@pytest.mark.parametrize('stage', ['rpn', 'rcnn'])
def test_assigners_must_know_regions(model_cfg, build_model, stage):
    model_cfg.train_cfg[stage].assigner.type = 'MaxIoUAssigner'
    with pytest.raises(TypeError, match=f'train_cfg.{stage}.assigner'):
        build_model(model_cfg)


def test_predicts_without_a_training_config(
    model_cfg, build_model, make_sample
):
    model_cfg.train_cfg = None
    model = build_model(model_cfg).eval()
    samples = [make_sample(0)]
    with torch.no_grad():
        (result,) = model.predict(inputs_of(samples), samples)
    assert 'attribute_labels' in result.pred_instances
