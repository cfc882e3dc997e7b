# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from tiny_detectors import CLASSES, build_detector, detector_cfg


@pytest.fixture(scope='session')
def detectors():
    """Both detectors in PyTorch, by whether they are a cascade."""
    return {
        cascade: build_detector(detector_cfg(cascade))
        for cascade in (False, True)
    }


@pytest.fixture(scope='session')
def exported(detectors, tmp_path_factory):
    """Both detectors exported, each once for all tests."""
    pytest.importorskip('onnx', reason='onnx is not there')
    pytest.importorskip('onnxscript', reason='onnxscript is not there')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not there')
    from mmleuk.deployment import OnnxDetector
    from mmleuk.deployment.export import export_onnx

    folder = tmp_path_factory.mktemp('onnx')
    found = {}
    for cascade, detector in detectors.items():
        file = folder / f'{"cascade" if cascade else "faster"}.onnx'
        export_onnx(
            detector,
            file,
            CLASSES,
            resize=dict(
                type='mmdet.Resize', scale=(160, 128), keep_ratio=True
            ),
            metadata=dict(mmleuk_calibration=dict(type_temperature=1.5)),
        )
        found[cascade] = OnnxDetector(file, num_threads=1)
    return found
