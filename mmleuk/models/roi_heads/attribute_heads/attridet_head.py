# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence, Tuple

from mmcv.cnn import ConvModule
from mmdet.utils import ConfigType
from torch import Tensor, nn

from mmleuk.registry import MODELS

from .attribute_head import BaseAttributeHead


@MODELS.register_module()
class AttriDetHead(BaseAttributeHead):
    """The attribute head of AttriDet, to compare with.

    From Rehman et al., *A Large-Scale Multi Domain Leukemia Dataset for the
    White Blood Cells Detection with Morphological Attributes for
    Explainability* (MICCAI 2024): blocks of convolution and pooling on early
    features of the backbone, then fully connected layers. Use it with
    ``attribute_source='early'`` and ``attribute_rois='gt'`` of
    :class:`AttributeRoIHead`.

    Args:
        in_channels (int): Channels of the RoI features.
        *args: Arguments of :class:`BaseAttributeHead`.
        roi_feat_size (tuple[int, int]): Height and width of the RoI features.
        conv_channels (Sequence[int]): Channels of the blocks, each of which
            halves height and width.
        fc_channels (Sequence[int]): Channels of the hidden layers.
        dropout (float): Share of hidden features dropped in training.
        loss_attribute (dict): Config of the loss of one branch.
        **kwargs: Arguments of :class:`BaseAttributeHead`.
    """

    def __init__(
        self,
        in_channels: int,
        *args,
        roi_feat_size: Tuple[int, int] = (24, 30),
        conv_channels: Sequence[int] = (128, 64, 64),
        fc_channels: Sequence[int] = (512, 128),
        dropout: float = 0.5,
        loss_attribute: ConfigType = dict(type='mmleuk.AsymmetricLoss'),
        **kwargs,
    ) -> None:
        super().__init__(*args, loss_attribute=loss_attribute, **kwargs)
        height, width = roi_feat_size
        blocks = []
        for channels in conv_channels:
            blocks += [
                ConvModule(in_channels, channels, 3, padding=1),
                nn.MaxPool2d(2),
            ]
            in_channels, height, width = channels, height // 2, width // 2
        if height * width == 0:
            raise ValueError(
                f'roi_feat_size={tuple(roi_feat_size)} is too small for '
                f'{len(conv_channels)} poolings by two'
            )
        self.convs = nn.Sequential(*blocks)
        layers, channels = [nn.Flatten()], in_channels * height * width
        for width in fc_channels:
            layers += [
                nn.Linear(channels, width),
                nn.ReLU(True),
                nn.Dropout(dropout),
            ]
            channels = width
        self.fcs = nn.Sequential(
            *layers, nn.Linear(channels, self.schema.num_values)
        )

    def forward(self, x: Tensor, box_sizes: Tensor) -> Tensor:
        """See :meth:`BaseAttributeHead.forward`; box sizes are not used."""
        return self.fcs(self.convs(x))
