# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors of one stage in PyTorch and exported, on the same images."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from test_onnx_export import IMAGES, agreement_of, run_exportable
from tiny_dense_detectors import attribute_cfg, build, plain_cfg
from tiny_detectors import CLASSES, make_batch, spread

pytest.importorskip('onnxscript', reason='onnxscript is not there')
from mmleuk.deployment import OnnxDetector  # noqa: E402
from mmleuk.deployment.export import export_onnx, make_exportable  # noqa: E402

EXPORTABLE = ['RetinaNet', 'ATSS', 'FCOS', 'RTMDet']
# Layers of scores and of boxes.
LAYERS = dict(
    RetinaNet=('retina_cls', 'retina_reg'),
    ATSS=('atss_cls', 'atss_reg'),
    FCOS=('conv_cls', 'conv_reg'),
    RTMDet=('rtm_cls', 'rtm_reg'),
)


def three_levels(cfg):
    """Leave out strides above 32, which an image would have to divide."""
    neck = cfg.neck.get('neck', cfg.neck)
    if 'num_outs' in neck:
        neck.num_outs = 3
        if 'anchor_generator' in cfg.bbox_head:
            cfg.bbox_head.anchor_generator.strides = [8, 16, 32]
        else:
            cfg.bbox_head.strides = [8, 16, 32]
            cfg.bbox_head.regress_ranges = ((-1, 64), (64, 128), (128, 1e8))
    return cfg


@torch.no_grad()
def measure_batch_norm(detector):
    """Give batch norm the statistics of images, or features fade out."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    detector.train()
    for args in IMAGES:
        # Batch norm needs more than one place of the coarsest level.
        batch = make_batch(*args)
        batch['inputs'] += make_batch(*reversed(args[:2]))['inputs']
        batch['data_samples'] *= 2
        inputs = detector.data_preprocessor(batch)['inputs']
        detector.forward(inputs, mode='tensor')
    detector.eval()


@torch.no_grad()
def set_outputs(detector, layers, mean, std):
    """Scale and shift random layers to outputs of this mean and spread."""
    outputs = {layer: [] for layer in layers}
    handles = [
        layer.register_forward_hook(
            lambda module, _, output: outputs[module].append(output.flatten())
        )
        for layer in layers
    ]
    for args in IMAGES:
        detector.test_step(make_batch(*args))
    for layer, handle in zip(layers, handles):
        handle.remove()
        values = torch.cat(outputs[layer])
        factor = std / values.std()
        layer.weight *= factor
        layer.bias.copy_((layer.bias - values.mean()) * factor + mean)


def build_detector(cfg):
    """Build a detector of random weights that finds more here than there."""
    cfg = three_levels(cfg)
    cfg.test_cfg.update(score_thr=0.6, nms_pre=100, max_per_img=30)
    detector = build(cfg)
    measure_batch_norm(detector)
    name = type(detector).__name__.replace('Attribute', '')
    scores, boxes = (
        layers if isinstance(layers, torch.nn.ModuleList) else [layers]
        for layers in (getattr(detector.bbox_head, n) for n in LAYERS[name])
    )
    set_outputs(detector, scores, -0.5, 1.0)
    # Distances to the sides in strides, or deltas of anchors.
    is_distance = name in ('FCOS', 'RTMDet')
    set_outputs(detector, boxes, 2.0 if is_distance else 0.0, 0.3)
    if hasattr(detector, 'attribute_head'):
        spread(detector, [detector.attribute_head.fc_attribute], 2.0)
    return detector


@pytest.mark.parametrize(
    'name, early', [(name, name == 'RTMDet') for name in EXPORTABLE]
)
def test_exportable_finds_the_same(name, early):
    detector = build_detector(attribute_cfg(name, early))
    before = repr(detector)
    exportable = make_exportable(detector)
    assert repr(detector) == before
    agreement = agreement_of(
        detector, lambda batch: run_exportable(exportable, batch), IMAGES
    )
    assert agreement.num_cells > 30
    assert agreement.num_unpaired == 0
    assert not agreement.violations(1e-3, 1e-4)


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """A detector in PyTorch and exported."""
    pytest.importorskip('onnxruntime', reason='onnxruntime is not there')
    detector = build_detector(attribute_cfg('RTMDet'))
    file = tmp_path_factory.mktemp('onnx') / 'detector.onnx'
    export_onnx(detector, file, CLASSES)
    return detector, OnnxDetector(file, num_threads=1)


def test_exported_finds_the_same(pair):
    detector, exported = pair
    agreement = agreement_of(
        detector,
        lambda batch: exported.test_step(batch)[0].pred_instances,
        IMAGES,
    )
    print(agreement)
    assert agreement.num_cells > 30
    assert agreement.num_unpaired == 0
    assert not agreement.violations(1e-3, 1e-4)


def test_fields_are_those_of_pytorch(pair):
    detector, exported = pair
    for blank in (False, True):
        args = (128, 128, (1.0, 1.0), blank)
        with torch.no_grad():
            expected = detector.test_step(make_batch(*args))[0].pred_instances
        found = exported.test_step(make_batch(*args))[0].pred_instances
        assert set(found.keys()) == set(expected.keys())
        for name in expected.keys():
            assert found[name].dtype == expected[name].dtype
            assert found[name].shape == expected[name].shape


@torch.no_grad()
def test_detector_without_attributes():
    detector = build_detector(plain_cfg('RTMDet'))
    exportable = make_exportable(detector)
    assert exportable.attributes == []
    agreement = agreement_of(
        detector, lambda batch: run_exportable(exportable, batch), [(100, 130)]
    )
    assert agreement.num_cells > 10
    assert not agreement.violations(1e-3, 1e-4)


@pytest.mark.parametrize('name', ['GFL', 'TOOD', 'YOLOX', 'DINO'])
def test_other_heads_are_refused_by_name(name):
    detector = build(attribute_cfg(name))
    with pytest.raises(TypeError, match=f'Attribute{name} with the head'):
        make_exportable(detector)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(nms_pre=-1), r'test_cfg.nms_pre is -1, expected a number'),
        (dict(max_per_img=0), r'test_cfg.max_per_img is 0, expected'),
        (
            dict(nms=dict(type='soft_nms', iou_threshold=0.5)),
            r"test_cfg.nms is .*soft_nms.* expected type='nms'",
        ),
    ],
)
def test_what_is_not_exported_is_named(settings, message):
    register_all_modules()
    cfg = plain_cfg('RTMDet')
    cfg.test_cfg.update(settings)
    with pytest.raises(ValueError, match=message):
        make_exportable(MODELS.build(cfg))


def test_divisor_must_fit_the_coarsest_stride():
    with pytest.raises(ValueError, match='expected a multiple of 128, the co'):
        make_exportable(build(plain_cfg('RetinaNet')))


def test_the_least_image_is_more_than_one_tile(tmp_path):
    detector = build(plain_cfg('RTMDet'))
    with pytest.raises(ValueError, match='min_size=32, expected more than 32'):
        export_onnx(detector, tmp_path / 'x.onnx', CLASSES, min_size=32)
