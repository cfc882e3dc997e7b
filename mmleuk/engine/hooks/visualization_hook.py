# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
from typing import Any, Optional, Sequence

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmleuk.engine.dataset_wrappers import unwrap_dataset
from mmleuk.registry import HOOKS
from mmleuk.visualization.picture_names import PictureNames, common_folder


@HOOKS.register_module()
class LLDVisualizationHook(DetVisualizationHook):
    """Draw validation and test images, each under its own name.

    MMDetection names a picture by the image's base name, so that images of
    several folders overwrite each other, and uses one name for all in the
    backends. Here the name is the image's path below the deepest folder that
    contains all images of the dataset: ``<out>/<folders>/<name>.png`` on
    disk, ``val_<folders>+<name>`` in TensorBoard and other backends. There
    the pictures of an image from all validations form one series.

    Every validation draws the same images.

    Pictures that the test writes to ``test_out_dir`` are also passed to
    backends that write no files, if the visualizer is
    :class:`mmleuk.LLDLocalVisualizer`. In a distributed run the images of the
    first process are drawn, as in MMDetection.

    Args:
        test_interval (int): The test draws every ``test_interval``-th image.
        **kwargs: Arguments of ``DetVisualizationHook``. A validation draws
            every ``interval``-th image; a relative ``test_out_dir`` is in the
            run's folder of the work directory.

    Raises:
        ValueError: If an interval is less than 1.
    """

    def __init__(self, test_interval: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test_interval = test_interval
        for name in ('interval', 'test_interval'):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(
                    f'{name} is {value}, expected a number of images >= 1'
                )
        self._names = PictureNames()
        self._index = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Prepare the names of the validation's pictures."""
        self._begin(runner.val_dataloader.dataset)

    def before_test_epoch(self, runner: Runner) -> None:
        """Prepare the names of the test's pictures."""
        self._begin(runner.test_dataloader.dataset)

    def _begin(self, dataset: Dataset) -> None:
        """Start over with the images of a dataset."""
        if self.draw:
            paths = (
                part.get_data_info(index)['img_path']
                for part in unwrap_dataset(dataset)
                if hasattr(part, 'get_data_info')
                for index in range(len(part))
            )
            self._index = 0
            self._names = PictureNames(common_folder(paths))

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        """Draw images of a validation batch, as in MMDetection."""
        if self.draw:
            self._draw(outputs, 'val', self.interval, runner.iter)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        """Draw images of a test batch, as in MMDetection."""
        if not self.draw:
            return
        folder = self.test_out_dir
        if folder is not None:
            folder = osp.join(
                osp.abspath(runner.work_dir), runner.timestamp, folder
            )
        self._draw(outputs, 'test', self.test_interval, 0, folder)

    def _draw(
        self,
        outputs: Sequence[DetDataSample],
        prefix: str,
        interval: int,
        step: int,
        folder: Optional[str] = None,
    ) -> None:
        """Draw every ``interval``-th image, into a folder if given."""
        for data_sample in outputs:
            index, self._index = self._index, self._index + 1
            if index % interval:
                continue
            if 'img_path' not in data_sample:
                raise KeyError(
                    f'a sample of the {prefix} dataloader has the meta keys '
                    f'{sorted(data_sample.metainfo_keys())}, expected '
                    '"img_path" among them, to draw its image. Add it to '
                    'meta_keys of the transform that packs it'
                )
            path = data_sample.img_path
            image = mmcv.imfrombytes(
                get(path, backend_args=self.backend_args), channel_order='rgb'
            )
            # Without '/', which a backend of files takes for a folder.
            key = self._names.key(path)
            self._visualizer.add_datasample(
                key if self.show else f'{prefix}_{key}',
                image,
                data_sample=data_sample,
                show=self.show,
                wait_time=self.wait_time,
                pred_score_thr=self.score_thr,
                out_file=folder and self._names.file(folder, path),
                step=step,
            )
