# Copyright (c) mmleuk authors. All rights reserved.
from abc import ABCMeta, abstractmethod
from functools import partial
from typing import Dict, Optional, Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.utils import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
    reduce_mean,
)
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import softmax

from mmleuk.models.utils import attribute_fields
from mmleuk.registry import MODELS
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema


class BaseAttributeHead(BaseModule, metaclass=ABCMeta):
    """Targets, loss and predictions of the attribute branches.

    A subclass turns RoI features into one row of logits: those of all
    branches, in the order of the schema.

    Args:
        attributes (Sequence[dict]): The schema, see
            :class:`~mmleuk.structures.AttributeSchema`, by default LLD's. It
            sets the number and the width of the branches.
        loss_attribute (dict): Config of the loss of one branch, called with
            ``(logits, target, weight=, avg_factor=)``. Its ``get_activation``
            turns logits into probabilities, or a softmax if it has none.
        loss_weight (float): Factor of the mean over the branches.
        long_tail (dict, optional): Config of what changes the loss by how
            often values occur, such as :class:`LogitAdjustment`. Predictions
            are of the plain logits. :class:`TypeProfileHook` sets the counts
            before a training.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    # It learns from cells alone, and nothing as background.
    knows_regions = True

    def __init__(
        self,
        attributes: Sequence[dict] = LLD_ATTRIBUTES,
        *,
        loss_attribute: ConfigType,
        loss_weight: float = 1.0,
        long_tail: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.schema = AttributeSchema(attributes)
        self.loss_attribute = MODELS.build(loss_attribute)
        self.loss_weight = loss_weight
        self.long_tail = None if long_tail is None else MODELS.build(long_tail)
        # Each training counts its own data: no part of a checkpoint.
        self.register_buffer('value_counts', None, persistent=False)

    def set_value_counts(self, counts: Sequence[Sequence[int]]) -> None:
        """Set how many training cells have each value, for the long tail.

        Args:
            counts (Sequence[Sequence[int]]): For each attribute the cells
                with each of its values.

        Raises:
            ValueError: If they are not of this schema.
        """
        sizes = tuple(map(len, counts))
        if sizes != self.schema.sizes:
            raise ValueError(
                f'got counts of {sizes} values, expected '
                f'{self.schema.sizes}, those of the attributes of the head'
            )
        parameter = next(self.parameters())
        self.value_counts = parameter.new_tensor(
            [count for values in counts for count in values],
            dtype=torch.float32,
        )

    @abstractmethod
    def forward(self, x: Tensor, box_sizes: Tensor) -> Tensor:
        """Compute the logits of all branches.

        Args:
            x (Tensor): RoI features, shape (n, C, h, w).
            box_sizes (Tensor): Width and height of each RoI in pixels of the
                original image, shape (n, 2).

        Returns:
            Tensor: Logits, shape (n, sum of values).
        """

    def loss(self, logits: Tensor, targets: Tensor) -> Dict[str, Tensor]:
        """Compute the loss over the cells whose attribute is known.

        The loss of a branch is the mean over the RoIs where its attribute is
        known; the total is the mean over the branches that know any, in a
        distributed run on any process. Without a label it is a zero that
        reaches every parameter, as DDP requires. No count is copied to the
        host.

        Args:
            logits (Tensor): Logits, shape (n, sum of values).
            targets (Tensor): Codes, ``MISSING`` where unknown, int64, shape
                (n, num_attributes).

        Returns:
            dict[str, Tensor]: ``loss_attribute`` and ``acc_attribute``, the
            percentage of known codes that are predicted.

        Raises:
            RuntimeError: If ``long_tail`` is set and there are no counts.
        """
        logits = logits.float()
        known = targets != MISSING
        codes = targets.clamp(min=0)
        weights = known.type_as(logits)
        # The mean over processes: DDP takes that of their gradients.
        totals = reduce_mean(weights.sum(dim=0))
        losses, correct = [], []
        branches = logits.split(self.schema.sizes, dim=1)
        counts = self._counts_of_branches()
        for i, branch in enumerate(branches):
            scores, weight = branch, weights[:, i]
            if self.long_tail is not None:
                scores, weight = self.long_tail(
                    branch, codes[:, i], weight, counts[i]
                )
            losses.append(
                self.loss_attribute(
                    scores, codes[:, i], weight=weight, avg_factor=totals[i]
                )
            )
            with torch.no_grad():
                correct.append(
                    (branch.argmax(dim=1) == codes[:, i]) & known[:, i]
                )
        num_branches = (totals > 0).sum().clamp(min=1)
        loss = torch.stack(losses).sum() / num_branches
        accuracy = torch.stack(correct).sum() / known.sum().clamp(min=1)
        return dict(
            loss_attribute=self.loss_weight * loss + logits.sum() * 0,
            acc_attribute=100 * accuracy,
        )

    def _counts_of_branches(self) -> Sequence[Tensor]:
        """Counts of the values of each attribute, nothing without need."""
        if self.long_tail is None:
            return ()
        if self.value_counts is None:
            raise RuntimeError(
                f'{type(self.long_tail).__name__} of the attribute head has '
                'no counts of values, expected those of the training data: '
                'add mmleuk.TypeProfileHook to `default_hooks`, and train on '
                'data with attributes'
            )
        return self.value_counts.split(self.schema.sizes)

    def predict(self, logits: Tensor) -> Dict[str, Tensor]:
        """Turn logits into the fields of ``pred_instances``.

        Args:
            logits (Tensor): Logits, shape (n, sum of values).

        Returns:
            dict[str, Tensor]: See :func:`attribute_fields`. The probabilities
            of a branch sum to one.
        """
        activate = getattr(
            self.loss_attribute, 'get_activation', partial(softmax, dim=-1)
        )
        probs = [
            activate(branch)
            for branch in logits.float().split(self.schema.sizes, dim=1)
        ]
        return attribute_fields(torch.cat(probs, dim=1), self.schema.sizes)


@MODELS.register_module()
class AttributeHead(BaseAttributeHead):
    """A shared trunk and one linear layer, split into the branches.

    The trunk is a few 3 x 3 convolutions, pooled over the RoI by mean and
    maximum (texture covers the whole cell, a nucleolus or a vacuole is one
    spot), then fully connected layers. RoIAlign removes the size of a cell, so
    the sides of the box are added to the pooled features. The class is no
    input: attributes are meant to explain it.

    Args:
        *args: Arguments of :class:`BaseAttributeHead`.
        in_channels (int): Channels of the RoI features.
        num_convs (int): Number of convolutions.
        conv_channels (int): Channels of each.
        num_fcs (int): Number of fully connected layers before the last.
        fc_channels (int): Channels of each.
        box_size_unit (float, optional): Unit of the sides of a box in pixels
            of the original image, about the side of a common cell. None
            leaves the sides out.
        loss_attribute (dict): Config of the loss of one branch.
        init_cfg (dict | list[dict], optional): Initialisation config.
        **kwargs: Arguments of :class:`BaseAttributeHead`.
    """

    def __init__(
        self,
        *args,
        in_channels: int = 256,
        num_convs: int = 2,
        conv_channels: int = 128,
        num_fcs: int = 1,
        fc_channels: int = 256,
        box_size_unit: Optional[float] = 100.0,
        loss_attribute: ConfigType = dict(
            type='mmdet.CrossEntropyLoss', use_sigmoid=False
        ),
        init_cfg: OptMultiConfig = dict(
            type='Normal', std=0.01, override=dict(name='fc_attribute')
        ),
        **kwargs,
    ) -> None:
        super().__init__(
            *args, loss_attribute=loss_attribute, init_cfg=init_cfg, **kwargs
        )
        self.box_size_unit = box_size_unit
        self.convs = nn.Sequential(
            *[
                ConvModule(
                    in_channels if i == 0 else conv_channels,
                    conv_channels,
                    3,
                    padding=1,
                )
                for i in range(num_convs)
            ]
        )
        channels = 2 * (conv_channels if num_convs else in_channels)
        if box_size_unit is not None:
            channels += 2
        layers = []
        for _ in range(num_fcs):
            layers += [nn.Linear(channels, fc_channels), nn.ReLU(True)]
            channels = fc_channels
        self.fcs = nn.Sequential(*layers)
        self.fc_attribute = nn.Linear(channels, self.schema.num_values)

    def forward(self, x: Tensor, box_sizes: Tensor) -> Tensor:
        """See :meth:`BaseAttributeHead.forward`."""
        x = self.convs(x)
        pooled = [x.mean(dim=(2, 3)), x.amax(dim=(2, 3))]
        if self.box_size_unit is not None:
            sides = (box_sizes / self.box_size_unit).clamp(min=1e-3).log()
            pooled.append(sides.type_as(x))
        return self.fc_attribute(self.fcs(torch.cat(pooled, dim=1)))
