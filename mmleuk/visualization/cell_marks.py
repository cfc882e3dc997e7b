# Copyright (c) mmleuk authors. All rights reserved.
"""Text and colours of the cells on a picture, before it is drawn."""

from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import get_palette
from mmengine.structures import InstanceData

from mmleuk.structures import (
    CANDIDATE,
    MISSING,
    UNANNOTATED,
    AttributeSchema,
    ignored_boxes,
    in_unknown_area,
    match_detections,
    split_ignored,
)
from mmleuk.structures.metainfo import make_schema
from mmleuk.structures.record import normalise_name

from .colours import RGB
from .short_names import abbreviate_classes, value_codes

# Kinds of cells, by the line of their box.
CELL, IGNORED, CANDIDATE_CELL = 'cell', 'ignored', 'candidate'
# What a piece of text is shown as.
PLAIN, FAINT, DIFFERENT = 'plain', 'faint', 'different'

_IGNORED_COLOUR: RGB = (90, 90, 90)


@dataclass(frozen=True)
class Span:
    """A piece of a line of text, 'plain', 'faint' or 'different'."""

    text: str
    look: str = PLAIN


@dataclass(frozen=True)
class CellMark:
    """One cell on a picture.

    Args:
        box (tuple[float]): (x1, y1, x2, y2) in pixels of the image.
        colour (tuple[int]): RGB of its class.
        name (str): Name of its class, '' for none.
        short_name (str): The same, abbreviated.
        suffix (str): Text after the name.
        lines (tuple[tuple[Span]]): Lines of text below the name.
        kind (str): ``'cell'``, ``'ignored'`` or ``'candidate'``.
    """

    box: Tuple[float, float, float, float]
    colour: RGB
    name: str
    short_name: str
    suffix: str = ''
    lines: Tuple[Tuple[Span, ...], ...] = ()
    kind: str = CELL

    def title(self, abbreviate: bool) -> str:
        """First line of the label: name, perhaps abbreviated, and suffix."""
        name = self.short_name if abbreviate else self.name
        return ' '.join(filter(None, (name, self.suffix)))


@dataclass
class Panel:
    """One of the pictures side by side.

    Args:
        caption (str): The heading.
        marks (list[CellMark]): Its cells.
        unannotated (np.ndarray): Un-annotated rectangles (x1, y1, x2, y2),
            shape (m, 4).
        dim (bool): Whether to dim them, instead of drawing the outline of the
            annotated regions alone.
    """

    caption: str
    marks: List[CellMark] = field(default_factory=list)
    unannotated: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    dim: bool = True


def percent(confidence: float) -> str:
    """Write a confidence in [0, 1], such as '93 %', never above '99 %'."""
    return f'{min(99, max(1, round(100 * confidence)))} %'


def decimal(score: float) -> str:
    """Write an uncalibrated score, rounded down, such as '0.93'."""
    # A score of 0.9 must not become 0.89 by its form in float32.
    return f'{int(score * 100 + 1e-4) / 100:.2f}'


