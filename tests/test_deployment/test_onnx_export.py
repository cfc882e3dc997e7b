# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors in PyTorch and exported, on the same images."""

import json
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny_detectors import (
    CLASSES,
    SCHEMA,
    build_detector,
    detector_cfg,
    make_batch,
)
from torch.nn.functional import pad

from mmleuk.deployment import Agreement
from mmleuk.structures import AttributeSchema

pytest.importorskip('onnxscript', reason='onnxscript is not there')
from mmleuk.deployment.export import export_onnx, make_exportable  # noqa: E402

CONFIGS = Path(__file__).parents[2] / 'configs'
# No two sizes pad to one shape, and the last has pixels that are not square.
IMAGES = [(96, 96), (100, 130), (230, 150, (0.5, 0.75))]


def run_exportable(exportable, batch):
    """Run an exportable detector in PyTorch, its padding full of noise."""
    image, sample = batch['inputs'][0][None], batch['data_samples'][0]
    height, width = image.shape[2:]
    padded = pad(image, (0, -width % 32, 0, -height % 32), value=77)
    rows, columns = (side // 32 for side in padded.shape[2:])
    outputs = exportable(
        padded.reshape(1, 3, rows, 32, columns, 32),
        torch.tensor([height, width]),
        torch.tensor(sample.scale_factor),
    )
    names = ('bboxes', 'scores', 'labels', 'attribute_probs')
    return InstanceData(**dict(zip(names, outputs)))


@torch.no_grad()
def agreement_of(detector, other, images):
    agreement = Agreement()
    for args in images:
        agreement.add(
            detector.test_step(make_batch(*args))[0].pred_instances,
            other(make_batch(*args)),
        )
    return agreement


@pytest.mark.parametrize('cascade', [False, True])
class TestTinyDetectors:
    def test_exportable_finds_the_same(self, detectors, cascade):
        exportable = make_exportable(detectors[cascade])
        agreement = agreement_of(
            detectors[cascade],
            lambda batch: run_exportable(exportable, batch),
            IMAGES,
        )
        assert agreement.num_cells > 30
        assert agreement.num_unpaired == 0
        assert not agreement.violations(1e-3, 1e-4)

    @pytest.mark.slow
    def test_exported_finds_the_same(self, detectors, exported, cascade):
        agreement = agreement_of(
            detectors[cascade],
            lambda batch: exported[cascade].test_step(batch)[0].pred_instances,
            IMAGES,
        )
        assert agreement.num_cells > 30
        assert agreement.num_unpaired == 0
        assert not agreement.violations(1e-3, 1e-4)

    @pytest.mark.slow
    def test_fields_are_those_of_pytorch(self, detectors, exported, cascade):
        batch = make_batch(100, 130)
        with torch.no_grad():
            expected = detectors[cascade].test_step(batch)[0].pred_instances
        found = exported[cascade].test_step(make_batch(100, 130))[0]
        found = found.pred_instances
        assert set(found.keys()) == set(expected.keys())
        for name in expected.keys():
            assert found[name].dtype == expected[name].dtype
            torch.testing.assert_close(
                found[name], expected[name], atol=1e-3, rtol=0
            )

    @pytest.mark.slow
    def test_nothing_found(self, detectors, exported, cascade):
        """An empty image gives empty fields of the right widths."""
        args = (128, 128, (1.0, 1.0), True)
        with torch.no_grad():
            expected = detectors[cascade].test_step(make_batch(*args))[0]
        found = exported[cascade].test_step(make_batch(*args))[0]
        assert len(expected.pred_instances) == 0
        for name, values in expected.pred_instances.items():
            assert found.pred_instances[name].shape == values.shape

    @pytest.mark.slow
    def test_graph_is_of_the_standard_alone(self, exported, cascade):
        import onnx

        model = onnx.load(exported[cascade].file)
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} <= {'', 'ai.onnx'}
        assert [(o.domain, o.version) for o in model.opset_import] == [
            ('', 18)
        ]
        kinds = [node.op_type for node in model.graph.node]
        assert kinds.count('NonMaxSuppression') == 2
        image, scale_factor = model.graph.input
        assert (image.name, scale_factor.name) == ('image', 'scale_factor')
        sides = [dim.dim_param for dim in image.type.tensor_type.shape.dim]
        assert sides == ['', '', 'height', 'width']

    def test_detector_is_left_as_it_is(self, detectors, cascade):
        detector = detectors[cascade]
        before = repr(detector)
        make_exportable(detector)
        assert repr(detector) == before


