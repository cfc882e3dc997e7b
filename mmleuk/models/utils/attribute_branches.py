# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Sequence, Tuple

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.registry import MODELS
from mmleuk.structures import MISSING

_SOURCES = ('neck', 'early', 'early+neck')


class AttributeBranchesMixin:
    """Attribute branches on features that are pooled over boxes.

    What RoI heads and detectors with attributes have in common. The modules
    ``attribute_head`` and ``attribute_roi_extractor`` belong to the class that
    inherits this one, which decides from which boxes they learn.
    """

    def init_attributes(
        self,
        attribute_head: ConfigType,
        attribute_roi_extractor: ConfigType,
        attribute_source: str,
    ) -> None:
        """Build the head and its RoI extractor.

        Args:
            attribute_head (dict): Config of the attribute head.
            attribute_roi_extractor (dict | nn.Module): Config of its RoI
                extractor, or one that is shared.
            attribute_source (str): Features to pool: 'neck', the levels of
                the neck; 'early', the backbone features that
                :class:`EarlyFeatureNeck` keeps; 'early+neck', these and then
                the levels of the neck.

        Raises:
            ValueError: If the source is none of these.
        """
        if attribute_source not in _SOURCES:
            raise ValueError(
                f'got attribute_source={attribute_source!r}, '
                "expected 'neck', 'early' or 'early+neck'"
            )
        self.attribute_source = attribute_source
        self.attribute_head = MODELS.build(attribute_head)
        if isinstance(attribute_roi_extractor, dict):
            attribute_roi_extractor = MODELS.build(attribute_roi_extractor)
        self.attribute_roi_extractor = attribute_roi_extractor

    def gt_attributes(self, sample: DetDataSample) -> Tensor:
        """Fetch the codes of an image's cells.

        Args:
            sample (:obj:`DetDataSample`): The sample.

        Returns:
            Tensor: Codes, ``MISSING`` where unknown, int64, shape (k,
            num_attributes).

        Raises:
            KeyError: If its ``gt_instances`` have no attributes.
            ValueError: If these are not as many as those of the head.
        """
        gt_instances = sample.gt_instances
        num_attributes = len(self.attribute_head.schema)
        if 'attributes' not in gt_instances:
            raise KeyError(
                f'{sample.metainfo.get("img_path", "an image")}: its '
                'gt_instances have no "attributes"; end the training pipeline '
                'with mmleuk.PackLLDInputs (cells without labels then get '
                f'{MISSING})'
            )
        codes = gt_instances.attributes
        if codes.size(1) != num_attributes:
            raise ValueError(
                f'{sample.metainfo.get("img_path", "an image")}: got '
                f'{codes.size(1)} attributes a cell, expected '
                f'{num_attributes}: {list(self.attribute_head.schema.names)}; '
                'give the dataset and the head the same schema'
            )
        return codes

    def attribute_logits(
        self,
        x: Tuple[Tensor, ...],
        boxes: Sequence[Tensor],
        batch_img_metas: List[dict],
    ) -> Tensor:
        """Compute the logits of the branches for boxes.

        Args:
            x (tuple[Tensor]): Levels of the neck, each (N, C, H, W).
            boxes (Sequence[Tensor]): Boxes of each image in pixels of the
                network's input, (n_i, 4).
            batch_img_metas (list[dict]): Meta information of each image.

        Returns:
            Tensor: Logits, shape (sum of n_i, sum of values).
        """
        rois = bbox2roi(boxes)
        # Sides in pixels of the original image. A resize in the data
        # preprocessor is not part of `scale_factor`.
        scale_factors = torch.tensor(
            [meta.get('scale_factor', (1, 1))[:2] for meta in batch_img_metas],
            dtype=rois.dtype,
        ).to(rois.device, non_blocking=True)
        box_sizes = (rois[:, 3:5] - rois[:, 1:3]) / scale_factors[
            rois[:, 0].long()
        ]
        return self.attribute_head(self.pool_attributes(x, rois), box_sizes)

    def pool_attributes(self, x: Tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Pool RoIs, (n, 5), of the levels of the neck to (n, C, h, w).

        Raises:
            TypeError: If early features are to be pooled and the neck keeps
                none.
        """
        if self.attribute_source != 'neck':
            if not hasattr(x, 'early'):
                raise TypeError(
                    f'attribute_source={self.attribute_source!r} got a plain '
                    'tuple of features; wrap the neck in '
                    'mmleuk.EarlyFeatureNeck'
                )
            x = x.early if self.attribute_source == 'early' else x.early + x
        return self.attribute_roi_extractor(
            x[: self.attribute_roi_extractor.num_inputs], rois
        )

    def add_attributes(
        self, results_list: InstanceList, logits: Tensor
    ) -> List[InstanceData]:
        """Add the fields of :meth:`BaseAttributeHead.predict` to detections.

        Args:
            results_list (list[:obj:`InstanceData`]): Detections of each image.
            logits (Tensor): Logits of all of them, image after image.

        Returns:
            list[:obj:`InstanceData`]: The same detections.
        """
        sizes = [len(results) for results in results_list]
        for name, values in self.attribute_head.predict(logits).items():
            for results, part in zip(results_list, values.split(sizes)):
                results[name] = part
        return results_list
