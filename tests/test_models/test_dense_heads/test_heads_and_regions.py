# Copyright (c) mmleuk authors. All rights reserved.
"""What detectors of each family learn from an image annotated in part.

The oracle knows one rectangle and computes shares by plain formulas. What a
prior matches is read off the gradient of its box: boxes are learned from
positives alone.
"""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from tiny_families import CONFIGS, POINTS, QUERIES, build, tiny_config

from mmleuk.configs import with_regions
from mmleuk.models.utils import heads_without_regions
from mmleuk.structures import UNANNOTATED

SIDE = 128
LABELLED = [80.0, 40, 112, 88]
# Ignored instances: a rectangle and its label. Cells are hidden in each.
IGNORED = {
    'area': ([0.0, 0, 64, SIDE], UNANNOTATED),
    'everything': ([0.0, 0, SIDE, SIDE], UNANNOTATED),
    'cell': ([4.0, 8, 60, 64], 2),
}
POINT_SIZE = 3
# Scores of all priors decide which ones are positive.
MATCHED_BY_SCORE = ('DDOD', 'TOOD')
# TOOD has another assigner in the first epochs.
EPOCHS = {'TOOD': 9, 'TOOD, first epochs': 0}
ROIS = ('Faster R-CNN', 'Cascade R-CNN')
DENSE = [family for family in CONFIGS if family not in QUERIES]


@pytest.fixture(autouse=True)
def epoch(request, monkeypatch):
    number = EPOCHS.get(request.node.callspec.params['family'], 0)
    hub = MessageHub.get_current_instance()
    monkeypatch.setitem(hub.runtime_info, 'epoch', number)


def make_samples(kind=None):
    """An image with a labelled cell, and one without."""
    samples = []
    for num_cells in (1, 0):
        shape = (SIDE, SIDE)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=shape, batch_input_shape=shape, pad_shape=shape
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([LABELLED])[:num_cells],
            labels=torch.tensor([1])[:num_cells],
        )
        boxes, labels = torch.zeros(0, 4), torch.zeros(0).long()
        if kind is not None:
            box, label = IGNORED[kind]
            boxes, labels = torch.tensor([box]), torch.tensor([label])
        sample.ignored_instances = InstanceData(bboxes=boxes, labels=labels)
        samples.append(sample)
    return samples


def make_models(family):
    """Detector of MMDetection, ours, and an image for both."""
    settings = dict(point_size=POINT_SIZE) if family in POINTS else {}
    cfg = tiny_config(family)
    torch.manual_seed(0)
    plain, ours = build(cfg), build(with_regions(cfg, **settings))
    if family == 'DETR':
        # Boxes of all sizes.
        torch.nn.init.normal_(plain.bbox_head.fc_reg.weight, std=0.3)
    ours.load_state_dict(plain.state_dict())
    assert list(heads_without_regions(ours)) == []
    assert list(heads_without_regions(plain))
    return plain, ours, torch.randn(2, 3, SIDE, SIDE)


def loss_of(model, image, samples):
    torch.manual_seed(1)
    return model.loss(image, samples)


def as_list(losses):
    """The losses, or outputs, of all levels."""
    return losses if isinstance(losses, (list, tuple)) else [losses]


def share(boxes, rectangle):
    """Share of boxes (..., 4) inside of a rectangle, numpy."""
    boxes = np.asarray(boxes, dtype=np.float64)
    low = np.maximum(boxes[..., :2], rectangle[:2])
    high = np.minimum(boxes[..., 2:], rectangle[2:])
    inside = np.prod(np.maximum(high - low, 0), axis=-1)
    return inside / np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def off_limits(kind, boxes, centers=None):
    """Where no background may be learned, and where it is too close to say.

    Boxes of points are the squares around them.
    """
    rectangle, label = IGNORED[kind]
    if label == UNANNOTATED:
        shares, limit, margin = share(boxes, rectangle), 0.1, 1e-3
    elif centers is None:
        shares, limit, margin = share(boxes, rectangle), 0.5, 1e-3
    else:
        depth = np.concatenate(
            [centers - rectangle[:2], rectangle[2:] - centers], axis=-1
        )
        shares, limit, margin = depth.min(axis=-1), 0, 1
    return shares > limit, abs(shares - limit) < margin


def dense_head(model):
    return getattr(model, 'rpn_head', None) or model.bbox_head


def note_outputs(head):
    """Note what the head puts out, with gradients."""
    noted = []

    def note(module, inputs, outputs):
        noted.clear()
        for output in outputs:
            for level in as_list(output):
                level.retain_grad()
            noted.append(output)

    head.register_forward_hook(note)
    return noted