@pytest.mark.slow
def test_metadata(exported):
    detector = exported[False]
    assert detector.classes == CLASSES
    assert detector.schema.names == AttributeSchema(SCHEMA).names
    assert detector.schema.sizes == AttributeSchema(SCHEMA).sizes
    assert json.loads(detector.metadata['normalisation']) == dict(
        mean=[120.0, 110.0, 130.0], std=[60.0, 50.0, 70.0], channels='RGB'
    )
    calibration = json.loads(detector.metadata['mmleuk_calibration'])
    assert calibration == dict(type_temperature=1.5)


@torch.no_grad()
def test_detector_of_our_configs_finds_the_same():
    """The real model, with random weights that find something."""
    register_all_modules()
    cfg = Config.fromfile(
        CONFIGS / 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py'
    )
    cfg.model.backbone.init_cfg = None
    cfg.model.test_cfg.rcnn.score_thr = 0.3
    detector = build_detector(cfg.model)
    exportable = make_exportable(detector)
    agreement = agreement_of(
        detector,
        lambda batch: run_exportable(exportable, batch),
        [(200, 230, (0.5, 0.5))],
    )
    assert agreement.num_cells > 10
    assert agreement.num_unpaired == 0
    assert not agreement.violations(1e-3, 1e-4)


@torch.no_grad()
def test_detector_without_attributes():
    cfg = detector_cfg(cascade=True)
    roi_head = {
        key: value
        for key, value in cfg.roi_head.items()
        if not key.startswith('attribute')
    }
    cfg.roi_head = dict(roi_head, type='CascadeRoIHead')
    detector = build_detector(cfg)
    exportable = make_exportable(detector)
    assert exportable.attributes == []
    agreement = agreement_of(
        detector,
        lambda batch: run_exportable(exportable, batch),
        [(100, 130)],
    )
    assert agreement.num_cells > 10
    assert not agreement.violations(1e-3, 1e-4)


@torch.no_grad()
def test_teacher_is_taken_out_of_a_semi_supervised_detector(detectors):
    cfg = detector_cfg()
    semi = MODELS.build(
        dict(
            type='SoftTeacher',
            detector=cfg,
            data_preprocessor=dict(
                type='MultiBranchDataPreprocessor',
                data_preprocessor=cfg.data_preprocessor,
            ),
            semi_train_cfg=dict(freeze_teacher=True),
            semi_test_cfg=dict(predict_on='teacher'),
        )
    )
    semi.teacher.load_state_dict(detectors[False].state_dict())
    exportable = make_exportable(semi)
    agreement = agreement_of(
        detectors[False],
        lambda batch: run_exportable(exportable, batch),
        [(100, 130)],
    )
    assert agreement.num_cells > 10
    assert not agreement.violations(1e-3, 1e-4)


def edited(edit):
    cfg = detector_cfg()
    edit(cfg)
    register_all_modules()
    return MODELS.build(cfg)


@pytest.mark.parametrize(
    'edit, error, message',
    [
        (
            lambda cfg: cfg.test_cfg.rcnn.nms.update(type='soft_nms'),
            ValueError,
            r"test_cfg.rcnn.nms is .*soft_nms.* expected type='nms'",
        ),
        (
            lambda cfg: cfg.test_cfg.rpn.update(nms_pre=-1),
            ValueError,
            r'test_cfg.rpn.nms_pre is -1, expected a number from 1',
        ),
        (
            lambda cfg: cfg.data_preprocessor.update(pad_size_divisor=1),
            ValueError,
            r'pad_size_divisor=1, expected a multiple of 32',
        ),
        (
            lambda cfg: cfg.roi_head.bbox_roi_extractor.roi_layer.update(
                pool_mode='max'
            ),
            TypeError,
            r"pool_mode=max.*expected RoIAlign with pool_mode='avg'",
        ),
        (
            lambda cfg: cfg.rpn_head.update(
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False)
            ),
            TypeError,
            r'expected an RPNHead with sigmoid scores',
        ),
    ],
)
def test_what_is_not_exported_is_named(edit, error, message):
    with pytest.raises(error, match=message):
        make_exportable(edited(edit))


def test_names_of_classes_must_be_as_many(detectors, tmp_path):
    with pytest.raises(ValueError, match='names of 1 cell types, expected 3'):
        export_onnx(detectors[False], tmp_path / 'x.onnx', ['cell'])
    assert not list(tmp_path.iterdir())
