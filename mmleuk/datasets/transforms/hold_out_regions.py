# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import shapely
from mmcv.transforms import BaseTransform

from mmleuk.registry import TRANSFORMS
from mmleuk.structures import is_held_out


@TRANSFORMS.register_module()
class HoldOutRegions(BaseTransform):
    """Hide the annotated regions of some fields from the loss.

    A held-out field enters training as wholly un-annotated, so that the
    teacher's detections on it are like those on other un-annotated area and
    can be calibrated against its hidden labels. Fully annotated fields stay
    as they are. Place it directly behind ``LoadLLDAnnotations``.

    Required Keys:

    - img_path, img_shape
    - gt_bboxes (RegionBoxes[torch.float32])
    - gt_bboxes_labels (np.int64)
    - gt_ignore_flags (bool)

    Modified Keys: the last three. Added: held_out (bool).

    Args:
        share (float): Expected share of fields to hold out, in [0, 1].
        seed (int): Seed of the choice of fields.
    """

    def __init__(self, share: float, seed: int = 0) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f'got share={share}, expected it in [0, 1]')
        self.share = share
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Hide the labels of one field if it is held out."""
        boxes = results['gt_bboxes']
        results['held_out'] = boxes.unannotated is not None and is_held_out(
            results['img_path'], self.share, self.seed
        )
        if results['held_out']:
            nothing = np.zeros(boxes.shape[0], dtype=bool)
            results['gt_bboxes'] = boxes[nothing]
            height, width = results['img_shape'][:2]
            results['gt_bboxes'].unannotated = shapely.box(0, 0, width, height)
            for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
                results[key] = results[key][nothing]
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(share={self.share}, seed={self.seed})'
        )
