# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch

from mmleuk.registry import MODELS

ROIS = torch.tensor([[0.0, 2, 3, 30, 25], [0, 5, 5, 20, 60]])


def build(kind):
    return MODELS.build(
        dict(
            type=f'mmleuk.Robust{kind}RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            out_channels=8,
            featmap_strides=[4, 8],
        )
    )


@pytest.fixture
def feats():
    torch.manual_seed(0)
    return torch.rand(1, 8, 16, 16), torch.rand(1, 8, 8, 8)


@pytest.mark.parametrize('kind', ['Single', 'Generic'])
def test_memory_layout_does_not_matter(kind, feats):
    """RoIAlign itself pools garbage from channels-last features."""
    extractor = build(kind)
    expected = extractor(feats, ROIS)
    channels_last = tuple(
        feat.contiguous(memory_format=torch.channels_last) for feat in feats
    )
    torch.testing.assert_close(extractor(channels_last, ROIS), expected)
    layer = extractor.roi_layers[0]
    assert not torch.allclose(
        layer(channels_last[0], ROIS), layer(feats[0], ROIS)
    )


@pytest.mark.parametrize('kind', ['Single', 'Generic'])
def test_bfloat16(kind, feats):
    extractor = build(kind)
    rounded = tuple(feat.bfloat16() for feat in feats)
    pooled = extractor(rounded, ROIS)
    assert pooled.dtype == torch.float32
    expected = extractor(tuple(feat.float() for feat in rounded), ROIS)
    torch.testing.assert_close(pooled, expected)
    with pytest.raises(RuntimeError, match='BFloat16'):
        extractor.roi_layers[0](rounded[0], ROIS.bfloat16())
