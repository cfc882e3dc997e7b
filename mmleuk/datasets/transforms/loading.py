# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations

from mmleuk.registry import TRANSFORMS
from mmleuk.structures import (
    LLD_SCHEMA,
    MISSING,
    pack_labels,
    unannotated_area,
)


@TRANSFORMS.register_module()
class LoadLLDAnnotations(LoadAnnotations):
    """Load boxes, classes, attributes and annotated regions of an image.

    Replaces ``LoadAnnotations`` of MMDetection in a pipeline that ends with
    :class:`PackLLDInputs`. MMDetection's transforms in between only know
    boxes and labels: the labels carry the attributes
    (:func:`mmleuk.structures.pack_labels`), the boxes carry the regions
    (:class:`mmleuk.structures.RegionBoxes`).

    Regions are in the coordinates of the boxes. As in MMDetection, a test
    pipeline that loads annotations after ``Resize`` leaves both in pixels of
    the original image.

    Required Keys:

    - ori_shape, or height and width
    - instances

      - bbox (list[float]): [x1, y1, x2, y2] in pixels.
      - bbox_label (int)
      - ignore_flag (int)
      - attributes (Sequence[int], optional): One code per attribute, -1 where
        missing.

    - num_attributes (int, optional): Number of attributes in the dataset's
      schema, which LLDDataset states.
    - annotated_regions (list[list[float]], optional): Rectangles
      [x1, y1, x2, y2] in pixels. None or absent: the whole image is
      annotated; empty: nothing is.

    Added Keys:

    - gt_bboxes (RegionBoxes[torch.float32])
    - gt_bboxes_labels (np.int64): Packed labels, see PackLLDInputs.
    - gt_ignore_flags (bool)
    - num_attributes (int)

    Args:
        num_attributes (int, optional): Number of attributes of a dataset that
            does not state it, LLD's seven by default. If both state it, they
            have to agree.
        with_bbox (bool): Must be True.
        with_label (bool): Must be True.
        **kwargs: Further arguments of MMDetection's ``LoadAnnotations``,
            except masks and another type of box.

    Raises:
        ValueError: If an argument asks for anything but boxes and labels.
    """

    def __init__(
        self,
        num_attributes: Optional[int] = None,
        with_bbox: bool = True,
        with_label: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(
            with_bbox=with_bbox,
            with_label=with_label,
            box_type=kwargs.pop('box_type', 'region_hbox'),
            **kwargs,
        )
        got = {
            name: getattr(self, name)
            for name in ('with_bbox', 'with_label', 'with_mask', 'box_type')
        }
        if list(got.values()) != [True, True, False, 'region_hbox']:
            raise ValueError(
                f'got {got}, expected boxes with labels, without masks, and '
                'no box_type: boxes and labels carry regions and attributes'
            )
        # A schema that is too long fails here, not in a worker.
        if num_attributes is not None:
            pack_labels(np.zeros(0), np.zeros((0, num_attributes)))
        self.num_attributes = num_attributes

    def _load_bboxes(self, results: dict) -> None:
        """Load boxes, with the un-annotated area, and ignore flags."""
        super()._load_bboxes(results)
        results['gt_bboxes'].field_matrix = np.eye(3)
        img_shape = results.get('ori_shape')
        if img_shape is None:
            img_shape = (results['height'], results['width'])
        try:
            results['gt_bboxes'].unannotated = unannotated_area(
                results.get('annotated_regions'), img_shape
            )
        except ValueError as error:
            raise ValueError(
                f'{results.get("img_path")}: {error}. Correct the label file'
            ) from error

    def _load_labels(self, results: dict) -> None:
        """Load labels and attributes, packed together."""
        super()._load_labels(results)
        num_attributes = self._find_num_attributes(results)
        shape = len(results['gt_bboxes_labels']), num_attributes
        attributes = np.full(shape, MISSING, np.int64)
        for index, instance in enumerate(results.get('instances', [])):
            codes = instance.get('attributes')
            if codes is None:
                continue
            if len(codes) != num_attributes:
                raise ValueError(
                    f'{results.get("img_path")}: instance {index} has the '
                    f'attributes {tuple(codes)}, expected '
                    f'{num_attributes} codes. Set num_attributes of '
                    "LoadLLDAnnotations to the length of the dataset's "
                    'schema'
                )
            attributes[index] = codes
        try:
            results['gt_bboxes_labels'] = pack_labels(
                results['gt_bboxes_labels'], attributes
            )
        except ValueError as error:
            raise ValueError(f'{results.get("img_path")}: {error}') from error
        results['num_attributes'] = num_attributes

    def _find_num_attributes(self, results: dict) -> int:
        """Find the number of attributes of the schema."""
        stated = results.get('num_attributes')
        if None not in (stated, self.num_attributes) and (
            stated != self.num_attributes
        ):
            raise ValueError(
                f'{results.get("img_path")}: the dataset has {stated} '
                'attributes, expected num_attributes='
                f'{self.num_attributes} of LoadLLDAnnotations. Leave that '
                "argument out, or correct metainfo['attributes']"
            )
        return stated or self.num_attributes or len(LLD_SCHEMA)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(num_attributes={self.num_attributes})'
        )
