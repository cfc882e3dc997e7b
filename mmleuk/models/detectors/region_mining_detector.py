# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import Optional

from mmdet.models.detectors import BaseDetector, SemiBaseDetector
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor

from mmleuk.registry import MODELS


@MODELS.register_module()
class RegionMiningDetector(SemiBaseDetector):
    """A student that learns from labels and from what its teacher mines.

    Unlike the semi-supervised detectors of MMDetection this one takes the
    batches of any detector: each image may be annotated as a whole, in part
    or not at all, and one loss learns from labelled and mined cells alike.
    The teacher does not run in a training step: :class:`RegionMiningHook`
    runs it over all fields, un-augmented, on a schedule, and fills the
    miner's bank. The step maps these detections into the student's view. Any
    detector of MMDetection fits, with its losses and attributes.

    The teacher is the moving average of the student's weights and buffers
    (``MeanTeacherHook`` with ``skip_buffer=False``) and always in evaluation
    mode.

    Args:
        detector (dict): Config of the detector.
        miner (dict): Config of the :class:`RegionMiner`.
        semi_test_cfg (dict, optional): ``predict_on``: 'teacher' (default) or
            'student'.
        data_preprocessor (dict, optional): Config of the preprocessor of
            both.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    def __init__(
        self,
        detector: ConfigType,
        miner: ConfigType,
        semi_test_cfg: Optional[dict] = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            # MMDetection builds student and teacher from one config, into
            # which its DETRs write what a second one refuses.
            detector=dict(type=_build_from_copy, cfg=detector),
            semi_train_cfg=dict(freeze_teacher=True),
            semi_test_cfg=semi_test_cfg or dict(predict_on='teacher'),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.miner = MODELS.build(miner)

    def train(self, mode: bool = True) -> 'RegionMiningDetector':
        """Set the mode of the student; the teacher always evaluates."""
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> dict:
        """Compute the student's losses.

        Args:
            batch_inputs (Tensor): Images, shape (N, C, H, W).
            batch_data_samples (list[:obj:`DetDataSample`]): Their samples.

        Returns:
            dict[str, Tensor]: The losses of the detector.
        """
        return self.student.loss(
            batch_inputs, self.miner.label(batch_data_samples)
        )


def _build_from_copy(cfg: ConfigType) -> BaseDetector:
    """Build a detector and leave its config as it is."""
    return MODELS.build(copy.deepcopy(cfg))
