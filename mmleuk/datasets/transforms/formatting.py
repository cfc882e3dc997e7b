# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional, Sequence, Tuple

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmleuk.registry import TRANSFORMS
from mmleuk.structures import (
    MISSING,
    UNANNOTATED,
    RegionBoxes,
    cover_rectangles,
    unpack_labels,
)
from mmleuk.structures.regions import cut_area


@TRANSFORMS.register_module()
class PackLLDInputs(PackDetInputs):
    """Pack the inputs with attributes and un-annotated area.

    Unpacks the labels of :class:`LoadLLDAnnotations` and returns a
    ``DetDataSample`` with

    - ``gt_instances``: ``bboxes`` (n, 4), ``labels`` (n, ) and
      ``attributes`` (n, k), int64, -1 where missing;
    - ``ignored_instances``: the same fields. First the ignored cells
      (``ignore_flag``), then disjoint rectangles that cover the un-annotated
      area, with the label ``mmleuk.structures.UNANNOTATED`` and no
      attributes. The cover is exact as long as all edges are upright; after a
      rotation or a shear it is larger than the area;
    - metainfo 'field_matrix': homography, (3, 3) float64, from pixels of the
      stored image to shares of the view's width and height (which a resized
      batch does not change). None if it is unknown, as in a mosaic.

    As in MMDetection, padding and other fill counts as annotated. Without
    ``gt_bboxes`` (inference) only the image and the meta keys are packed.

    Args:
        meta_keys (Sequence[str]): Keys of the results that are copied to the
            metainfo if they exist. Evaluation and mining also need
            'instances' and 'annotated_regions'.
        cover_step (float): Height in pixels of the rectangles along slanting
            edges. A smaller one loses less annotated area and makes more
            rectangles.
    """

    mapping_table = dict(
        PackDetInputs.mapping_table, gt_attributes='attributes'
    )

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'patient',
            'field',
            'magnification',
            'diagnosis',
            'subset',
            # Used by mining.
            'field_matrix',
            'held_out',
        ),
        cover_step: float = 8.0,
    ) -> None:
        super().__init__(meta_keys=meta_keys)
        if cover_step <= 0:
            raise ValueError(
                f'got cover_step={cover_step}, expected a height > 0'
            )
        self.cover_step = cover_step

    def transform(self, results: dict) -> dict:
        """Pack one image.

        Args:
            results (dict): Results of the pipeline.

        Returns:
            dict: 'inputs' (Tensor), shape (c, h, w), and 'data_samples'
            (:obj:`DetDataSample`).

        Raises:
            TypeError: If a transform has replaced the boxes and lost the
                regions.
            KeyError: If another class has loaded the annotations.
        """
        if 'gt_bboxes' not in results:
            return super().transform(results)
        boxes = results['gt_bboxes']
        if 'num_attributes' not in results:
            raise KeyError(
                f'{results.get("img_path")}: no attributes are packed in the '
                'labels. Load the annotations with LoadLLDAnnotations'
            )
        if not isinstance(boxes, RegionBoxes):
            raise TypeError(
                f'{results.get("img_path")}: got boxes of type '
                f'{type(boxes).__name__}, expected RegionBoxes: a transform '
                'has made new boxes and lost the annotated regions. Leave out '
                'RandomErasing and Albu, which do so (CutOut does not)'
            )
        labels, attributes = unpack_labels(
            results['gt_bboxes_labels'], results['num_attributes']
        )
        packed = super().transform(
            dict(
                results,
                gt_bboxes=HorizontalBoxes(boxes.tensor),
                gt_bboxes_labels=labels,
                gt_attributes=attributes,
                field_matrix=self._field_matrix(boxes, results['img_shape']),
            )
        )

        area = boxes.unannotated
        if not boxes.is_cut:
            area = cut_area(area, results['img_shape'])
        rectangles = torch.from_numpy(cover_rectangles(area, self.cover_step))
        if len(rectangles) > 0:
            data_sample = packed['data_samples']
            data_sample.ignored_instances = InstanceData.cat(
                [
                    data_sample.ignored_instances,
                    InstanceData(
                        bboxes=HorizontalBoxes(rectangles),
                        labels=torch.full((len(rectangles),), UNANNOTATED),
                        attributes=torch.full(
                            (len(rectangles), attributes.shape[1]), MISSING
                        ),
                    ),
                ]
            )
        return packed

    @staticmethod
    def _field_matrix(
        boxes: RegionBoxes, img_shape: Tuple[int, int]
    ) -> Optional[np.ndarray]:
        """Homography from the stored image to shares of the view's sides."""
        if boxes.field_matrix is None:
            return None
        height, width = img_shape[:2]
        return np.diag([1 / width, 1 / height, 1]) @ boxes.field_matrix

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(meta_keys={self.meta_keys}, '
            f'cover_step={self.cover_step})'
        )
