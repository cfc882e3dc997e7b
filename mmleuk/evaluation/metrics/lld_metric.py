# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from mmleuk.registry import METRICS
from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    TypeProfile,
    best_detections,
    macro_f1,
)

from ..functional import (
    MatchedResults,
    average_scores,
    best_overlap_f1,
    evaluate_boxes,
    make_result,
    match_results,
    matched_scores,
    without_classes,
)

_BOX_SCORES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
_REQUIRED_META = ('instances', 'annotated_regions', 'ori_shape')


@METRICS.register_module()
class LLDMetric(BaseMetric):
    """Box AP and attribute scores of white blood cells.

    The truth is taken from each data sample's meta information:
    ``instances`` and ``annotated_regions`` as the dataset holds them, in
    pixels of the original image. No test-time transform changes them.

    **Boxes** (``bbox_mAP``, ``bbox_mAP_50``, ``bbox_mAP_75``, ``bbox_mAP_s``,
    ``bbox_mAP_m``, ``bbox_mAP_l``). COCO's protocol, a mean over the classes
    that have cells. A detection of *any* class that matches no labelled cell
    of its class and lies in unknown area (:func:`in_unknown_area`) is neither
    a true nor a false positive, at every IoU threshold.

    **Attributes given a match** (``attr_<name>_accuracy``,
    ``_balanced_accuracy``, ``_macro_f1``, ``_ap``, ``_support``). Detections
    of every score and labelled cells are matched one to one at IoU >=
    ``iou_thr`` in the order of the scores, whatever the class (unless
    ``match_class``). Only matches are scored: how well are the cells
    described that were found? ``attr_macro_f1`` etc. are means over the
    attributes with support.

    **The majority of the type** (``attr_<name>_accuracy_type_majority``,
    ``_macro_f1_type_majority``; means ``attr_accuracy_type_majority``,
    ``attr_macro_f1_type_majority``). What the same matches would score if each
    cell got the most frequent value of its *true* type in the training data.
    An attribute branch that scores no higher has learned no more than the
    type. The counts are ``dataset_meta['type_profile']``, which
    :class:`TypeProfileHook` sets. Without them there are no such keys, and
    the log says why.

    **Attributes end to end** (``attr_<name>_macro_f1_e2e``,
    ``_support_e2e``; mean ``attr_macro_f1_e2e``). The same matches at one
    working point: detections below ``score_thr`` don't exist. A cell without
    a detection is a false negative of its true value. A detection that
    neither matches nor lies in unknown area is a false positive of the value
    it predicts; so is a duplicate. Flooding an image with boxes is useless.

    **The authors' protocol** (``attridet_<name>_f1``; mean
    ``attridet_attr_f1``). Each cell gets the detection that overlaps it most,
    of any score and IoU; F1 of value 1, or macro-F1 of an attribute with more
    than two values. False detections cost nothing, and always predicting "1"
    where it is frequent scores high: use it only to compare with published
    numbers.

    Missing codes never count. Macro-F1 is scikit-learn's, averaged over the
    values that occur in the truth that is scored. Undefined scores, such as
    the AP without cells or any score of an attribute that nobody annotated,
    are NaN. A detector without attributes gets the box scores alone, without
    the ``attr`` keys, and one without ``attribute_probs`` gets no ``_ap``.

    Args:
        iou_thr (float): Smallest IoU of a match in the attribute scores.
        score_thr (float): Lowest score of a detection in the end-to-end
            scores.
        match_class (bool): Whether matches must agree in class.
        ignore_iof_thr (float): Smallest share of a detection's area in
            ignored cells and un-annotated area that puts it into unknown
            area. 0.5 fits the labels: a cell is labelled if its centre lies
            in a region, and otherwise at least half of it is outside.
        max_dets (int): Number of detections of a class in an image that count
            for AP.
        classwise (bool): Whether to also report each class's AP, as
            ``bbox_AP_<class>``, spaces written as ``_``.
        save_json (str, optional): File for all scores of the last evaluation,
            by key, NaN as null.
        **kwargs: Arguments of :class:`BaseMetric`, such as ``prefix`` of the
            keys, 'lld' by default.

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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
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
            self.results.append(
                make_result(
                    name,
                    data_sample['ori_shape'],
                    data_sample,
                    data_sample['pred_instances'],
                )
            )

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Compute the scores over all images and log them as tables.

        Args:
            results (list[dict]): What :meth:`process` kept, in any order.

        Returns:
            dict[str, float]: The scores, by key without prefix.

        Raises:
            ValueError: If a label, a code or a number of columns doesn't fit
                the dataset's classes and attributes.
        """
        classes = self.dataset_meta['classes']
        attributes = self.dataset_meta.get('attributes')
        schema = None if attributes is None else AttributeSchema(attributes)
        matched = self.match(results, len(classes), schema)
        boxes = evaluate_boxes(matched.images, len(classes), self.max_dets)
        agnostic = evaluate_boxes(
            without_classes(matched.images, self.iou_thr), 1, self.max_dets
        )
        metrics = {f'bbox_{key}': boxes[key] for key in _BOX_SCORES}
        for key in ('mAP', 'mAP_50'):
            metrics[f'bbox_agnostic_{key}'] = agnostic[key]
        self._log_boxes(boxes, agnostic, classes)
        if self.classwise:
            for name, score in zip(classes, boxes['class_AP']):
                key = f'bbox_AP_{name.replace(" ", "_")}'
                metrics[key] = float(score)
        if matched.codes is not None:
            metrics.update(self._score_attributes(matched, schema))
            self._log_attributes(metrics, schema)
        if self.save_json is not None:
            # JSON knows no NaN.
            numbers = {
                f'{self.prefix}/{key}': None if math.isnan(value) else value
                for key, value in metrics.items()
            }
            dump(numbers, self.save_json, indent=2)
        return metrics

    def match(
        self,
        results: Sequence[dict],
        num_classes: int,
        schema: Optional[AttributeSchema],
    ) -> MatchedResults:
        """:func:`match_results` with the thresholds of this metric."""
        return match_results(
            results, num_classes, schema, self.iou_thr, self.ignore_iof_thr
        )

    def _score_attributes(
        self, matched: MatchedResults, schema: AttributeSchema
    ) -> Dict[str, float]:
        """Compute all attribute scores, by key without prefix."""
        truth, codes = matched.cell_codes, matched.codes
        matches = matched.type_matches if self.match_class else matched.matches
        paired = matches >= 0
        exists = matched.scores >= self.score_thr
        found = np.full_like(truth, MISSING)
        found[matches[paired & exists]] = codes[paired & exists]
        false_positives = codes[exists & ~paired & ~matched.in_unknown_area]
        best_overlap = self._best_overlap_codes(matched)
        profile = self._read_profile(schema)
        if profile is not None:
            majority = profile.majority_codes(matched.cell_labels)

        metrics = {}
        starts = np.cumsum((0,) + schema.sizes)
        for index, (name, size) in enumerate(zip(schema.names, schema.sizes)):
            probs = None
            if matched.probs is not None:
                columns = slice(starts[index], starts[index] + size)
                probs = matched.probs[paired, columns]
            own = truth[:, index]
            scores = matched_scores(
                own[matches[paired]], codes[paired, index], probs
            )
            if profile is not None:
                usual = majority[matches[paired], index]
                # No score where no training cell has the attribute.
                known = np.where(
                    usual == MISSING, MISSING, own[matches[paired]]
                )
                by_type = matched_scores(known, usual)
                for key in ('accuracy', 'macro_f1'):
                    scores[f'{key}_type_majority'] = by_type[key]
            scores['macro_f1_e2e'] = macro_f1(
                own, found[:, index], false_positives[:, index]
            )
            scores['support_e2e'] = np.count_nonzero(own != MISSING)
            # MMEngine's log of a test loses integers.
            for key, value in scores.items():
                metrics[f'attr_{name}_{key}'] = float(value)
            metrics[f'attridet_{name}_f1'] = best_overlap_f1(
                own, best_overlap[:, index], size
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

    def _read_profile(self, schema: AttributeSchema) -> Optional[TypeProfile]:
        """Read the profile of the training data; log why there is none."""
        stored = self.dataset_meta.get('type_profile')
        if stored is not None:
            profile = TypeProfile.from_dict(stored)
            if profile.types == tuple(
                self.dataset_meta['classes']
            ) and _values(profile.schema) == _values(schema):
                return profile
            reason = (
                f'the training data have the classes {profile.types} and the '
                f'attributes {_values(profile.schema)}, expected those of the '
                'scored data'
            )
        elif 'type_profile' in self.dataset_meta:
            reason = (
                'neither this training nor the checkpoint counted attributes'
            )
        else:
            reason = 'mmleuk.TypeProfileHook is not among the hooks'
        MMLogger.get_current_instance().info(
            'The attribute scores stand without those of the majority of the '
            f'type: {reason}'
        )
        return None

    @staticmethod
    def _best_overlap_codes(matched: MatchedResults) -> np.ndarray:
        """Codes of the detection that overlaps each cell most, (m, k)."""
        codes = np.full_like(matched.cell_codes, MISSING)
        for index, image in enumerate(matched.images):
            best = best_detections(
                image['bboxes'], image['scores'], image['gt_bboxes']
            )
            if len(image['bboxes']):
                codes[matched.cell_images == index] = image[
                    'attribute_labels'
                ][best]
        return codes

    def _log_boxes(
        self, boxes: dict, agnostic: dict, classes: Sequence[str]
    ) -> None:
        """Log box AP, and each class that has cells with ``classwise``."""
        rows = {'mean over classes': boxes, 'of any class': agnostic}
        _log_table(
            ['boxes', *_BOX_SCORES],
            [
                [name, *(_format(scores[key]) for key in _BOX_SCORES)]
                for name, scores in rows.items()
            ],
        )
        if self.classwise:
            counts = boxes['class_num_gts']
            scores = boxes['class_AP'], boxes['class_AP_50']
            _log_table(
                ['class', 'cells', 'AP', 'AP_50'],
                [
                    [name, str(count), _format(ap), _format(ap_50)]
                    for name, count, ap, ap_50 in zip(classes, counts, *scores)
                    if count
                ],
            )

    @staticmethod
    def _log_attributes(metrics: dict, schema: AttributeSchema) -> None:
        """Log one line an attribute and their mean."""
        columns = {
            'cells': 'attr_{}_support_e2e',
            'matched': 'attr_{}_support',
            'accuracy': 'attr_{}_accuracy',
            'majority acc.': 'attr_{}_accuracy_type_majority',
            'bal. acc.': 'attr_{}_balanced_accuracy',
            'macro-F1': 'attr_{}_macro_f1',
            'majority F1': 'attr_{}_macro_f1_type_majority',
            'AP': 'attr_{}_ap',
            'macro-F1 e2e': 'attr_{}_macro_f1_e2e',
            'AttriDet F1': 'attridet_{}_f1',
        }
        if 'attr_macro_f1_type_majority' not in metrics:
            columns = {
                title: key
                for title, key in columns.items()
                if not key.endswith('type_majority')
            }
        rows = []
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
        _log_table(['attribute', *columns], rows)


def _values(schema: AttributeSchema) -> List[tuple]:
    """Attributes and values by name: titles are up to the data."""
    return [(attribute.name, attribute.values) for attribute in schema]


def _format(value: Optional[float]) -> str:
    """Write a score with three decimals, or a dash if there is none."""
    return '-' if value is None or math.isnan(value) else f'{value:.3f}'


def _log_table(heading: List[str], rows: List[List[str]]) -> None:
    """Write a table to the current log."""
    logger = MMLogger.get_current_instance()
    logger.info('\n' + AsciiTable([heading, *rows]).table)