class CellMarker:
    """Turns instances into marks, with the names of a dataset.

    Args:
        dataset_meta (Mapping): ``classes``, ``palette`` and ``attributes``,
            each of them optional.
        attributes (str): ``'codes'`` for a line of short codes, ``'words'``
            for a line per attribute, ``'none'`` to leave them out.
        attribute_thr (float): Values of a lower confidence are marked as
            uncertain.
        marked_values (Mapping[str, Sequence[str]], optional): Values whose
            codes are capitals, see :func:`value_codes`.
        bbox_color (str | tuple, optional): Overrides the palette.
    """

    def __init__(
        self,
        dataset_meta: Optional[Mapping],
        attributes: str = 'codes',
        attribute_thr: float = 0.6,
        marked_values: Optional[Mapping[str, Sequence[str]]] = None,
        bbox_color: object = None,
    ) -> None:
        meta = dataset_meta or {}
        self.classes = tuple(meta.get('classes') or ())
        self.short_names = abbreviate_classes(self.classes)
        self.palette = bbox_color or meta.get('palette')
        self.schema: Optional[AttributeSchema] = None
        self.codes: Dict[str, Tuple[str, ...]] = {}
        self.attributes = attributes
        self.attribute_thr = attribute_thr
        if attributes != 'none' and meta.get('attributes'):
            self.schema = make_schema(meta)
            self.codes = value_codes(self.schema, marked_values)

    def _names(
        self, instances: InstanceData, labels: Sequence[int]
    ) -> List[Tuple[str, str]]:
        """Name and abbreviation of the class of each instance."""
        if 'label_names' in instances:
            return [(name, name) for name in instances.label_names]
        return [
            (self.classes[label], self.short_names[label])
            if 0 <= label < len(self.classes)
            else (f'class {label}',) * 2
            for label in labels
        ]

    def _outlines(
        self, instances: InstanceData
    ) -> Iterator[Tuple[tuple, RGB, str, str]]:
        """Box, colour, name and abbreviation of each instance."""
        labels = instances.labels.tolist()
        count = len(self.classes) or max((*labels, 0)) + 1
        palette = get_palette(self.palette, count)
        boxes = get_box_tensor(instances.bboxes).tolist()
        names = self._names(instances, labels)
        for box, label, name in zip(boxes, labels, names):
            # A label beyond the classes is drawn all the same, and numbered.
            yield (tuple(box), tuple(palette[label % len(palette)]), *name)

    def _may_have_attributes(self, name: str) -> bool:
        """Whether cells of a class have attributes."""
        bare = self.schema.classes_without_attributes
        return normalise_name(name) not in bare

    def _check_width(self, codes: np.ndarray, field_name: str) -> None:
        """Refuse attributes of another schema."""
        if codes.ndim != 2 or codes.shape[1] != len(self.schema):
            raise ValueError(
                f'got {field_name} of the shape {codes.shape}, expected '
                f'(n, {len(self.schema)}) by the attributes '
                f'{list(self.schema.names)} of dataset_meta'
            )

    def _attribute_lines(
        self,
        codes: np.ndarray,
        scores: Optional[np.ndarray],
        confidences: Optional[np.ndarray],
        truth: Optional[np.ndarray],
    ) -> Tuple[Tuple[Span, ...], ...]:
        """Lines on the attributes of one cell."""
        spans = []
        sure = confidences if confidences is not None else scores
        for index, attribute in enumerate(self.schema):
            code = int(codes[index])
            known = 0 <= code < len(attribute.values)
            is_unsure = bool(
                known and sure is not None and sure[index] < self.attribute_thr
            )
            look = FAINT if is_unsure or not known else PLAIN
            if truth is not None and truth[index] not in (MISSING, code):
                look = DIFFERENT
            if self.attributes == 'codes':
                text = self.codes[attribute.name][code] if known else '–'
                spans.append((Span(text + '?' * is_unsure, look),))
                continue
            if not known:
                continue
            text = f'{attribute.title}: {attribute.values[code]}'
            if confidences is not None:
                text += f' {percent(confidences[index])}'
            elif scores is not None:
                text += f' {decimal(scores[index])}'
            spans.append((Span(text, look),))
        if self.attributes == 'codes':
            return (tuple(span for (span,) in spans),)
        return tuple(spans)

    def annotated(
        self, instances: InstanceData, missed: Sequence[bool] = ()
    ) -> List[CellMark]:
        """Mark labelled cells.

        Args:
            instances (:obj:`InstanceData`): ``bboxes``, ``labels`` and,
                optionally, ``attributes``.
            missed (Sequence[bool]): Which of them have no detection.

        Returns:
            list[CellMark]: One per cell.
        """
        codes = None
        if self.schema is not None and 'attributes' in instances:
            codes = instances.attributes.numpy()
            self._check_width(codes, 'attributes')
        marks = []
        for index, outline in enumerate(self._outlines(instances)):
            lines: Tuple[Tuple[Span, ...], ...] = ()
            if codes is not None and (codes[index] != MISSING).any():
                lines = self._attribute_lines(codes[index], None, None, None)
            suffix = 'missed' if len(missed) and missed[index] else ''
            marks.append(CellMark(*outline, suffix, lines))
        return marks

    def ignored(
        self, instances: Optional[InstanceData]
    ) -> Tuple[List[CellMark], np.ndarray]:
        """Mark ignored cells and candidates.

        Returns:
            tuple[list[CellMark], np.ndarray]: The marks, and the rectangles
            (x1, y1, x2, y2) of un-annotated area, shape (m, 4).
        """
        boxes, labels = ignored_boxes(instances)
        labels = labels.tolist()
        if instances is None or not labels:
            return [], np.zeros((0, 4))
        probs = instances.get('probs')
        named = 'labels' in instances
        names = self._names(instances, labels)
        marks = []
        for index, (box, label) in enumerate(zip(boxes.tolist(), labels)):
            if label == UNANNOTATED:
                continue
            if label == CANDIDATE:
                suffix = ''
                if probs is not None:
                    suffix = percent(float(probs[index]))
                name, kind = ('candidate', 'cand.'), CANDIDATE_CELL
            else:
                suffix, kind = '', IGNORED
                name = ('ignored', 'ignored')
                if named:
                    name = (f'ignored: {names[index][0]}', 'ignored')
            marks.append(
                CellMark(tuple(box), _IGNORED_COLOUR, *name, suffix, kind=kind)
            )
        return marks, split_ignored(instances)[1].numpy()

    def predicted(
        self,
        instances: InstanceData,
        gt_instances: Optional[InstanceData] = None,
        matches: Optional[np.ndarray] = None,
        is_false_positive: Optional[np.ndarray] = None,
    ) -> List[CellMark]:
        """Mark detected cells.

        Args:
            instances (:obj:`InstanceData`): ``bboxes``, ``labels`` and,
                optionally, ``scores``, ``attribute_labels`` and
                ``attribute_scores``. ``confidences``, shape (n, ), and
                ``attribute_confidences``, shape (n, k), are shown instead of
                the scores.
            gt_instances (:obj:`InstanceData`, optional): Labelled cells, to
                mark where a detection differs from its cell.
            matches (np.ndarray, optional): From :func:`compare`.
            is_false_positive (np.ndarray, optional): From :func:`compare`.

        Returns:
            list[CellMark]: One per detection.
        """
        labels = instances.labels.tolist()
        fields = {
            key: instances[key].numpy() if key in instances else None
            for key in (
                'scores',
                'confidences',
                'attribute_labels',
                'attribute_scores',
                'attribute_confidences',
            )
        }
        codes = fields['attribute_labels'] if self.schema is not None else None
        if codes is not None:
            self._check_width(codes, 'attribute_labels')
        truth = None
        if gt_instances is not None and 'attributes' in gt_instances:
            truth = gt_instances.attributes.numpy()
        marks = []
        for index, outline in enumerate(self._outlines(instances)):
            suffix = []
            if fields['confidences'] is not None:
                suffix.append(percent(fields['confidences'][index]))
            elif fields['scores'] is not None:
                suffix.append(decimal(float(fields['scores'][index])))
            match = -1 if matches is None else matches[index]
            if match >= 0 and gt_instances.labels[match] != labels[index]:
                suffix.append('≠')
            elif is_false_positive is not None and is_false_positive[index]:
                suffix.append('extra')
            lines: Tuple[Tuple[Span, ...], ...] = ()
            if codes is not None and self._may_have_attributes(outline[2]):
                scores, confidences = (
                    None if fields[key] is None else fields[key][index]
                    for key in ('attribute_scores', 'attribute_confidences')
                )
                true = (
                    truth[match] if truth is not None and match >= 0 else None
                )
                lines = self._attribute_lines(
                    codes[index], scores, confidences, true
                )
            marks.append(CellMark(*outline, ' '.join(suffix), lines))
        return marks


def compare(
    pred_instances: InstanceData,
    gt_instances: InstanceData,
    ignored_instances: Optional[InstanceData],
) -> Tuple[np.ndarray, np.ndarray]:
    """Match detections and labelled cells as :class:`LLDMetric` does.

    Args:
        pred_instances (:obj:`InstanceData`): ``bboxes`` and ``scores``.
        gt_instances (:obj:`InstanceData`): ``bboxes``.
        ignored_instances (:obj:`InstanceData`, optional): Ignored cells and
            un-annotated area.

    Returns:
        tuple[np.ndarray, np.ndarray]: Index of the cell of each detection,
        whatever its class, -1 without one, shape (n, ); and whether it is a
        false positive: in known area, without a cell, bool, shape (n, ).
    """
    boxes = get_box_tensor(pred_instances.bboxes).numpy()
    matches = match_detections(
        boxes,
        pred_instances.scores.numpy(),
        get_box_tensor(gt_instances.bboxes).numpy(),
    )
    unknown = torch.cat(split_ignored(ignored_instances)).numpy()
    return matches, (matches < 0) & ~in_unknown_area(boxes, unknown)
