# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmdet.utils import register_all_modules
from mmengine.hooks import EMAHook

from mmleuk.models.roi_heads import AttributeHead, AttriDetHead
from mmleuk.registry import MODELS
from mmleuk.structures import LLD_ATTRIBUTES

SCHEMA = [
    dict(name='size', values=('small', 'medium', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
DEFAULT_ARGS = dict(
    type='mmleuk.AttributeHead',
    attributes=SCHEMA,
    in_channels=4,
    num_convs=1,
    conv_channels=4,
    fc_channels=8,
)
LOSSES = [
    dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False),
    dict(type='mmleuk.AsymmetricLoss'),
]

LONG_TAILS = [
    dict(type='mmleuk.LogitAdjustment'),
    dict(type='mmleuk.ClassBalancedWeights'),
]
COUNTS = [[70, 20, 10], [90, 10]]


@pytest.fixture(autouse=True)
def _modules():
    register_all_modules()
    torch.manual_seed(0)


def build(**kwargs):
    return MODELS.build(dict(DEFAULT_ARGS, **kwargs))


def test_branches_follow_the_schema():
    feats, sizes = torch.rand(3, 4, 7, 7), torch.rand(3, 2) * 100
    assert build()(feats, sizes).shape == (3, 5)
    assert build(attributes=LLD_ATTRIBUTES)(feats, sizes).shape == (3, 15)


def test_loss_by_hand():
    head = build()
    logits = torch.randn(4, 5)
    targets = torch.tensor([[0, -1], [2, 1], [-1, -1], [1, -1]])
    size = F.cross_entropy(logits[[0, 1, 3], :3], torch.tensor([0, 2, 1]))
    vacuoles = F.cross_entropy(logits[[1], 3:], torch.tensor([1]))
    losses = head.loss(logits, targets)
    torch.testing.assert_close(losses['loss_attribute'], (size + vacuoles) / 2)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('long_tail', [None, *LONG_TAILS])
def test_missing_codes_teach_nothing(loss, long_tail):
    head = build(loss_attribute=loss, long_tail=long_tail)
    head.set_value_counts(COUNTS)
    logits = torch.randn(2, 5, requires_grad=True)
    targets = torch.tensor([[-1, 1], [-1, -1]])
    head.loss(logits, targets)['loss_attribute'].backward()
    assert logits.grad[0, 3:].abs().sum() > 0
    assert logits.grad[0, :3].abs().sum() == 0
    assert logits.grad[1].abs().sum() == 0


def test_each_branch_is_adjusted_by_its_own_counts():
    head = build(long_tail=LONG_TAILS[0])
    head.set_value_counts(COUNTS)
    logits = torch.randn(3, 5)
    targets = torch.tensor([[0, 1], [2, 0], [1, 1]])
    shares = [torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.9, 0.1])]
    expected = [
        F.cross_entropy(branch + share.log(), targets[:, column])
        for column, (branch, share) in enumerate(
            zip(logits.split((3, 2), dim=1), shares)
        )
    ]
    losses = head.loss(logits, targets)
    torch.testing.assert_close(losses['loss_attribute'], sum(expected) / 2)
    # Predictions and the logged accuracy are of the plain logits.
    plain = build()
    assert (
        losses['acc_attribute'] == plain.loss(logits, targets)['acc_attribute']
    )
    torch.testing.assert_close(
        head.predict(logits)['attribute_probs'],
        plain.predict(logits)['attribute_probs'],
    )


def test_counts_are_needed_for_a_long_tail_alone():
    logits, targets = torch.randn(1, 5), torch.tensor([[0, 1]])
    assert build().loss(logits, targets)['loss_attribute'].isfinite()
    head = build(long_tail=LONG_TAILS[1])
    with pytest.raises(RuntimeError, match='ClassBalanced.*TypeProfileHook'):
        head.loss(logits, targets)
    with pytest.raises(ValueError, match=r'got .*\(3,\).*expected \(3, 2\)'):
        head.set_value_counts(COUNTS[:1])
    # A checkpoint has no counts: each training has its own.
    before = set(head.state_dict())
    head.set_value_counts(COUNTS)
    assert set(head.state_dict()) == before == set(build().state_dict())


