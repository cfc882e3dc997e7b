# Copyright (c) mmleuk authors. All rights reserved.
"""Box AP by the COCO protocol, aware of unknown area."""

import contextlib
import io
from typing import Any, Dict, List, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmleuk.structures import one_box_per_cell


class _KnownAreaCOCOeval(COCOeval):
    """COCO evaluation in which some detections can't be false positives.

    COCO's crowd annotations ignore detections of one class, each crowd box
    for itself, at an overlap that grows with the IoU threshold. Here the
    caller says which detections lie in unknown area. Matching comes first: if
    they match a cell they are true positives, and otherwise they don't count.
    """

    def __init__(
        self, gts: COCO, dts: COCO, unknown_ids: Sequence[int]
    ) -> None:
        super().__init__(gts, dts, 'bbox')
        self._unknown_ids = np.asarray(unknown_ids, dtype=np.int64)

    def evaluateImg(self, *args, **kwargs):
        """Match one class in one image; ``dtIgnore`` is extended."""
        result = super().evaluateImg(*args, **kwargs)
        if result is not None:
            unknown = np.isin(
                np.asarray(result['dtIds'], dtype=np.int64), self._unknown_ids
            )
            unmatched = result['dtMatches'] == 0
            result['dtIgnore'] = result['dtIgnore'] | (unknown & unmatched)
        return result


def _annotations(
    images: Sequence[dict], bbox_key: str, label_key: str, **extra_keys: str
) -> List[dict]:
    """COCO annotations of all images, with fields by ``extra_keys``."""
    # Ids count from 1: COCOeval takes the id 0 for "not matched".
    annotations: List[dict] = []
    for image_id, image in enumerate(images, 1):
        # Float32 corners turn into float64 before widths are taken, as in
        # MMDetection's CocoMetric.
        bboxes = np.array(image[bbox_key], dtype=np.float64).reshape(-1, 4)
        bboxes[:, 2:] -= bboxes[:, :2]
        for index, bbox in enumerate(bboxes.tolist()):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(image[label_key][index]),
                    bbox=bbox,
                    area=bbox[2] * bbox[3],
                    iscrowd=0,
                    **{
                        field: float(image[key][index])
                        for field, key in extra_keys.items()
                    },
                )
            )
    return annotations


def _coco(num_images: int, num_classes: int, annotations: List[dict]) -> COCO:
    """Index annotations in memory, without a file."""
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=index + 1) for index in range(num_images)],
        categories=[dict(id=index) for index in range(num_classes)],
        annotations=annotations,
    )
    coco.createIndex()
    return coco


def _mean_precision(precision: np.ndarray) -> float:
    """Average COCO's precisions, which are -1 for a class without cells."""
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else float('nan')


def evaluate_boxes(
    images: Sequence[dict], num_classes: int, max_dets: int = 100
) -> Dict[str, Any]:
    """Compute box AP by the COCO protocol.

    Args:
        images (Sequence[dict]): One dict an image, with ``gt_bboxes`` (m, 4)
            and ``gt_labels`` (m, ) of the labelled cells, and ``bboxes``
            (n, 4), ``scores`` (n, ), ``labels`` (n, ) and
            ``in_unknown_area`` (n, ) of the detections. Boxes are (x1, y1,
            x2, y2) in pixels of the original image. Of equal scores, the
            earlier image goes first.
        num_classes (int): Number of classes.
        max_dets (int): Number of detections of a class that count in an image.

    Returns:
        dict: ``mAP`` (IoU 0.50:0.95), ``mAP_50``, ``mAP_75`` and, for cells
        below 32 x 32, below 96 x 96 and above, ``mAP_s``, ``mAP_m``,
        ``mAP_l``: means over the classes that have such cells, NaN if none
        has. ``class_AP`` and ``class_AP_50`` (num_classes, ) with NaN for a
        class without cells; ``class_num_gts`` (num_classes, ) int64.
    """
    gts = _annotations(images, 'gt_bboxes', 'gt_labels')
    dts = _annotations(images, 'bboxes', 'labels', score='scores')
    unknown = [image['in_unknown_area'] for image in images]
    # pycocotools prints its progress, which has no place in a log.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = _KnownAreaCOCOeval(
            _coco(len(images), num_classes, gts),
            _coco(len(images), num_classes, dts),
            np.flatnonzero(np.concatenate(unknown or [[]])) + 1,
        )
        evaluator.params.maxDets = [max_dets]
        evaluator.evaluate()
        evaluator.accumulate()
    # IoU threshold, recall, class, area range (all, small, medium, large).
    precision = evaluator.eval['precision'][..., 0]
    everything = precision[..., 0]
    # IoU thresholds are 0.5, 0.55, 0.6, ...
    half, three_quarters = everything[0], everything[5]
    labels = np.array([gt['category_id'] for gt in gts], dtype=np.int64)
    return dict(
        mAP=_mean_precision(everything),
        mAP_50=_mean_precision(half),
        mAP_75=_mean_precision(three_quarters),
        mAP_s=_mean_precision(precision[..., 1]),
        mAP_m=_mean_precision(precision[..., 2]),
        mAP_l=_mean_precision(precision[..., 3]),
        class_AP=np.array(
            [_mean_precision(row) for row in np.moveaxis(everything, 2, 0)]
        ),
        class_AP_50=np.array([_mean_precision(row) for row in half.T]),
        class_num_gts=np.bincount(labels, minlength=num_classes),
    )


def without_classes(images: Sequence[dict], iou_thr: float) -> List[dict]:
    """Make one class of all, for class-agnostic scores.

    Of the detections of a cell only the best is left, since detections of two
    classes may lie on one cell.

    Args:
        images (Sequence[dict]): As in :func:`evaluate_boxes`.
        iou_thr (float): IoU from which two detections are one cell.

    Returns:
        list[dict]: The images for :func:`evaluate_boxes`, of the class 0
        alone.
    """
    agnostic = []
    for image in images:
        kept = one_box_per_cell(image['bboxes'], image['scores'], iou_thr)
        agnostic.append(
            dict(
                gt_bboxes=image['gt_bboxes'],
                gt_labels=np.zeros_like(image['gt_labels']),
                bboxes=image['bboxes'][kept],
                scores=image['scores'][kept],
                labels=np.zeros_like(image['labels'][kept]),
                in_unknown_area=image['in_unknown_area'][kept],
            )
        )
    return agnostic
