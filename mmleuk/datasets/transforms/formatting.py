# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence

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
    """Pack the inputs, with attributes and un-annotated area.

    Undoes what :class:`LoadLLDAnnotations` packed and gives a
    ``DetDataSample`` with

    - ``gt_instances``: ``bboxes`` (n, 4), ``labels`` (n, ) and
      ``attributes`` (n, k), int64, -1 where missing;
    - ``ignored_instances``: the same fields. First the ignored cells
      (``ignore_flag``), with their labels and attributes; then rectangles
      with the label ``mmleuk.structures.UNANNOTATED`` and no attributes. The
      rectangles do not overlap and together cover the un-annotated area of
      the packed image: exactly after transforms along the axes, from outside
      after a rotation or a shear. There are none where all of the image is
      annotated.

    Padding and other fill counts as annotated, like in MMDetection. Without
    ``gt_bboxes`` (inference) it packs the image and the meta keys alone.

    Args:
        meta_keys (Sequence[str]): Keys of the results that go into the
            metainfo where they are there. Defaults to MMDetection's, the
            origin of the image and the geometry of the view. Evaluation and
            mining also need 'instances' and 'annotated_regions', as the
            dataset states them.
        cover_step (float): Where a rotation made edges slant, the height in
            pixels of the rectangles that cover them. Smaller loses less
            annotated area and makes more rectangles. Defaults to 8.
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
            # Of use to the mining of un-annotated area.
            'homography_matrix',
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
            TypeError: If a transform has replaced the boxes, so that the
                regions are lost.
            KeyError: If the annotations come from another loader.
        """
        if 'gt_bboxes' not in results:
            return super().transform(results)
        boxes = results['gt_bboxes']
        if 'num_attributes' not in results:
            raise KeyError(
                f'{results.get("img_path")}: no attributes are packed in the '
                'labels, expected those of LoadLLDAnnotations. Load the '
                'annotations with it'
            )
        if not isinstance(boxes, RegionBoxes):
            raise TypeError(
                f'{results.get("img_path")}: got boxes of type '
                f'{type(boxes).__name__}, expected RegionBoxes: a transform '
                'has made new boxes and lost the annotated regions. Of '
                "MMDetection's own, RandomErasing and Albu do so: leave them "
                'out (CutOut erases without touching boxes)'
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

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(meta_keys={self.meta_keys}, '
            f'cover_step={self.cover_step})'
        )