def test_a_moving_average_goes_with_counts_of_values():
    """MMEngine's EMAHook keeps and stores the mean of the weights."""
    head = build(long_tail=LONG_TAILS[0])
    hook = EMAHook(
        'ExponentialMovingAverage', momentum=0.25, update_buffers=True
    )
    runner = SimpleNamespace(model=head, iter=0)
    hook.before_run(runner)
    head.set_value_counts(COUNTS)
    # The first step copies the weights.
    hook.after_train_iter(runner, 0)
    before = head.fc_attribute.weight.detach().clone()
    torch.nn.init.constant_(head.fc_attribute.weight, 1.0)
    hook.after_train_iter(runner, 1)
    checkpoint = dict(state_dict=head.state_dict())
    hook.before_save_checkpoint(runner, checkpoint)
    torch.testing.assert_close(
        checkpoint['state_dict']['fc_attribute.weight'],
        0.75 * before + 0.25,
    )


@pytest.mark.parametrize('loss', LOSSES)
def test_an_absent_attribute_leaves_the_mean_alone(loss):
    """A branch without labels counts neither above nor below the line."""
    head = build(loss_attribute=loss)
    alone = build(loss_attribute=loss, attributes=SCHEMA[:1])
    logits = torch.randn(3, 5)
    targets = torch.tensor([[0, -1], [1, -1], [2, -1]])
    torch.testing.assert_close(
        head.loss(logits, targets)['loss_attribute'],
        alone.loss(logits[:, :3], targets[:, :1])['loss_attribute'],
    )


@pytest.mark.parametrize('num_rois', [0, 3])
@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kind', ['AttributeHead', 'AttriDetHead'])
def test_no_label_gives_a_zero_that_reaches_all(num_rois, loss, kind):
    if kind == 'AttributeHead':
        head, shape = build(loss_attribute=loss), (7, 7)
    else:
        head, shape = AttriDetHead(4, SCHEMA, loss_attribute=loss), (24, 30)
    logits = head(torch.rand(num_rois, 4, *shape), torch.ones(num_rois, 2))
    targets = torch.full((num_rois, 2), -1)
    loss = head.loss(logits, targets)['loss_attribute']
    loss.backward()
    assert loss == 0
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() == 0, name


def test_accuracy_counts_known_codes_alone():
    logits = torch.tensor([[9.0, 0, 0, 9, 0], [9, 0, 0, 9, 0]])
    targets = torch.tensor([[0, 1], [1, -1]])
    losses = build().loss(logits, targets)
    torch.testing.assert_close(losses['acc_attribute'], torch.tensor(100 / 3))


@pytest.mark.parametrize('loss', LOSSES)
def test_predict(loss):
    head = build(loss_attribute=loss)
    logits = torch.randn(6, 5)
    fields = head.predict(logits)
    probs = fields['attribute_probs']
    torch.testing.assert_close(probs[:, :3].sum(dim=1), torch.ones(6))
    torch.testing.assert_close(probs[:, 3:].sum(dim=1), torch.ones(6))
    assert fields['attribute_labels'].dtype == torch.int64
    for column, branch in enumerate(logits.split((3, 2), dim=1)):
        labels = fields['attribute_labels'][:, column]
        assert (labels == branch.argmax(dim=1)).all()
        offset = 3 * column
        torch.testing.assert_close(
            fields['attribute_scores'][:, column],
            probs[torch.arange(6), offset + labels],
        )


def test_predict_nothing():
    fields = build().predict(torch.zeros(0, 5))
    assert fields['attribute_labels'].shape == (0, 2)
    assert fields['attribute_scores'].shape == (0, 2)
    assert fields['attribute_probs'].shape == (0, 5)


def test_box_size_is_seen():
    head = build().eval()
    torch.nn.init.normal_(head.fc_attribute.weight)
    feats = torch.rand(1, 4, 7, 7)
    small = head(feats, torch.tensor([[40.0, 40.0]]))
    large = head(feats, torch.tensor([[160.0, 160.0]]))
    assert not torch.allclose(small, large)
    blind = build(box_size_unit=None).eval()
    torch.nn.init.normal_(blind.fc_attribute.weight)
    torch.testing.assert_close(
        blind(feats, torch.tensor([[40.0, 40.0]])),
        blind(feats, torch.tensor([[160.0, 160.0]])),
    )


def test_attridet_wants_room_for_its_poolings():
    with pytest.raises(ValueError, match='too small for 3 poolings'):
        AttriDetHead(4, SCHEMA, roi_feat_size=(7, 7))


def test_head_is_the_registered_one():
    assert isinstance(build(), AttributeHead)
