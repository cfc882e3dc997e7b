# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterable, Optional

import torch
from mmdet.structures import SampleList
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, DataLoader, Subset

from mmleuk.engine.dataset_wrappers import iter_data_infos, unwrap_dataset
from mmleuk.engine.epochs import require_epochs
from mmleuk.models.detectors import RegionMiningDetector
from mmleuk.models.mining.oriented_views import (
    ORIENTATIONS,
    predict_in_orientations,
)
from mmleuk.registry import HOOKS
from mmleuk.structures import is_held_out


@HOOKS.register_module()
class RegionMiningHook(Hook):
    """Run the mining passes of a training, on a schedule.

    Before some epochs the teacher of a :class:`RegionMiningDetector` detects
    cells in every field of this hook's dataloader, un-augmented. Then the
    miner's calibrators are fitted and every process of a distributed run gets
    the same bank. With a pass every third epoch this adds about a tenth to
    the time of training.

    Args:
        dataloader (dict): Config of the dataloader: the training fields in a
            test pipeline whose meta keys have 'instances' and
            'annotated_regions'.
        begin (int): First epoch (or iteration) with a pass before it, from 0.
        interval (int): Epochs (or iterations) between two passes.
        release (int, optional): First epoch (or iteration) in which the
            held-out labels are part of the loss. Before it the calibrators
            are fitted for the last time; if that is before ``begin``, by a
            pass over the held-out fields alone, which mines nothing. None:
            never.
        by_epoch (bool): Whether these are epochs.
        num_orientations (int): Views of each field in a pass, turned or
            mirrored, 1 to 8. Their mean has better boxes and types, at that
            many times the cost.
    """

    def __init__(
        self,
        dataloader: dict,
        begin: int,
        interval: int = 1,
        release: Optional[int] = None,
        by_epoch: bool = True,
        num_orientations: int = 1,
    ) -> None:
        if begin < 0 or interval < 1:
            raise ValueError(
                f'got begin={begin} and interval={interval}, expected '
                'begin >= 0 and interval >= 1'
            )
        if not 1 <= num_orientations <= len(ORIENTATIONS):
            raise ValueError(
                f'got num_orientations={num_orientations}, expected 1 to '
                f'{len(ORIENTATIONS)}'
            )
        self.dataloader_cfg = dataloader
        self.begin = begin
        self.interval = interval
        self.release = release
        self.by_epoch = by_epoch
        self.num_orientations = num_orientations
        self._dataloader: Optional[DataLoader] = None

    def before_train(self, runner: Runner) -> None:
        """Build the dataloader, and check that all it needs is there."""
        if self.by_epoch:
            require_epochs(runner, f'{type(self).__name__}.begin')
        self._dataloader = runner.build_dataloader(
            self.dataloader_cfg, seed=runner.seed
        )
        self._check_fields(runner)

    def _check_fields(self, runner: Runner) -> None:
        """Raise an error if a pass would miss fields of the training."""
        found = {
            info['img_path']
            for info in iter_data_infos(self._dataloader.dataset)
        }
        missing = [
            info['img_path']
            for info in iter_data_infos(runner.train_dataloader.dataset)
            if info.get('annotated_regions') is not None
            and info['img_path'] not in found
        ]
        if missing:
            raise ValueError(
                f'{len(missing)} training fields with un-annotated area are '
                f'not among those that {type(self).__name__} mines, such as '
                f'{missing[0]}: nothing would be mined on them. Give its '
                '`dataloader.dataset` the data of `train_dataloader.dataset`, '
                'all settings but `pipeline`'
            )

    def is_due(self, now: int) -> bool:
        """Whether there is a pass before epoch (or iteration) ``now``."""
        if now == self.release:
            return True
        return now >= self.begin and (now - self.begin) % self.interval == 0

    def before_train_epoch(self, runner: Runner) -> None:
        """Mine before an epoch that is due."""
        if self.by_epoch and self.is_due(runner.epoch):
            self.mine(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Mine before an iteration that is due."""
        if not self.by_epoch and self.is_due(runner.iter):
            self.mine(runner)

    @torch.no_grad()
    def mine(self, runner: Runner) -> None:
        """Run the teacher over the fields and fit the calibrators."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        hold_out = model.miner.hold_out
        now = runner.epoch if self.by_epoch else runner.iter
        if self.release is not None and now > self.release:
            hold_out = None
        dataloader = self._dataloader
        calibrate_only = now < self.begin
        if calibrate_only:
            if hold_out is None:
                return
            dataloader = self._held_out_fields(runner, hold_out)
        for data_batch in dataloader:
            data = model.data_preprocessor(data_batch, training=False)
            data_samples = self.detect(model, data)
            for data_sample in data_samples:
                model.miner.store(
                    data_sample,
                    hold_out is not None
                    and is_held_out(data_sample.img_path, **hold_out),
                )
        model.miner.bank.gather()
        if calibrate_only and not len(model.miner.bank):
            runner.logger.warning(
                f'no field that is annotated in part is held out by {hold_out}'
                ', expected one or more, to calibrate the teacher: its scores '
                "count as probabilities. Raise the share of 'hold_out' or "
                'change its seed'
            )
            return
        summary = model.miner.calibrate()
        if calibrate_only:
            model.miner.bank.clear()
        elif summary['mined'] == 0:
            runner.logger.warning(
                'nothing is mined: no detection on un-annotated area is '
                'confident enough, so that the model learns from labels '
                'alone. The teacher is bad, or was when it was calibrated, or '
                'it was calibrated on too few labels: see docs/mining.md'
            )
        runner.logger.info(
            ('Calibrated: ' if calibrate_only else 'Mined: ')
            + ', '.join(
                f'{name} {value:.4g}' for name, value in summary.items()
            )
        )
        for name, value in summary.items():
            runner.message_hub.update_scalar(f'mining/{name}', value)

    def _held_out_fields(
        self, runner: Runner, hold_out: dict
    ) -> Iterable[dict]:
        """Load batches of the held-out fields."""
        parts = []
        for dataset in unwrap_dataset(self._dataloader.dataset):
            indices = [
                index
                for index in range(len(dataset))
                if is_held_out(
                    dataset.get_data_info(index)['img_path'], **hold_out
                )
            ]
            parts.append(Subset(dataset, indices))
        held_out = ConcatDataset(parts)
        if not len(held_out):
            return []
        return runner.build_dataloader(
            dict(self.dataloader_cfg, dataset=held_out), seed=runner.seed
        )

    def detect(self, model: RegionMiningDetector, data: dict) -> SampleList:
        """Let the teacher detect cells in a batch.

        Args:
            model (RegionMiningDetector): The model.
            data (dict): Preprocessed ``inputs`` and ``data_samples``.

        Returns:
            list[:obj:`DetDataSample`]: The samples with predictions in pixels
            of the stored images.
        """
        inputs, data_samples = data['inputs'], data['data_samples']
        if self.num_orientations == 1:
            return model.teacher.predict(inputs, data_samples, rescale=True)
        return predict_in_orientations(
            model.teacher,
            inputs,
            data_samples,
            self.num_orientations,
            model.miner.schema.sizes,
        )
