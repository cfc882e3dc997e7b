# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Mapping, Optional, Sequence, Union

import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.visualization import LocalVisBackend

from mmleuk.registry import VISUALIZERS

from .cell_marks import IGNORED, CellMarker, Panel, compare
from .panel_artist import PanelArtist
from .pen import Pen

_ATTRIBUTES = ('codes', 'words', 'none')
_CLASS_NAMES = ('auto', 'full', 'short')
# Fields of a sample that are drawn as MMDetection does.
_PIXEL_FIELDS = (
    'gt_sem_seg',
    'pred_sem_seg',
    'gt_panoptic_seg',
    'pred_panoptic_seg',
)


@VISUALIZERS.register_module()
class LLDLocalVisualizer(DetLocalVisualizer):
    """Draw cells with types, attributes and un-annotated area.

    Annotation and prediction are drawn side by side, each below a caption,
    with a common legend below:

    - a cell has a box in the colour of its class and a label with its class
      and, if predicted, its confidence as a percentage
      (``pred_instances.confidences``) or, if not calibrated, its score;
    - attributes are a line of codes, one an attribute, in the schema's order,
      or are written out. A value less probable than ``attribute_thr`` has a
      question mark, a missing one is a dash;
    - differences from the annotation are marked: a type by ≠, a value by a
      line below it, a missed cell or a false positive by a word;
    - an ignored cell has a dashed, hatched box, a candidate a dotted one;
    - un-annotated area is dimmed in the annotation; in the prediction the
      annotated regions have an outline.

    Labels are placed where they hide no cell, with a line to their box if
    they are away from it. If there is no room, names are abbreviated and
    letters become smaller.

    Samples with masks or segmentation maps are drawn by MMDetection.

    Args:
        name (str): Name of the instance.
        *args: Further arguments of :class:`mmdet.DetLocalVisualizer`.
        attributes (str): ``'codes'``, ``'words'`` or ``'none'``.
        class_names (str): ``'full'``, ``'short'``, or ``'auto'``: abbreviated
            if there is no room.
        min_side (int): Images with a shorter side of fewer pixels are
            enlarged to this, to make room for labels. 0: never.
        attribute_thr (float): Values of a lower probability are marked as
            uncertain.
        marked_values (dict, optional): Attribute values whose codes are
            capitals, by attribute. None: those typical of blasts.
        dim (float): Strength of dimming un-annotated area, in [0, 1].
        mark_differences (bool): Whether to mark differences from the
            annotation.
        legend (bool): Whether to explain codes and lines below the picture.
        line_width (float): Width of boxes in pixels.
        alpha (float): Opacity of boxes.
        **kwargs: Further arguments of :class:`mmdet.DetLocalVisualizer`.
            ``bbox_color`` replaces the palette; ``text_color`` is unused:
            text is black or white, depending on its background.

    Raises:
        ValueError: If an argument has an invalid value.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args,
        attributes: str = 'codes',
        class_names: str = 'auto',
        min_side: int = 900,
        attribute_thr: float = 0.6,
        marked_values: Optional[Mapping[str, Sequence[str]]] = None,
        dim: float = 0.6,
        mark_differences: bool = True,
        legend: bool = True,
        line_width: Union[int, float] = 2,
        alpha: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(
            name, *args, line_width=line_width, alpha=alpha, **kwargs
        )
        for argument, value, expected in (
            ('attributes', attributes, _ATTRIBUTES),
            ('class_names', class_names, _CLASS_NAMES),
        ):
            if value not in expected:
                raise ValueError(
                    f'{argument} is {value!r}, expected one of {expected}'
                )
        if not 0 <= dim <= 1:
            raise ValueError(f'dim is {dim}, expected a share in [0, 1]')
        if min_side < 0:
            raise ValueError(f'min_side is {min_side}, expected pixels >= 0')
        self.attributes = attributes
        self.attribute_thr = attribute_thr
        self.marked_values = marked_values
        self.mark_differences = mark_differences
        self.artist = PanelArtist(
            Pen(self), min_side, class_names, dim, legend, line_width, alpha
        )

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Optional[DetDataSample] = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: Optional[str] = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample, and show it, write it or pass it to the backends.

        Unlike in MMDetection, a picture that is written to a file is also
        passed to all backends that write no files themselves, such as
        TensorBoard.

        Args:
            name (str): The picture's name in the backends.
            image (np.ndarray): RGB, shape (h, w, 3). The boxes are in its
                pixels.
            data_sample (:obj:`DetDataSample`, optional): With
                ``gt_instances``, ``ignored_instances`` and
                ``pred_instances``, each of them optional.
            draw_gt (bool): Whether to draw the annotation.
            draw_pred (bool): Whether to draw the prediction.
            show (bool): Whether to show the picture.
            wait_time (float): Seconds to show it, 0: until a key is pressed.
            out_file (str, optional): Path of a file to write.
            pred_score_thr (float): Only detections of a higher score are
                drawn.
            step (int): Step of the training.
        """
        image = image.clip(0, 255).astype(np.uint8)
        if data_sample is not None and self._has_pixels(data_sample):
            flags = draw_gt, draw_pred, show, wait_time, out_file
            super().add_datasample(
                name, image, data_sample, *flags, pred_score_thr, step
            )
            return
        panels = []
        marker = CellMarker(
            self.dataset_meta,
            self.attributes,
            self.attribute_thr,
            self.marked_values,
            self.bbox_color,
        )
        if data_sample is not None:
            panels = self._make_panels(
                data_sample.cpu(), marker, draw_gt, draw_pred, pred_score_thr
            )
        drawn = self.artist.draw(image, panels, marker)
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, drawn, step)
            return
        mmcv.imwrite(drawn[..., ::-1], out_file)
        for backend in self._vis_backends.values():
            if not isinstance(backend, LocalVisBackend):
                backend.add_image(name, drawn, step)

    @staticmethod
    def _has_pixels(data_sample: DetDataSample) -> bool:
        """Whether a sample holds more than boxes."""
        return any(key in data_sample for key in _PIXEL_FIELDS) or any(
            'masks' in data_sample.get(key, ())
            for key in ('gt_instances', 'pred_instances')
        )

    def _make_panels(
        self,
        data_sample: DetDataSample,
        marker: CellMarker,
        draw_gt: bool,
        draw_pred: bool,
        pred_score_thr: float,
    ) -> List[Panel]:
        """Collect the contents of the panels: none, one or two."""
        gt = data_sample.get('gt_instances')
        ignored = data_sample.get('ignored_instances')
        pred = data_sample.get('pred_instances')
        is_unnamed = self.attributes != 'none' and marker.schema is None
        for instances, key in ((gt, 'attributes'), (pred, 'attribute_labels')):
            if is_unnamed and instances is not None and key in instances:
                print_log(
                    f'{self.__class__.__name__}: instances have {key}, which '
                    'are not drawn, as dataset_meta has no "attributes" to '
                    'name them by. Add them to the metainfo of the dataset',
                    logger='current',
                    level=30,
                )
        if pred is not None and 'scores' in pred:
            pred = pred[pred.scores > pred_score_thr]
        ignored_marks, unannotated = marker.ignored(ignored)

        matches = is_false_positive = None
        missed: np.ndarray = np.zeros(0, dtype=bool)
        has_scores = pred is not None and 'scores' in pred
        has_both = draw_gt and draw_pred and gt is not None and has_scores
        if self.mark_differences and has_both:
            matches, is_false_positive = compare(pred, gt, ignored)
            missed = ~np.isin(np.arange(len(gt)), matches)

        panels = []
        if draw_gt and (gt is not None or ignored is not None):
            marks = [] if gt is None else marker.annotated(gt, missed)
            caption = ['annotation', _count(len(marks), 'cell')]
            num_ignored = sum(m.kind == IGNORED for m in ignored_marks)
            if num_ignored:
                caption.append(f'{num_ignored} ignored')
            panels.append(
                Panel(
                    ' · '.join(caption), [*ignored_marks, *marks], unannotated
                )
            )
        if draw_pred and pred is not None:
            marks = marker.predicted(
                pred,
                gt if matches is not None else None,
                matches,
                is_false_positive,
            )
            caption = ['prediction', _count(len(marks), 'cell')]
            if 'confidences' not in pred and 'scores' in pred:
                caption.append(f'scores > {pred_score_thr:g}, not calibrated')
            panels.append(
                Panel(' · '.join(caption), marks, unannotated, dim=False)
            )
        return panels


def _count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f'{number} {noun}{"" if number == 1 else "s"}'
