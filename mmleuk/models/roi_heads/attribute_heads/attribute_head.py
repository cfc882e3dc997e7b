# Copyright (c) mmleuk authors. All rights reserved.
from abc import ABCMeta, abstractmethod
from typing import Dict, Mapping, Optional, Sequence

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

from mmleuk.models.utils import attribute_fields
from mmleuk.registry import MODELS
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema


class BaseAttributeHead(BaseModule, metaclass=ABCMeta):
    """Targets, loss and predictions of the attribute branches.

    A subclass turns RoI features into one row of logits, the branches side by
    side in the order of the schema.

    Args:
        attributes (Sequence[dict]): The schema, see
            :class:`~mmleuk.structures.AttributeSchema`. The number and the
            width of the branches follow it.
        loss_attribute (dict): Config of the loss of one branch. It is called
            with ``(logits, target, weight=, avg_factor=)``. If it has a
            method ``get_activation``, that turns logits into probabilities,
            otherwise a softmax does.
        loss_weight (float): Factor of the mean over the branches.
        value_weights (Mapping[str, Sequence[float]], optional): Weights of the
            values of an attribute by its name, for rare values. Attributes
            that are not named weigh all values alike.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    def __init__(
        self,
        attributes: Sequence[dict],
        loss_attribute: ConfigType,
        loss_weight: float = 1.0,
        value_weights: Optional[Mapping[str, Sequence[float]]] = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.schema = AttributeSchema(attributes)
        self.loss_attribute = MODELS.build(loss_attribute)
        self.loss_weight = loss_weight
        self._init_value_weights(value_weights or {})

    def _init_value_weights(
        self, value_weights: Mapping[str, Sequence[float]]
    ) -> None:
        """Register the weights as a (num_attributes, max size) buffer."""
        unknown = sorted(set(value_weights) - set(self.schema.names))
        if unknown:
            raise ValueError(
                f'value_weights names {unknown}, expected names of the '
                f'schema: {list(self.schema.names)}'
            )
        table = torch.ones(len(self.schema), max(self.schema.sizes))
        for row, attribute in zip(table, self.schema):
            weights = value_weights.get(attribute.name)
            if weights is None:
                continue
            if len(weights) != len(attribute.values):
                raise ValueError(
                    f'value_weights of {attribute.name!r} has '
                    f'{len(weights)} numbers, expected one for each of '
                    f'{attribute.values}'
                )
            row[: len(weights)] = torch.tensor(weights, dtype=row.dtype)
        self.register_buffer('value_weights', table, persistent=False)

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

        Each branch averages over the RoIs where its attribute is known, the
        loss is the mean over the branches that know any; in a distributed run
        over those of all processes, so that one with few labels does not make
        much of them. Nothing here depends on a count known to the host, and
        without a label the loss is a zero that reaches every parameter, as DDP
        wants it.

        Args:
            logits (Tensor): Logits, shape (n, sum of values).
            targets (Tensor): Codes, ``MISSING`` where unknown, int64, shape
                (n, num_attributes).

        Returns:
            dict[str, Tensor]: ``loss_attribute`` and ``acc_attribute``, the
            share in percent of known codes that the branches name right.
        """
        logits = logits.float()
        known = targets != MISSING
        codes = targets.clamp(min=0)
        columns = torch.arange(len(self.schema), device=codes.device)
        weights = self.value_weights[columns, codes] * known
        # The mean over processes: DDP takes that of their gradients.
        totals = reduce_mean(weights.sum(dim=0))
        losses, correct = [], []
        for i, branch in enumerate(logits.split(self.schema.sizes, dim=1)):
            losses.append(
                self.loss_attribute(
                    branch,
                    codes[:, i],
                    weight=weights[:, i],
                    avg_factor=totals[i],
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

    def predict(self, logits: Tensor) -> Dict[str, Tensor]:
        """Turn logits into the fields of ``pred_instances``.

        Args:
            logits (Tensor): Logits, shape (n, sum of values).

        Returns:
            dict[str, Tensor]: ``attribute_probs`` (n, sum of values) float32,
            each branch summing to one; ``attribute_labels``
            (n, num_attributes) int64, the likeliest code of each;
            ``attribute_scores`` (n, num_attributes) float32, its probability.
        """
        activate = getattr(self.loss_attribute, 'get_activation', None)
        if activate is None:
            activate = _softmax
        probs = [
            activate(branch)
            for branch in logits.float().split(self.schema.sizes, dim=1)
        ]
        return attribute_fields(torch.cat(probs, dim=1), self.schema.sizes)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=-1)


@MODELS.register_module()
class AttributeHead(BaseAttributeHead):
    """A shared trunk and one linear layer, split into the branches.

    The trunk is a few 3 x 3 convolutions, pooled over the RoI by their mean
    and maximum (texture is judged over the whole cell, a nucleolus or a
    vacuole is a single spot), then fully connected layers. RoIAlign takes the
    size of a cell away, so that the sides of the box are put back beside the
    pooled features. Classes are no input: attributes are there to explain the
    class and may not be read off it.

    Args:
        attributes (Sequence[dict]): The schema. Defaults to LLD's seven.
        in_channels (int): Channels of the RoI features.
        num_convs (int): Number of convolutions.
        conv_channels (int): Channels of each.
        num_fcs (int): Number of fully connected layers before the last.
        fc_channels (int): Channels of each.
        dropout (float): Share of trunk features dropped in training before
            the last layer.
        box_size_unit (float, optional): Pixels of the original image that
            count as one unit of a box's side, about the side of a common
            cell; None leaves the sides out.
        conv_cfg (dict, optional): Config of the convolutions.
        norm_cfg (dict, optional): Config of their normalisation. Layers that
            normalise over the batch don't fit, since its RoIs may be few or
            none.
        loss_attribute (dict): Config of the loss of one branch.
        loss_weight (float): Factor of the mean over the branches.
        value_weights (Mapping[str, Sequence[float]], optional): Weights of
            values by attribute name.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    def __init__(
        self,
        attributes: Sequence[dict] = LLD_ATTRIBUTES,
        in_channels: int = 256,
        num_convs: int = 2,
        conv_channels: int = 128,
        num_fcs: int = 1,
        fc_channels: int = 256,
        dropout: float = 0.0,
        box_size_unit: Optional[float] = 100.0,
        conv_cfg: OptConfigType = None,
        norm_cfg: OptConfigType = None,
        loss_attribute: ConfigType = dict(
            type='mmdet.CrossEntropyLoss', use_sigmoid=False
        ),
        loss_weight: float = 1.0,
        value_weights: Optional[Mapping[str, Sequence[float]]] = None,
        init_cfg: OptMultiConfig = dict(
            type='Normal', std=0.01, override=dict(name='fc_attribute')
        ),
    ) -> None:
        super().__init__(
            attributes=attributes,
            loss_attribute=loss_attribute,
            loss_weight=loss_weight,
            value_weights=value_weights,
            init_cfg=init_cfg,
        )
        self.box_size_unit = box_size_unit
        self.convs = nn.Sequential(
            *[
                ConvModule(
                    in_channels if i == 0 else conv_channels,
                    conv_channels,
                    3,
                    padding=1,
                    conv_cfg=conv_cfg,
                    norm_cfg=norm_cfg,
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
        self.fcs = nn.Sequential(*layers, nn.Dropout(dropout))
        self.fc_attribute = nn.Linear(channels, self.schema.num_values)

    def forward(self, x: Tensor, box_sizes: Tensor) -> Tensor:
        """Compute the logits of all branches.

        Args:
            x (Tensor): RoI features, shape (n, C, h, w).
            box_sizes (Tensor): Width and height of each RoI in pixels of the
                original image, shape (n, 2).

        Returns:
            Tensor: Logits, shape (n, sum of values).
        """
        x = self.convs(x)
        pooled = [x.mean(dim=(2, 3)), x.amax(dim=(2, 3))]
        if self.box_size_unit is not None:
            sides = (box_sizes / self.box_size_unit).clamp(min=1e-3).log()
            pooled.append(sides.type_as(x))
        return self.fc_attribute(self.fcs(torch.cat(pooled, dim=1)))