def by_prior(levels, num_base):
    """Maps of all levels in the order of the priors: (N, priors, values)."""
    return torch.cat(
        [
            level.permute(0, 2, 3, 1).reshape(
                len(level), -1, level.size(1) // num_base
            )
            for level in levels
        ],
        dim=1,
    )


def priors_of(family, head, levels):
    """Boxes of all priors, and centres where they are points."""
    generator = head.prior_generator
    sizes = [level.shape[-2:] for level in levels]
    if family not in POINTS:
        return np.concatenate(generator.grid_priors(sizes, device='cpu')), None
    priors = torch.cat(
        generator.grid_priors(sizes, device='cpu', with_stride=True)
    ).numpy()
    centers, strides = priors[:, :2], priors[:, 2:]
    if family == 'YOLOX':
        centers = centers + strides / 2
    half = strides * POINT_SIZE / 2
    return np.concatenate([centers - half, centers + half], axis=1), centers


def dense_gradients(model, family, image, kind):
    """Gradients by prior of all scores, of boxes; and the outputs."""
    noted = note_outputs(dense_head(model))
    losses = loss_of(model, image, make_samples(kind))
    if family in ROIS:
        losses = {key: losses[key] for key in losses if 'rpn' in key}
    model.parse_losses(losses)[0].backward()
    # YOLOX learns background by its third output.
    scores = noted[2 if family == 'YOLOX' else 0]
    num_base = dense_head(model).prior_generator.num_base_priors[0]
    gradients = [
        by_prior([level.grad for level in levels], num_base)
        for levels in (scores, noted[1])
    ]
    return *gradients, noted


@pytest.mark.parametrize('kind', IGNORED)
@pytest.mark.parametrize('family', DENSE)
def test_no_prior_learns_background_where_it_is_unknown(family, kind):
    plain, ours, image = make_models(family)
    scores, boxes, outputs = dense_gradients(ours, family, image, kind)
    all_scores, all_boxes, _ = dense_gradients(plain, family, image, kind)
    positive = (boxes != 0).any(dim=2).numpy()
    is_off, unclear = off_limits(
        kind, *priors_of(family, dense_head(ours), outputs[0])
    )
    is_off, unclear = is_off[None], unclear[None]

    unlearned = ~positive & is_off & ~unclear
    assert unlearned.sum() > 20
    assert (scores[unlearned] == 0).all()
    if family in ROIS:
        # Priors are sampled at random.
        assert (all_scores[unlearned] != 0).any()
        return
    # MaxIoUAssigner leaves some out between its thresholds.
    assert (all_scores[unlearned] != 0).any(dim=1).float().mean() > 0.9
    # Everything else is as in MMDetection.
    assert positive.any()
    assert np.array_equal(positive, (all_boxes != 0).any(dim=2))
    learned = ~unlearned & ~unclear
    assert torch.allclose(scores[learned], all_scores[learned], rtol=1e-4)
    assert torch.allclose(boxes, all_boxes, rtol=1e-4)


@pytest.mark.parametrize('kind', ['area', 'cell'])
@pytest.mark.parametrize(
    'family', [family for family in DENSE if family not in MATCHED_BY_SCORE]
)
def test_no_loss_depends_on_scores_where_it_is_unknown(family, kind):
    _, ours, image = make_models(family)
    _, boxes, outputs = dense_gradients(ours, family, image, kind)
    head = dense_head(ours)
    is_off, unclear = off_limits(kind, *priors_of(family, head, outputs[0]))
    positive = (boxes != 0).any(dim=2).any(dim=0).numpy()
    changed = torch.from_numpy(is_off & ~unclear & ~positive)
    samples = make_samples(kind)
    truth = [sample.gt_instances for sample in samples]
    if family in ROIS:
        for cells in truth:
            cells.labels = torch.zeros_like(cells.labels)

    def losses(outputs):
        torch.manual_seed(2)
        losses = head.loss_by_feat(
            *outputs,
            truth,
            [sample.metainfo for sample in samples],
            [sample.ignored_instances for sample in samples],
        )
        return [
            value.tolist()
            for values in losses.values()
            for value in as_list(values)
        ]

    outputs = [[level.detach() for level in levels] for levels in outputs]
    before = losses(outputs)
    index = 2 if family == 'YOLOX' else 0
    num_base = head.prior_generator.num_base_priors[0]
    start = 0
    for level in outputs[index]:
        height, width = level.shape[-2:]
        num = height * width * num_base
        rows = changed[start : start + num].view(height, width, -1)
        start += num
        mask = rows.permute(2, 0, 1).repeat_interleave(
            level.size(1) // num_base, dim=0
        )
        level[:, mask] *= torch.rand_like(level[:, mask])
    assert changed.any()
    assert losses(outputs) == before


