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

from .cell_marks import IGNORED, CellNotes, Panel, compare
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
    """Draw cells with type, attributes and what nobody has annotated.

    Annotation and prediction stand side by side, each below a caption, and a
    legend below both says what codes and lines mean:

    - a cell has a box in the colour of its class and a label with its class
      and, where predicted, its probability: as a percentage where it is
      calibrated (``pred_instances.confidences``), else as the raw score;
    - attributes are a line of codes, one an attribute, in the schema's order,
      or are written out. One that is less probable than ``attribute_thr`` has
      a question mark, one that nobody stated is a dash;
    - what differs from the annotation is marked: a type by ≠, a value by a
      line below it, a cell that was missed or that nobody annotated by a
      word;
    - an ignored cell has a dashed, hatched box; one that mining has found
      (``CANDIDATE``) a dotted one;
    - un-annotated area is dimmed in the annotation; in the prediction the
      annotated regions have an outline.

    Labels are put where they hide no cell, with a line to their box where
    they had to move. Where there is no room, names are abbreviated and letters
    become smaller.

    Samples with masks or segmentation maps are drawn by MMDetection.

    Args:
        name (str): Name of the instance. Defaults to 'visualizer'.
        *args: Further arguments of :class:`mmdet.DetLocalVisualizer`.
        attributes (str): ``'codes'``, ``'words'`` or ``'none'``. Defaults to
            'codes'.
        class_names (str): ``'full'``, ``'short'``, or ``'auto'``: abbreviated
            where there is no room. Defaults to 'auto'.
        min_side (int): Images whose shorter side has fewer pixels are
            enlarged to so many, so that labels have room. 0 draws every
            image as large as it is. Defaults to 900.
        attribute_thr (float): Values of a lower probability are marked as
            uncertain. Defaults to 0.6.
        marked_values (dict, optional): Attribute values whose codes are
            capitals, by attribute. Defaults to those that blasts are known
            by.
        dim (float): How far un-annotated area fades, in [0, 1]. Defaults to
            0.6.
        mark_differences (bool): Whether to mark what differs from the
            annotation. Defaults to True.
        legend (bool): Whether to explain codes and lines below the picture.
            Defaults to True.
        line_width (float): Width of boxes in pixels. Defaults to 2.
        alpha (float): Opacity of boxes. Defaults to 1.
        **kwargs: Further arguments of :class:`mmdet.DetLocalVisualizer`.
            ``bbox_color`` stands for the palette; ``text_color`` goes unused,
            as text is black or white by its background.

    Raises:
        ValueError: If an argument is none of its values.
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
        """Draw a sample, and show it or hand it on.

        Unlike MMDetection, a picture that goes to a file goes to all backends
        as well that do not write pictures to files themselves, such as
        TensorBoard.

        Args:
            name (str): The picture's name in the backends.
            image (np.ndarray): RGB, shape (h, w, 3). The boxes are in its
                pixels.
            data_sample (:obj:`DetDataSample`, optional): With
                ``gt_instances``, ``ignored_instances`` and
                ``pred_instances``, each of them optional.
            draw_gt (bool): Whether to draw the annotation. Defaults to True.
            draw_pred (bool): Whether to draw the prediction. Defaults to
                True.
            show (bool): Whether to show the picture. Defaults to False.
            wait_time (float): For how many seconds. Defaults to 0, until a
                key is pressed.
            out_file (str, optional): Path of a file to write.
            pred_score_thr (float): Detections score more than this. Defaults
                to 0.3.
            step (int): Step of the training. Defaults to 0.
        """
        image = image.clip(0, 255).astype(np.uint8)
        if data_sample is not None and self._has_pixels(data_sample):
            super().add_datasample(
                name,
                image,
                data_sample,
                draw_gt,
                draw_pred,
                show,
                wait_time,
                out_file,
                pred_score_thr,
                step,
            )
            return
        panels = []
        notes = self._make_notes()
        if data_sample is not None:
            panels = self._make_panels(
                data_sample.cpu(), notes, draw_gt, draw_pred, pred_score_thr
            )
        drawn = self.artist.draw(image, panels, notes)
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

    def _make_notes(self) -> CellNotes:
        """Bind the arguments to the dataset at hand."""
        return CellNotes(
            self.dataset_meta,
            self.attributes,
            self.attribute_thr,
            self.marked_values,
            self.bbox_color,
        )

    def _make_panels(
        self,
        data_sample: DetDataSample,
        notes: CellNotes,
        draw_gt: bool,
        draw_pred: bool,
        pred_score_thr: float,
    ) -> List[Panel]:
        """Say what is drawn.

        Args:
            data_sample (:obj:`DetDataSample`): The sample, on the CPU.
            notes (CellNotes): Names and colours.
            draw_gt (bool): Whether to draw the annotation.
            draw_pred (bool): Whether to draw the prediction.
            pred_score_thr (float): Detections score more than this.

        Returns:
            list[Panel]: One or two, none for a sample without either.
        """
        gt = data_sample.get('gt_instances')
        ignored = data_sample.get('ignored_instances')
        pred = data_sample.get('pred_instances')
        for instances, key in ((gt, 'attributes'), (pred, 'attribute_labels')):
            if (
                self.attributes != 'none'
                and notes.schema is None
                and instances is not None
                and key in instances
            ):
                print_log(
                    f'{self.__class__.__name__}: instances have {key}, which '
                    'are not drawn, as dataset_meta has no "attributes" to '
                    'name them by. Add them to the metainfo of the dataset',
                    logger='current',
                    level=30,
                )
        if pred is not None and 'scores' in pred:
            pred = pred[pred.scores > pred_score_thr]
        ignored_marks, unannotated = notes.ignored(ignored)

        matches = is_false_positive = None
        missed: np.ndarray = np.zeros(0, dtype=bool)
        if (
            self.mark_differences
            and draw_gt
            and draw_pred
            and gt is not None
            and pred is not None
            and 'scores' in pred
        ):
            matches, is_false_positive = compare(pred, gt, ignored)
            missed = np.ones(len(gt), dtype=bool)
            missed[matches[matches >= 0]] = False

        panels = []
        if draw_gt and (gt is not None or ignored is not None):
            marks = [] if gt is None else notes.annotated(gt, missed)
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
            marks = notes.predicted(
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
