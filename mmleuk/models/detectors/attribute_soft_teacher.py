# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Optional, Tuple

import torch
from mmdet.models.detectors import SoftTeacher
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from torch import Tensor

from mmleuk.models.utils import training_progress
from mmleuk.registry import MODELS
from mmleuk.structures import MISSING


@MODELS.register_module()
class AttributeSoftTeacher(SoftTeacher):
    """:class:`SoftTeacher` for detectors with attributes, with burn-in.

    It adds to MMDetection's `End-to-End Semi-Supervised Object Detection with
    Soft Teacher <https://arxiv.org/abs/2106.09018>`_:

    - the cells that the teacher finds have no attributes: attributes are
      learned from labelled images alone;
    - the teacher stays in evaluation mode. MMDetection's follows the student
      into training mode, so that it uses other batch statistics than in
      evaluation;
    - a batch without any proposal gives a loss of zero instead of an error;
    - burn-in. A teacher with random heads finds no cell, and the student
      would learn that there is only background. MMDetection has none, since
      it trains ten thousand times as long.

    ``semi_train_cfg`` has two more settings than that of
    :class:`SoftTeacher`:

    - burn_in (float): Share of the training, in [0, 1], in which the student
      learns from labelled images alone, 0 by default. Progress is read from
      MMEngine's runner; without one it counts as 0.
    - num_sup (int, optional): Number of the batch's labelled images that the
      student learns from after burn-in. The un-labelled images can take the
      place of the others, so that each step has the same number of images.
      All by default.
    """

    def train(self, mode: bool = True) -> 'AttributeSoftTeacher':
        """Set the mode of the student; the teacher always evaluates."""
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(
        self,
        multi_batch_inputs: Dict[str, Tensor],
        multi_batch_data_samples: Dict[str, SampleList],
    ) -> dict:
        """Compute the losses of labelled and, after burn-in, other images.

        Arguments and losses are those of the parent.
        """
        if training_progress() < self.semi_train_cfg.get('burn_in', 0):
            return self.loss_by_gt_instances(
                multi_batch_inputs['sup'], multi_batch_data_samples['sup']
            )
        num_sup = self.semi_train_cfg.get('num_sup')
        return super().loss(
            dict(multi_batch_inputs, sup=multi_batch_inputs['sup'][:num_sup]),
            dict(
                multi_batch_data_samples,
                sup=multi_batch_data_samples['sup'][:num_sup],
            ),
        )

    @torch.no_grad()
    def get_pseudo_instances(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> Tuple[SampleList, Optional[dict]]:
        """Let the teacher find cells, whose attributes stay unknown."""
        batch_data_samples, batch_info = super().get_pseudo_instances(
            batch_inputs, batch_data_samples
        )
        for data_sample in batch_data_samples:
            cells = data_sample.gt_instances
            if 'attribute_labels' in cells:
                cells.attributes = torch.full_like(
                    cells.attribute_labels, MISSING
                )
        return batch_data_samples, batch_info

    def rcnn_cls_loss_by_pseudo_instances(
        self,
        x: Tuple[Tensor],
        unsup_rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        batch_info: dict,
    ) -> dict:
        """Compute the classification loss of the un-labelled images.

        Arguments and losses are those of the parent; without any proposal,
        ``loss_cls`` alone.
        """
        if all(len(proposals) == 0 for proposals in unsup_rpn_results_list):
            return dict(loss_cls=sum(level.mean() for level in x) * 0)
        return super().rcnn_cls_loss_by_pseudo_instances(
            x, unsup_rpn_results_list, batch_data_samples, batch_info
        )
