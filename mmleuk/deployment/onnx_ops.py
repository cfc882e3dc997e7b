# Copyright (c) mmleuk authors. All rights reserved.
"""NMS and RoIAlign as operators that torch.export does not trace.

MMCV's own are Python functions around compiled code, which torch.export can't
look into. These two run MMCV's code in PyTorch and become the operators
``NonMaxSuppression`` and ``RoiAlign`` of the ONNX standard in a graph, so that
no runtime needs an extension.
"""

from typing import Callable, Dict

import torch
from mmcv.ops import nms as mmcv_nms
from mmcv.ops import roi_align as mmcv_roi_align
from mmengine.utils import digit_version
from torch import Tensor

if digit_version(torch.__version__) < digit_version('2.6'):
    raise ImportError(
        f'export to ONNX got torch {torch.__version__}, expected 2.6 or '
        'newer (tested: 2.13). What was exported runs with any'
    )

# The first with RoiAlign as MMCV has it (`half_pixel`, 16) that torch's
# exporter writes.
OPSET = 18


@torch.library.custom_op('mmleuk::nms', mutates_args=())
def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_num: int
) -> Tensor:
    """Suppress boxes that overlap a box of a higher score.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4), float32.
        scores (Tensor): Their scores, shape (n, ), float32. A box whose score
            is not above 0 neither is kept nor suppresses another.
        iou_threshold (float): IoU above which a box is suppressed.
        max_num (int): Most boxes to keep.

    Returns:
        Tensor: Indices of the boxes kept, the highest score first, then -1,
        shape (max_num, ), int64: the exporter has to know the size of what
        follows.
    """
    candidates = (scores > 0).nonzero().squeeze(1)
    kept = torch.full((max_num,), -1, device=boxes.device)
    if len(candidates):
        _, order = mmcv_nms(
            boxes[candidates], scores[candidates], iou_threshold
        )
        order = order[:max_num]
        kept[: len(order)] = candidates[order]
    return kept


@nms.register_fake
def _(boxes, scores, iou_threshold, max_num):
    return boxes.new_empty((max_num,), dtype=torch.int64)


@torch.library.custom_op('mmleuk::roi_align', mutates_args=())
def roi_align(
    feats: Tensor,
    rois: Tensor,
    height: int,
    width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Pool RoI features by averages of samples.

    Args:
        feats (Tensor): Features, shape (N, C, H, W), float32.
        rois (Tensor): RoIs (batch index, x1, y1, x2, y2), shape (n, 5).
        height (int): Rows of the output.
        width (int): Columns of the output.
        spatial_scale (float): Pixels of the features in one pixel of RoIs.
        sampling_ratio (int): Samples in a cell of the output a side, 0 for as
            many as there are pixels.
        aligned (bool): Whether pixels have their centre at halves.

    Returns:
        Tensor: Shape (n, C, height, width).
    """
    return mmcv_roi_align(
        feats.contiguous(),
        rois,
        (height, width),
        spatial_scale,
        sampling_ratio,
        'avg',
        aligned,
    )


@roi_align.register_fake
def _(feats, rois, height, width, spatial_scale, sampling_ratio, aligned):
    return feats.new_empty((rois.size(0), feats.size(1), height, width))


def translation_table() -> Dict[Callable, Callable]:
    """Map the operators to functions of ONNX, for torch's exporter."""
    from onnxscript import opset18 as op

    def onnx_nms(boxes, scores, iou_threshold: float, max_num: int):
        # One image, one class; rows of (image, class, box), best score first.
        selected = op.NonMaxSuppression(
            op.Unsqueeze(boxes, op.Constant(value_ints=[0])),
            op.Unsqueeze(scores, op.Constant(value_ints=[0, 1])),
            op.Constant(value_ints=[max_num]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[0.0]),
        )
        indices = op.Gather(selected, op.Constant(value_int=2), axis=1)
        filler = op.Constant(value_ints=[-1] * max_num)
        return op.Slice(
            op.Concat(indices, filler, axis=0),
            op.Constant(value_ints=[0]),
            op.Constant(value_ints=[max_num]),
        )

    def onnx_roi_align(
        feats,
        rois,
        height: int,
        width: int,
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
    ):
        columns = op.Constant(value_ints=[1, 2, 3, 4])
        batch_indices = op.Gather(rois, op.Constant(value_int=0), axis=1)
        return op.RoiAlign(
            feats,
            op.Gather(rois, columns, axis=1),
            op.CastLike(batch_indices, columns),
            output_height=height,
            output_width=width,
            spatial_scale=spatial_scale,
            sampling_ratio=max(0, sampling_ratio),
            mode='avg',
            coordinate_transformation_mode=(
                'half_pixel' if aligned else 'output_half_pixel'
            ),
        )

    return {
        torch.ops.mmleuk.nms.default: onnx_nms,
        torch.ops.mmleuk.roi_align.default: onnx_roi_align,
    }