def query_gradients(model, image, kind):
    """Scores' and boxes' gradients, and boxes: of queries and proposals.

    Each of shape (layers, N, queries, ...).
    """
    noted, proposals = note_outputs(model.bbox_head), []
    head_loss = model.bbox_head.loss

    def note_loss(*args, **kwargs):
        for name in ('enc_outputs_class', 'enc_outputs_coord'):
            if name in kwargs:
                kwargs[name].retain_grad()
                proposals.append(kwargs[name])
        return head_loss(*args, **kwargs)

    model.bbox_head.loss = note_loss
    losses = loss_of(model, image, make_samples(kind))
    model.parse_losses(losses)[0].backward()
    found = [tuple(noted)]
    if proposals:
        found.append(tuple(values[None] for values in proposals))
        for values, source in zip(found[1], proposals):
            values.grad = source.grad[None]
    result = []
    for scores, boxes in found:
        centers, sizes = (boxes.detach() * SIDE).split(2, dim=-1)
        corners = torch.cat([centers - sizes / 2, centers + sizes / 2], dim=-1)
        result.append((scores.grad, boxes.grad, corners.numpy()))
    return result


@pytest.mark.parametrize('kind', IGNORED)
@pytest.mark.parametrize('family', QUERIES)
def test_no_query_learns_background_where_it_is_unknown(family, kind):
    plain, ours, image = make_models(family)
    parts = query_gradients(ours, image, kind)
    all_parts = query_gradients(plain, image, kind)
    assert len(parts) == (2 if family in ('DINO', 'Deformable DETR') else 1)
    for part, (scores, boxes, corners) in enumerate(parts):
        all_scores, all_boxes, _ = all_parts[part]
        positive = (boxes != 0).any(dim=-1).numpy()
        is_off, unclear = off_limits(kind, corners)
        if family == 'DINO' and part == 0:
            # Denoising queries stand first, and stay as they are.
            is_off[:, :, :-30] = False
        unlearned = ~positive & is_off & ~unclear
        assert unlearned.sum() > 2
        assert (scores[unlearned] == 0).all()
        assert (all_scores[unlearned] != 0).any()
        assert np.array_equal(positive, (all_boxes != 0).any(dim=-1))
        assert positive.any()
        learned = ~unlearned & ~unclear
        assert learned.any()
        # By layer.
        for rows, one, other in zip(learned, scores, all_scores):
            one, other = one[rows], other[rows]
            if family == 'DETR':
                # Unmatched queries count where the loss is averaged.
                other = other * one.norm() / other.norm()
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize('kind', ['area', 'cell'])
@pytest.mark.parametrize('family', ROIS)
def test_no_roi_learns_background_where_it_is_unknown(family, kind):
    """By the gradient of the features that lie there."""
    plain, ours, _ = make_models(family)
    rectangle, _ = IGNORED[kind]
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * 20 + 10
    hidden = torch.cat([corners, corners + 22], dim=1)
    corners = torch.rand(40, 2, generator=generator) * 10
    corners += torch.tensor([[82, 40]])
    other = torch.cat([corners, corners + 30], dim=1)
    assert (share(hidden, rectangle) == 1).all()
    gradients = []
    for model in (ours, plain):
        features = [
            torch.rand(2, 32, SIDE // stride, SIDE // stride)
            for stride in (4, 8, 16, 32, 64)
        ]
        for level in features:
            level.requires_grad_()
        torch.manual_seed(1)
        losses = model.roi_head.loss(
            features,
            [
                InstanceData(bboxes=torch.cat([hidden, other]))
                for _ in range(2)
            ],
            make_samples(kind),
        )
        model.parse_losses(losses)[0].backward()
        # The finest level has a margin to what lies right of it.
        gradients.append(features[0].grad[..., :14])
        assert features[0].grad.any()
    assert (gradients[0] == 0).all()
    assert (gradients[1] != 0).any()


@pytest.mark.parametrize('family', CONFIGS)
def test_all_annotated_is_plain_mmdet(family):
    plain, ours, image = make_models(family)
    expected = loss_of(plain, image, make_samples())
    for has_field in (True, False):
        samples = make_samples()
        for sample in samples if not has_field else []:
            del sample.ignored_instances
        losses = loss_of(ours, image, samples)
        assert list(losses) == list(expected)
        for name, value in losses.items():
            for one, other in zip(as_list(value), as_list(expected[name])):
                assert torch.equal(one, other), name
