# Copyright (c) mmleuk authors. All rights reserved.
import json
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData

from mmleuk.models.utils import attribute_fields
from mmleuk.optional_packages import import_optional
from mmleuk.structures import AttributeSchema

_REQUIRED_KEYS = ('classes', 'attributes', 'resize', 'min_size')


class OnnxDetector:
    """A detector that :func:`export_onnx` wrote, run by onnxruntime.

    It takes an image, or the batches of a dataloader as a detector in PyTorch
    does, so that :class:`LLDMetric` can score it::

        detector = OnnxDetector('detector.onnx')
        cells = detector(cv2.imread('field.png')).pred_instances

    Args:
        file (str | Path): The file.
        providers (Sequence[str]): Execution providers of onnxruntime in the
            order of preference.
        num_threads (int, optional): Threads on the CPU. None: onnxruntime
            decides.

    Attributes:
        metadata (dict[str, str]): Metadata of the file.
        classes (tuple[str]): Names of the cell types.
        schema (AttributeSchema | None): The attributes, None for a detector
            without.

    Raises:
        ImportError: If onnxruntime is missing.
        ValueError: If the file was not written by mmleuk.
    """

    def __init__(
        self,
        file: Union[str, Path],
        providers: Sequence[str] = ('CPUExecutionProvider',),
        num_threads: Optional[int] = None,
    ) -> None:
        onnxruntime = import_optional(
            'onnxruntime', 'running an exported detector', 'onnx'
        )
        options = onnxruntime.SessionOptions()
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        self.file = str(file)
        self._session = onnxruntime.InferenceSession(
            self.file, options, providers=list(providers)
        )
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        missing = set(_REQUIRED_KEYS) - set(self.metadata)
        if missing:
            raise ValueError(
                f'{file} says nothing of {sorted(missing)}, expected a file '
                'written by tools/deployment/export_onnx.py'
            )
        classes, attributes, resize, self._min_size = (
            json.loads(self.metadata[key]) for key in _REQUIRED_KEYS
        )
        self.classes = tuple(classes)
        self.schema = AttributeSchema(attributes) if attributes else None
        # JSON has no tuples, and a scale has to be one.
        resize = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in (resize or {}).items()
        }
        self._resize = TRANSFORMS.build(resize) if resize else None

    def __call__(self, image: np.ndarray) -> DetDataSample:
        """Detect the cells of one image.

        Args:
            image (np.ndarray): The image as OpenCV reads it: BGR, uint8,
                shape (h, w, 3). It is resized as in testing.

        Returns:
            :obj:`DetDataSample`: As of :meth:`test_step`.
        """
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'got an image of the shape {image.shape}, expected (h, w, 3)'
            )
        results = dict(
            img=image,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            scale_factor=(1.0, 1.0),
        )
        if self._resize is not None:
            results = self._resize(results)
        resized = np.ascontiguousarray(results.pop('img').transpose(2, 0, 1))
        sample = DetDataSample(
            metainfo={
                key: results[key]
                for key in ('ori_shape', 'img_shape', 'scale_factor')
            }
        )
        batch = dict(inputs=[torch.from_numpy(resized)], data_samples=[sample])
        return self.test_step(batch)[0]

    def test_step(self, data: dict) -> SampleList:
        """Detect the cells of a batch, as a detector in PyTorch does.

        Args:
            data (dict): ``inputs``, images before normalisation, each BGR,
                uint8, of shape (3, h, w), and their ``data_samples``.

        Returns:
            list[:obj:`DetDataSample`]: The samples, with ``pred_instances``:
            ``bboxes`` in pixels of the original image, ``scores``,
            ``labels`` and, with attributes, the fields of
            :meth:`BaseAttributeHead.predict`.
        """
        for image, sample in zip(data['inputs'], data['data_samples']):
            scale_factor = sample.metainfo.get('scale_factor', (1.0, 1.0))
            sample.pred_instances = self._run(
                image.cpu().numpy(), scale_factor[:2]
            )
        return data['data_samples']

    def _run(
        self, image: np.ndarray, scale_factor: Tuple[float, float]
    ) -> InstanceData:
        """Run the graph on an image of shape (3, h, w)."""
        if image.dtype != np.uint8:
            raise TypeError(
                f'got an image of {image.dtype}, expected uint8: the graph '
                'normalises by itself'
            )
        if min(image.shape[1:]) < self._min_size:
            raise ValueError(
                f'got an image of {image.shape[2]} x {image.shape[1]} pixels '
                f'as input of the network, expected {self._min_size} and '
                'more a side: export with a smaller --min-size'
            )
        outputs = self._session.run(
            None,
            dict(
                image=image[None],
                scale_factor=np.asarray(scale_factor, dtype=np.float32),
            ),
        )
        boxes, scores, labels, *probs = map(torch.from_numpy, outputs)
        fields = attribute_fields(probs[0], self.schema.sizes) if probs else {}
        return InstanceData(
            bboxes=boxes, scores=scores, labels=labels, **fields
        )
