# Copyright (c) mmleuk authors. All rights reserved.
import inspect
from typing import Optional, Tuple

import torch
from mmdet.models.task_modules import AssignResult, BaseAssigner
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import ConfigType
from mmengine.structures import InstanceData

from mmleuk.registry import TASK_UTILS
from mmleuk.structures import ignored_boxes

from .background_rule import BackgroundRule


@TASK_UTILS.register_module()
class RegionAssigner(BaseAssigner):
    """Any assigner, with background only where it is known to be.

    Positives are assigned exactly as by the other assigner without ignored
    instances, wherever they lie. Of the priors that it then takes as
    background (0), those on ignored cells and on un-annotated area become
    neither positive nor negative (-1), with or without ground truth in the
    image: see :class:`BackgroundRule`. Without ignored instances the result is
    that of the other assigner.

    With ignored instances the result has two extra properties, for samplers
    that draw negatives from the un-annotated area:

    - ``is_unannotated``, bool, shape (n, ): background priors on un-annotated
      area that are on no ignored cell;
    - ``presence_probability``, shape (n, ): the probability that such a prior
      is a cell, by the ``probs`` of the ignored instances (see
      :mod:`mmleuk.structures.ignored_instances`); 1 without these, and
      meaningless for other priors.

    Priors are boxes. A head whose priors are points of a grid (RTMDet, YOLOX)
    needs ``point_size``; queries have no priors, but predicted boxes.

    Note:
        MMDetection has another ``RegionAssigner``, of Guided Anchoring. This
        one is ``type='mmleuk.RegionAssigner'``.

    Args:
        assigner (dict): Config of the other assigner. Its ``iou_calculator``
            is for labelled boxes alone, and its own ``ignore_iof_thr`` finds
            nothing to ignore.
        **kwargs: Arguments of :class:`BackgroundRule`.
    """

    knows_regions = True

    def __init__(self, assigner: ConfigType, **kwargs) -> None:
        self.assigner = TASK_UTILS.build(assigner)
        self.rule = BackgroundRule(**kwargs)

    def assign(
        self, pred_instances: InstanceData, *args, **kwargs
    ) -> AssignResult:
        """Assign labelled boxes, background or neither to priors.

        Args:
            pred_instances (:obj:`InstanceData`): ``priors`` (n, 4), or
                ``bboxes`` (n, 4) where there are no priors, in pixels.
            *args: The other assigner's arguments, in its order.
            **kwargs: The other assigner's arguments. ``gt_instances_ignore``
                has ``bboxes`` (m, 4), ``labels`` (m, ) and, with mining,
                ``probs`` (m, ) of ignored cells, un-annotated rectangles and
                candidates; the other assigner gets None instead.

        Returns:
            :obj:`AssignResult`: ``gt_inds`` (n, ): index of the labelled box
            + 1, 0 for background, -1 for neither.
        """
        call, ignored = self._without_ignored(pred_instances, *args, **kwargs)
        assign_result = self.assigner.assign(*call.args, **call.kwargs)
        if ignored_boxes(ignored)[0].numel() == 0:
            return assign_result
        has_priors = 'priors' in pred_instances
        priors = get_box_tensor(
            pred_instances.priors if has_priors else pred_instances.bboxes
        )
        background = assign_result.gt_inds == 0
        on_cell = self.rule.on_ignored_cell(priors, ignored)
        unannotated = self.rule.on_unannotated_area(priors, ignored)
        assign_result.gt_inds = torch.where(
            background & (on_cell | unannotated), -1, assign_result.gt_inds
        )
        assign_result.set_extra_property(
            'is_unannotated', background & unannotated & ~on_cell
        )
        assign_result.set_extra_property(
            'presence_probability',
            self.rule.presence_probability(priors, ignored),
        )
        return assign_result

    def _without_ignored(
        self,
        *args,
        gt_instances_ignore: Optional[InstanceData] = None,
        **kwargs,
    ) -> Tuple[inspect.BoundArguments, Optional[InstanceData]]:
        """Take the ignored instances out of a call of the other assigner."""
        signature = inspect.signature(self.assigner.assign)
        call = signature.bind(*args, **kwargs)
        ignored = call.arguments.pop(
            'gt_instances_ignore', gt_instances_ignore
        )
        img_meta = call.arguments.get('img_meta')
        if ignored is None and img_meta is not None:
            # DETR's heads pass no ignored instances to their assigner.
            if 'gt_instances_ignore' not in img_meta:
                raise ValueError(
                    'got an img_meta without gt_instances_ignore, expected '
                    'the ignored instances of the image in it: this head does '
                    'not pass them to its assigner. Use the head of mmleuk '
                    "that does, such as type='mmleuk.RegionDETRHead'"
                )
            ignored = img_meta['gt_instances_ignore']
        return call, ignored
