# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from mmleuk.registry import METRICS
from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    best_detections,
    match_detections,
)
from mmleuk.structures.known_area import in_unknown_area

from ..functional import (
    average_scores,
    best_overlap_f1,
    end_to_end_macro_f1,
    evaluate_boxes,
    matched_scores,
    split_cells,
)

_REQUIRED_META = ('instances', 'annotated_regions', 'ori_shape')


@METRICS.register_module()
class LLDMetric(BaseMetric):
    """Box AP and attribute scores of white blood cells.

    Truth comes from each data sample's meta information, in pixels of the
    original image: ``instances`` and ``annotated_regions`` as the dataset
    holds them, so that no test-time transform can touch it.

    **Boxes** (``bbox_mAP``, ``bbox_mAP_50``, ``bbox_mAP_75``, ``bbox_mAP_s``,
    ``bbox_mAP_m``, ``bbox_mAP_l``). COCO's protocol, a mean over the classes
    that have cells. A detection of *any* class that matches no labelled cell
    of its class and lies with at least ``ignore_iof_thr`` of its area in
    ignored cells or outside the annotated regions (their union) is neither a
    true nor a false positive, at every IoU threshold.

    **Attributes given a match** (``attr_<name>_accuracy``,
    ``_balanced_accuracy``, ``_macro_f1``, ``_ap``, ``_support``). Detections
    of every score and labelled cells are paired one to one at IoU >=
    ``iou_thr``, the best score choosing first, whatever the class says
    (unless ``match_class``). Only pairs are scored, so this answers how well
    cells are described that were found. ``attr_macro_f1`` and its like are
    means over the attributes with support.

    **Attributes end to end** (``attr_<name>_macro_f1_e2e``,
    ``_support_e2e``; mean ``attr_macro_f1_e2e``). The same pairs, at one
    working point: detections below ``score_thr`` don't exist. A cell without
    a detection is a false negative of its true value, and a detection that
    is neither paired nor excused is a false positive of the value it names.
    A second detection of one cell is false, too. Flooding an image with boxes
    therefore buys nothing.

    **The authors' protocol** (``attridet_<name>_f1``; mean
    ``attridet_attr_f1``). Each cell is answered by the detection that
    overlaps it most, of any score, with no floor on IoU, and by none only in
    an image without detections; F1 of value 1, or macro-F1 of an attribute
    with more than two values. It charges no false detection and rewards
    always saying "1" where that is frequent: for comparison with published
    numbers only.

    A missing code never counts, in any of them. Macro-F1 is scikit-learn's,
    averaged over the values that occur in the truth that is scored. What is
    undefined, such as the AP of a dataset without cells or any score of an
    attribute that nobody annotated, is NaN. A detector that predicts no
    attributes gets the box scores alone, without the ``attr`` keys, and one
    without ``attribute_probs`` gets no ``_ap``.

    Args:
        iou_thr (float): Smallest IoU of a pair in the attribute scores.
            Defaults to 0.5.
        score_thr (float): Score from which a detection exists in the
            end-to-end scores. Defaults to 0.3.
        match_class (bool): Whether a pair must agree in class. Defaults to
            False.
        ignore_iof_thr (float): Share of a detection's area in ignored cells
            and un-annotated area from which it is excused. Defaults to 0.5:
            a cell is labelled if its centre lies in a region, and one whose
            centre lies outside is outside by half at least.
        max_dets (int): Number of detections of a class that count for AP in
            one image. Defaults to 100.
        classwise (bool): Whether to also report each class's AP, as
            ``bbox_AP_<class>``, spaces written as ``_``. Defaults to False.
        save_json (str, optional): File to which all numbers of the last
            evaluation are written, under their keys, NaN as null. Defaults
            to None.
        collect_device (str): Where results of several processes are put
            together, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Put before the keys. Defaults to None, which
            means 'lld'.
        collect_dir (str, optional): Shared folder for collecting on 'cpu'.
            Defaults to None.

    Raises:
        ValueError: If a threshold isn't in (0, 1] (``score_thr``: [0, 1]) or
            ``max_dets`` is below 1.
    """

    default_prefix: Optional[str] = 'lld'

    def __init__(
        self,
        iou_thr: float = 0.5,
        score_thr: float = 0.3,
        match_class: bool = False,
        ignore_iof_thr: float = 0.5,
        max_dets: int = 100,
        classwise: bool = False,
        save_json: Optional[str] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(
            collect_device=collect_device,
            prefix=prefix,
            collect_dir=collect_dir,
        )
        for name, value in dict(
            iou_thr=iou_thr, ignore_iof_thr=ignore_iof_thr
        ).items():
            if not 0 < value <= 1:
                raise ValueError(
                    f'{name} is {value}, expected a number in (0, 1]'
                )
        if not 0 <= score_thr <= 1:
            raise ValueError(
                f'score_thr is {score_thr}, expected a number in [0, 1]'
            )
        if max_dets < 1:
            raise ValueError(f'max_dets is {max_dets}, expected at least 1')
        self.iou_thr = iou_thr
        self.score_thr = score_thr
        self.match_class = match_class
        self.ignore_iof_thr = ignore_iof_thr
        self.max_dets = max_dets
        self.classwise = classwise
        self.save_json = save_json

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what scoring needs of one batch, as small arrays.

        Args:
            data_batch (dict): The batch, not used.
            data_samples (Sequence[dict]): Data samples as dicts, with the
                meta keys ``instances``, ``annotated_regions`` and
                ``ori_shape`` and with ``pred_instances``.

        Raises:
            KeyError: If a meta key is missing.
            ValueError: If a predicted box or score is not finite.
        """
        for data_sample in data_samples:
            name = str(
                data_sample.get('img_path') or data_sample.get('img_id')
            )
            for key in _REQUIRED_META:
                if key not in data_sample:
                    raise KeyError(
                        f'LLDMetric finds no {key!r} in the meta information '
                        f'of {name}: add it to `meta_keys` of the transform '
                        'that packs the data samples of this dataset'
                    )
            prediction = data_sample['pred_instances']
            result = dict(
                name=name,
                image_shape=tuple(data_sample['ori_shape'][:2]),
                instances=data_sample['instances'],
                annotated_regions=data_sample['annotated_regions'],
                bboxes=_to_numpy(prediction['bboxes']),
                scores=_to_numpy(prediction['scores']),
                labels=_to_numpy(prediction['labels']),
            )
            for key in ('attribute_labels', 'attribute_probs'):
                if key in prediction:
                    result[key] = _to_numpy(prediction[key])
            for key in ('bboxes', 'scores'):
                if not np.isfinite(result[key]).all():
                    raise ValueError(
                        f'the {key} predicted for {name} are not finite: the '
                        'model has diverged'
                    )
            self.results.append(result)

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Score all images and log the numbers as tables.

        Args:
            results (list[dict]): What :meth:`process` kept, of all images in
                any order.

        Returns:
            dict[str, float]: The numbers, by key without prefix.

        Raises:
            ValueError: If a label, a code or a number of columns doesn't fit
                the dataset's classes and attributes.
        """
        classes = self.dataset_meta['classes']
        attributes = self.dataset_meta.get('attributes')
        schema = None if attributes is None else AttributeSchema(attributes)
        # Equal scores are ranked by image, which must not depend on how the
        # images were spread over processes.
        results = sorted(results, key=lambda result: result['name'])
        images = [
            self._prepare_image(result, len(classes), schema)
            for result in results
        ]

        boxes = evaluate_boxes(images, len(classes), self.max_dets)
        metrics = {
            f'bbox_{key}': boxes[key]
            for key in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
        }
        self._log_boxes(metrics, boxes, classes)
        if self.classwise:
            metrics.update(
                {
                    f'bbox_AP_{name.replace(" ", "_")}': float(score)
                    for name, score in zip(classes, boxes['class_AP'])
                }
            )
        if schema is not None and self._has_field(
            images, 'attribute_labels', len(schema)
        ):
            metrics.update(self._score_attributes(images, schema))
            self._log_attributes(metrics, schema)
        if self.save_json is not None:
            # JSON knows no NaN.
            numbers = {
                f'{self.prefix}/{key}': None if math.isnan(value) else value
                for key, value in metrics.items()
            }
            dump(numbers, self.save_json, indent=2)
        return metrics

    def _prepare_image(
        self, result: dict, num_classes: int, schema: Optional[AttributeSchema]
    ) -> dict:
        """Split the cells into labelled and ignored and pair the former.

        Args:
            result (dict): What :meth:`process` kept of one image.
            num_classes (int): Number of classes.
            schema (AttributeSchema, optional): Attributes of the dataset.

        Returns:
            dict: ``gt_bboxes``, ``gt_labels``, ``gt_attributes`` of the
            labelled cells, ``matches`` (n, ) the labelled cell of each
            detection or -1, ``excused`` (n, ) bool, and the predictions.
        """
        image = dict(result)
        cells, ignored = split_cells(image.pop('instances'), schema)
        image.update(cells)
        for key in ('gt_labels', 'labels'):
            labels = image[key]
            if len(labels) and not (
                0 <= labels.min() and labels.max() < num_classes
            ):
                raise ValueError(
                    f'{image["name"]} has the {key} '
                    f'{sorted(set(labels.tolist()))}, expected numbers in '
                    f'[0, {num_classes}), the classes of the dataset'
                )
        if schema is not None:
            self._check_attributes(image, schema)
        image['matches'] = match_detections(
            image['bboxes'],
            image['scores'],
            image['gt_bboxes'],
            self.iou_thr,
            image['labels'] if self.match_class else None,
            image['gt_labels'] if self.match_class else None,
        )
        image['excused'] = in_unknown_area(
            image['bboxes'],
            ignored,
            image['annotated_regions'],
            image['image_shape'],
            self.ignore_iof_thr,
        )
        return image

    @staticmethod
    def _check_attributes(image: dict, schema: AttributeSchema) -> None:
        """Raise a ValueError if predicted attributes don't fit the schema."""
        num_dets = len(image['bboxes'])
        columns = dict(
            attribute_labels=len(schema), attribute_probs=schema.num_values
        )
        for key, width in columns.items():
            if key in image and image[key].shape != (num_dets, width):
                raise ValueError(
                    f'the {key} predicted for {image["name"]} have the shape '
                    f'{image[key].shape}, expected {(num_dets, width)}: the '
                    'attributes of the head and of the dataset differ'
                )
        codes = image.get('attribute_labels')
        if codes is not None and not np.all(
            (codes >= 0) & (codes < schema.sizes)
        ):
            raise ValueError(
                f'the attribute_labels predicted for {image["name"]} lie in '
                f'[{codes.min()}, {codes.max()}], expected in each column a '
                f'code below the number of its values, {schema.sizes}'
            )

    @staticmethod
    def _has_field(images: List[dict], key: str, width: int) -> bool:
        """Tell whether the detector predicts a field.

        An image without detections may lack the field and gets it empty.

        Args:
            images (list[dict]): What :meth:`_prepare_image` returns.
            key (str): Name of the field.
            width (int): Its number of columns.

        Returns:
            bool: Whether any image has the field; then all have.

        Raises:
            ValueError: If some detections have it and others have not.
        """
        if not any(key in image for image in images):
            return False
        for image in images:
            if key not in image:
                if len(image['bboxes']):
                    raise ValueError(
                        f'the detections in {image["name"]} have no {key}, '
                        'though those in other images have'
                    )
                image[key] = np.zeros((0, width), dtype=np.int64)
        return True

    def _score_attributes(
        self, images: List[dict], schema: AttributeSchema
    ) -> Dict[str, float]:
        """Compute all attribute scores.

        Args:
            images (list[dict]): What :meth:`_prepare_image` returns, all
                with ``attribute_labels``.
            schema (AttributeSchema): Attributes of the dataset.

        Returns:
            dict[str, float]: The numbers, by key without prefix.
        """
        parts = [self._collect_codes(image) for image in images]
        codes = {
            key: np.concatenate([part[key] for part in parts])
            for key in parts[0]
        }
        probs = None
        if self._has_field(images, 'attribute_probs', schema.num_values):
            probs = np.concatenate(
                [
                    image['attribute_probs'][image['matches'] >= 0]
                    for image in images
                ]
            )

        metrics = {}
        starts = np.cumsum((0,) + schema.sizes)
        for index, (name, size) in enumerate(zip(schema.names, schema.sizes)):
            own = {key: array[:, index] for key, array in codes.items()}
            start = starts[index]
            scores = matched_scores(
                own['pair_truth'],
                own['pair_predicted'],
                None if probs is None else probs[:, start : start + size],
            )
            scores['macro_f1_e2e'] = end_to_end_macro_f1(
                own['truth'], own['answered'], own['false_alarms']
            )
            scores['support_e2e'] = np.count_nonzero(own['truth'] != MISSING)
            # MMEngine's log of a test loses integers.
            for key, value in scores.items():
                metrics[f'attr_{name}_{key}'] = float(value)
            metrics[f'attridet_{name}_f1'] = best_overlap_f1(
                own['truth'], own['best_overlap'], size
            )
        for key in scores:
            if not key.startswith('support'):
                metrics[f'attr_{key}'] = average_scores(
                    metrics[f'attr_{name}_{key}'] for name in schema.names
                )
        metrics['attridet_attr_f1'] = average_scores(
            metrics[f'attridet_{name}_f1'] for name in schema.names
        )
        return metrics

    def _collect_codes(self, image: dict) -> Dict[str, np.ndarray]:
        """Gather the codes that the three protocols compare in one image.

        Args:
            image (dict): What :meth:`_prepare_image` returns, with
                ``attribute_labels``.

        Returns:
            dict[str, np.ndarray]: Codes with a column an attribute.
            ``pair_truth`` and ``pair_predicted`` have a row a pair;
            ``truth``, ``answered`` (by the detections above the score
            threshold, ``MISSING`` for a missed cell) and ``best_overlap``
            (by each cell's best-overlapping detection) a row a labelled
            cell; ``false_alarms`` a row a false detection.
        """
        truth, predicted = image['gt_attributes'], image['attribute_labels']
        matches = image['matches']
        paired = matches >= 0
        exists = image['scores'] >= self.score_thr

        answered = np.full_like(truth, MISSING)
        answered[matches[paired & exists]] = predicted[paired & exists]
        best = best_detections(
            image['bboxes'], image['scores'], image['gt_bboxes']
        )
        best_overlap = np.full_like(truth, MISSING)
        best_overlap[best >= 0] = predicted[best[best >= 0]]
        return dict(
            pair_truth=truth[matches[paired]],
            pair_predicted=predicted[paired],
            truth=truth,
            answered=answered,
            best_overlap=best_overlap,
            false_alarms=predicted[exists & ~paired & ~image['excused']],
        )

    def _log_boxes(
        self, metrics: dict, boxes: dict, classes: Sequence[str]
    ) -> None:
        """Log box AP, and each class that has cells with ``classwise``."""
        keys = [key for key in metrics if key.startswith('bbox_')]
        rows = [
            ['boxes'] + [key[len('bbox_') :] for key in keys],
            ['mean over classes'] + [_format(metrics[key]) for key in keys],
        ]
        _log_table(rows)
        if self.classwise:
            rows = [['class', 'cells', 'AP', 'AP_50']]
            for index, name in enumerate(classes):
                if boxes['class_num_gts'][index]:
                    rows.append(
                        [
                            name,
                            str(boxes['class_num_gts'][index]),
                            _format(boxes['class_AP'][index]),
                            _format(boxes['class_AP_50'][index]),
                        ]
                    )
            _log_table(rows)

    @staticmethod
    def _log_attributes(metrics: dict, schema: AttributeSchema) -> None:
        """Log one line an attribute and their mean."""
        columns = {
            'cells': 'attr_{}_support_e2e',
            'matched': 'attr_{}_support',
            'accuracy': 'attr_{}_accuracy',
            'bal. acc.': 'attr_{}_balanced_accuracy',
            'macro-F1': 'attr_{}_macro_f1',
            'AP': 'attr_{}_ap',
            'macro-F1 e2e': 'attr_{}_macro_f1_e2e',
            'AttriDet F1': 'attridet_{}_f1',
        }
        rows = [['attribute', *columns]]
        for attribute in schema:
            keys = [key.format(attribute.name) for key in columns.values()]
            values = [metrics.get(key) for key in keys]
            counts = [f'{value:.0f}' for value in values[:2]]
            rows.append([attribute.title, *counts, *map(_format, values[2:])])
        # The means are attr_accuracy, ... and attridet_attr_f1; counts have
        # none.
        means = [
            metrics.get(key.replace('attr_{}', 'attr').format('attr'))
            for key in columns.values()
        ]
        rows.append(['mean', *map(_format, means)])
        _log_table(rows)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Bring a tensor to the CPU as an array, bfloat16 as float32."""
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return tensor.numpy()


def _format(value: Optional[float]) -> str:
    """Write a score with three decimals, or a dash if there is none."""
    return '-' if value is None or math.isnan(value) else f'{value:.3f}'


def _log_table(rows: List[List[str]]) -> None:
    """Write rows, the first of them a heading, to the current log."""
    logger = MMLogger.get_current_instance()
    logger.info('\n' + AsciiTable(rows).table)
