# Copyright (c) mmleuk authors. All rights reserved.
import copy
import logging
import os.path as osp
import re
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import cv2
import mmdet
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.datasets.transforms import InferencerLoader
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer.infer import ModelType
from mmengine.logging import print_log
from mmengine.registry import MODELS
from mmengine.visualization import Visualizer
from rich.progress import Progress
from torch import nn

from mmleuk.engine.checkpoint_metadata import read_calibration
from mmleuk.engine.hooks.type_profile_hook import PROFILE_KEY
from mmleuk.engine.unsqueeze import apply_unsqueeze
from mmleuk.registry import INFERENCERS
from mmleuk.structures import ImagePrediction, PredictionHeader, TypeProfile
from mmleuk.version import __version__

from .cell_records import CellRecorder, to_instances
from .detections import Detections
from .file_integrity import is_cut_short
from .image_inputs import ImageInput, Source, list_images
from .inference_config import (
    keep_inference_keys,
    loads_annotations,
    name_dataset,
    unwrap_dataset,
)
from .model_schema import find_schema, trained_attributes
from .result_files import ResultFiles
from .safe_checkpoint import (
    check_names,
    hash_file,
    read_checkpoint,
    read_config,
)
from .sharpness import measure_sharpness
from .tiling import Tile, Tiling, merge_tiles
from .window_readers import (
    MAX_PIXELS,
    ArrayReader,
    UnreadableImageError,
    WindowReader,
    open_large,
)
from .work_share import WorkShare

# Errors of decoding an image, in OpenCV, mmcv and on opening.
_DECODING_ERRORS = (cv2.error, AssertionError, OSError, UnreadableImageError)
# Suffix of MMEngine's runner to the name of an experiment.
_TIMESTAMP = re.compile(r'_\d{8}_\d{6}$')
_Item = TypeVar('_Item')


@dataclass(frozen=True)
class _Settings:
    """Arguments of a call that affect the detections."""

    batch_size: int
    score_thr: float
    cell_iou_thr: Optional[float]
    tile: Optional[Tiling]
    patient_from_folder: bool

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(
                f'batch_size is {self.batch_size}, expected 1 or more'
            )
        for name in ('score_thr', 'cell_iou_thr'):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}, expected it in [0, 1]')


@dataclass
class _Field:
    """An image that was opened, or why it can't be."""

    item: ImageInput
    reader: Optional[WindowReader] = None
    # BGR, shape (h, w, 3). None if it is read in parts.
    image: Optional[np.ndarray] = None
    # Results of the transforms that load it. None if it is cut into tiles.
    loaded: Optional[dict] = None
    error: Optional[str] = None


@dataclass
class _Result:
    """What is known of an image after detection."""

    # None if its tiles are yet to be shared out.
    record: Optional[ImagePrediction] = None
    # Cells that are cut by a border in all tiles.
    num_cut: int = 0
    # BGR, shape (h, w, 3). None if it isn't at hand; other processes get None.
    image: Optional[np.ndarray] = None

    def __reduce__(self) -> tuple:
        return _Result, (self.record, self.num_cut)


@dataclass
class _TileResults:
    """What one process found in its share of the tiles of an image."""

    # Number of the batch, tile and detections. Tiles without detections are
    # left out, but for the first.
    found: List[Tuple[int, Tile, Detections]]
    # Sharpness of tiles by whether they have detections.
    sharpness: Dict[bool, List[float]]
    # Number of the first batch that can't be read, and why.
    error: Optional[Tuple[int, str]] = None


@INFERENCERS.register_module()
class LLDInferencer(DetInferencer):
    """Detect cells in images with their types and attributes.

    The model is built from a checkpoint alone, or from a config and a
    checkpoint::

        inferencer = LLDInferencer(weights='epoch_20.pth')
        for field in inferencer.stream('fields/', out_dir='outputs'):
            print(field.file, [(c.type, c.confidence) for c in field.cells])

    A config file is Python code that is executed. A checkpoint is data:
    neither it nor the config in it is executed, see
    :mod:`mmleuk.apis.safe_checkpoint`.

    Images go through the test pipeline of the config, without the transforms
    that load annotations, so that the predictions equal those of
    ``tools/test.py``. Only a checkpoint with a calibration gives confidences,
    and only one with a type profile gives evidence.

    Args:
        model (str | Config | dict, optional): Config or its path. None: the
            one in the checkpoint.
        weights (str | Path): Path of the checkpoint, a local file.
        device (str, optional): Such as ``'cuda:0'`` or ``'cpu'``. None: the
            best available.
        scope (str): Default scope of the registries.
        palette (str): Colours of the drawings, as in mmdet. 'none': those of
            the data.
        show_progress (bool): Whether to show a progress bar.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        ValueError: If the checkpoint is unsafe, broken, or of another model
            than the config.
    """

    def __init__(
        self,
        model: Optional[Union[ModelType, str, Path]] = None,
        *args,
        **kwargs,
    ) -> None:
        self._config_name = None
        if isinstance(model, (str, Path)):
            self._config_name, model = osp.basename(model), str(model)
        super().__init__(model, *args, **kwargs)

    def _init_model(
        self,
        cfg: Union[Config, ConfigDict],
        weights: Optional[Union[str, Path]],
        device: str = 'cpu',
    ) -> nn.Module:
        """Build the model; an empty config is filled from the checkpoint."""
        if weights is None:
            raise ValueError(
                'got no weights, expected the path of a checkpoint: an '
                'untrained model detects nothing'
            )
        checkpoint = read_checkpoint(weights)
        meta = checkpoint.get('meta', {})
        if cfg:
            self._dataset_name = name_dataset(cfg)
        else:
            whole = read_config(checkpoint, str(weights))
            self._dataset_name = name_dataset(whole)
            self._config_name = (
                _TIMESTAMP.sub('', str(meta.get('experiment_name', '')))
                or None
            )
            cfg.update(keep_inference_keys(whole, str(weights)))
            check_names(cfg, str(weights))
        if 'data_preprocessor' in cfg:
            cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
        cfg.model.pop('pretrained', None)
        model = MODELS.build(cfg.model)
        model.cfg = cfg
        try:
            self._load_weights_to_model(model, checkpoint, cfg)
            self._init_recorder(model, meta)
        except ValueError as error:
            raise ValueError(f'{weights}: {error}') from error
        self._weights_name = osp.basename(weights)
        self._weights_hash = hash_file(weights)
        return model.to(device).eval()

    def _load_weights_to_model(
        self,
        model: nn.Module,
        checkpoint: Optional[dict],
        cfg: Optional[Union[Config, ConfigDict]],
    ) -> None:
        """Load weights and names of types; weights that don't fit raise."""
        state = {
            re.sub(r'^module\.', '', key): value
            for key, value in checkpoint['state_dict'].items()
        }
        try:
            missing, unexpected = model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise ValueError(
                f'its weights are of another model: {error}'
            ) from error
        missing = [k for k in missing if 'num_batches_tracked' not in k]
        if missing or unexpected:
            raise ValueError(
                f'it lacks {len(missing)} weights of the config '
                f'{missing[:3]} and has {len(unexpected)} that the config '
                f'does not use {list(unexpected)[:3]}, expected those of the '
                'same model. Give the config that it was trained with'
            )
        meta = checkpoint.get('meta', {}).get('dataset_meta')
        if meta is None:
            # Only a config of the user's still has a dataset.
            dataset = cfg.test_dataloader.dataset
            if 'type' not in dataset:
                raise ValueError(
                    'it has no names of cell types, expected them under '
                    'meta.dataset_meta. Give the config file, too'
                )
            meta = DATASETS.build(dict(dataset, lazy_init=True)).metainfo
        meta = {key.lower(): value for key, value in meta.items()}
        if self.palette != 'none':
            meta['palette'] = self.palette
        model.dataset_meta = meta

    def _init_recorder(self, model: nn.Module, meta: dict) -> None:
        """Build the recorder of the model's types and attributes."""
        schema = find_schema(model)
        calibration, profile = read_calibration(meta), meta.get(PROFILE_KEY)
        if profile is not None:
            profile = TypeProfile.from_dict(profile)
        schema, self._columns = trained_attributes(schema, profile)
        types = model.dataset_meta['classes']
        self.recorder = CellRecorder(types, schema, calibration, profile)

    def _init_pipeline(self, cfg: Union[Config, ConfigDict]) -> Compose:
        """Split the test pipeline into ``self.load`` and ``self.prepare``."""
        apply_unsqueeze(cfg)
        pipeline = [
            step
            for step in unwrap_dataset(cfg.test_dataloader.dataset).pipeline
            if not loads_annotations(step['type'])
        ]
        part = dict(test_dataloader=dict(dataset=dict(pipeline=pipeline)))
        whole = super()._init_pipeline(ConfigDict(copy.deepcopy(part)))
        (index,) = (
            i
            for i, step in enumerate(whole.transforms)
            if isinstance(step, InferencerLoader)
        )
        self.load = Compose(whole.transforms[: index + 1])
        self.prepare = Compose(whole.transforms[index + 1 :])
        return whole

    def _init_visualizer(
        self, cfg: Union[Config, ConfigDict]
    ) -> Optional[Visualizer]:
        """Build the config's visualizer, without places to log to."""
        if cfg.get('visualizer') is None:
            return None
        cfg = copy.deepcopy(cfg)
        cfg.visualizer.vis_backends = None
        visualizer = super()._init_visualizer(cfg)
        schema = self.recorder.schema
        visualizer.dataset_meta = dict(
            self.model.dataset_meta,
            attributes=[] if schema is None else schema.to_list(),
        )
        return visualizer

    def _init_collate(self, cfg: Union[Config, ConfigDict]) -> Callable:
        """Take the config's collate function, without a warning if none."""
        if 'collate_fn' not in cfg.test_dataloader:
            return pseudo_collate
        return super()._init_collate(cfg)

    def __call__(
        self,
        inputs: Union[Source, Sequence[Source]],
        batch_size: int = 1,
        return_vis: bool = False,
        **kwargs,
    ) -> Dict[str, list]:
        """Predict, and keep all predictions in memory.

        Args:
            inputs (str | np.ndarray | WindowReader | Sequence): See
                :meth:`stream`, which holds only one batch.
            batch_size (int): Images or tiles at once.
            return_vis (bool): Whether to return drawings, too.
            **kwargs: Other arguments of :meth:`stream`.

        Returns:
            dict[str, list]: ``predictions`` (list[ImagePrediction]) and
            ``visualization`` (list[np.ndarray | None]): RGB drawings, None
            for an image that was not read or is read in parts; empty without
            ``return_vis``.
        """
        records: List[Any] = list(
            self.stream(inputs, batch_size, return_vis=return_vis, **kwargs)
        )
        drawings = []
        if return_vis:
            drawings = [drawing for _, drawing in records]
            records = [record for record, _ in records]
        return dict(predictions=records, visualization=drawings)

    def stream(
        self,
        inputs: Union[Source, Sequence[Source]],
        batch_size: int = 1,
        score_thr: float = 0.3,
        cell_iou_thr: Optional[float] = None,
        out_dir: Union[str, Path] = '',
        show_dir: Union[str, Path] = '',
        recursive: bool = False,
        tile: Optional[Union[int, Tiling]] = None,
        patient_from_folder: bool = False,
        strict: bool = False,
        return_vis: bool = False,
        distributed: bool = False,
    ) -> Iterator[
        Union[ImagePrediction, Tuple[ImagePrediction, Optional[np.ndarray]]]
    ]:
        """Predict image by image; memory does not grow with their number.

        In a distributed run each process predicts some of the images, and of
        an image with many tiles some of the tiles. The results are those of
        one process; the main process writes and draws.

        Args:
            inputs (str | np.ndarray | WindowReader | Sequence): The path of
                an image or a folder, an image (BGR, uint8, shape (h, w, 3)),
                a reader of windows, or a list of paths and images.
            batch_size (int): Images or tiles at once.
            score_thr (float): Minimum score of a cell.
            cell_iou_thr (float, optional): Boxes of this IoU or more are one
                cell, whatever their types, and only the one of the highest
                score stays, so that a cell with boxes of two types counts
                once. None: all boxes stay, as in ``tools/test.py``.
            out_dir (str | Path): Folder for :class:`ResultFiles`. They are
                complete after the last image. '': none are written.
            show_dir (str | Path): Folder for drawings, one an image, named
                by the image's relative path with ``.jpg`` added. '': none.
            recursive (bool): Whether to search folders in a folder.
            tile (int | Tiling, optional): Side in pixels of the tiles into
                which larger images are cut, or all settings of tiling. None:
                images are predicted as a whole.
            patient_from_folder (bool): Whether the folder of an image names
                the patient where the file name doesn't.
            strict (bool): Whether to stop at an image that can't be read. If
                not, its record says why, and the next image follows.
            return_vis (bool): Whether to yield drawings, too.
            distributed (bool): Whether all processes of torch's process group
                share the images out. Each of them has to call this with the
                same arguments, and to iterate.

        Yields:
            ImagePrediction: One an image, in the order of the inputs, in each
            process. With ``return_vis`` a pair of it and its RGB drawing,
            None where there is none, and in other processes than the main
            one.

        Raises:
            FileNotFoundError: If a single path does not exist.
            ImportError: If the reader of large images is not installed.
            UnreadableImageError: If ``strict`` and an image can't be read.
            ValueError: If an argument is out of range, the model predicts a
                label without a name, or processes have other images or
                weights than the main one.
        """
        if (return_vis or show_dir) and self.visualizer is None:
            raise ValueError(
                'the config has no `visualizer`, expected one to draw with'
            )
        if isinstance(tile, int):
            tile = Tiling(tile)
        settings = _Settings(
            batch_size, score_thr, cell_iou_thr, tile, patient_from_folder
        )
        share = WorkShare.of_group() if distributed else WorkShare()
        images, root = list_images(inputs, recursive, tile is not None)
        if tile is None and any(
            isinstance(item.source, WindowReader) for item in images
        ):
            raise ValueError(
                'got a WindowReader without `tile`, expected the size of the '
                'windows to read'
            )
        self._check_share(share, images)
        with ExitStack() as stack:
            files = None
            if out_dir and share.is_main:
                header = self._make_header(root, settings)
                files = stack.enter_context(ResultFiles(out_dir, header))
            progress = stack.enter_context(
                Progress(disable=not (self.show_progress and share.is_main))
            )
            task = progress.add_task('Images', total=len(images))
            results = self._detect(images, settings, share, progress)
            for item, result in zip(images, results):
                record = result.record
                if strict and record.error is not None:
                    raise UnreadableImageError(
                        f'{record.file}: {record.error}'
                    )
                if result.num_cut:
                    print_log(
                        f'{record.file}: {result.num_cut} cells are cut by '
                        'borders of tiles and whole in none; take an overlap '
                        'larger than the largest cell (now '
                        f'{tile.overlap} px)',
                        logger='current',
                        level=logging.WARNING,
                    )
                drawing = None
                if (return_vis or show_dir) and share.is_main:
                    drawing = self._draw(item, result, score_thr, show_dir)
                if files is not None:
                    files.write(record)
                progress.advance(task)
                yield (record, drawing) if return_vis else record

    def _check_share(
        self, share: WorkShare, images: Sequence[ImageInput]
    ) -> None:
        """Raise an error unless all processes have equal inputs."""
        names = [item.file for item in images]
        parts = share.run(lambda: (names, self._weights_hash))
        for rank, (other_names, weights_hash) in enumerate(parts):
            if other_names != parts[0][0]:
                raise ValueError(
                    f'process {rank} lists {len(other_names)} images and '
                    f'process 0 {len(parts[0][0])}, or others; expected the '
                    'same. Put them where all machines see them, and let none '
                    'be added meanwhile'
                )
            if weights_hash != parts[0][1]:
                raise ValueError(
                    f'process {rank} has other weights than process 0: '
                    f'{self._weights_name} with the SHA-256 {weights_hash}, '
                    f'expected {parts[0][1]}'
                )

    def _make_header(
        self, root: Optional[str], settings: _Settings
    ) -> PredictionHeader:
        """Describe how the predictions were made."""
        calibration = self.recorder.calibration
        return PredictionHeader(
            types=self.recorder.types,
            schema=self.recorder.schema,
            model=dict(
                config=self._config_name,
                checkpoint=self._weights_name,
                sha256=self._weights_hash,
                dataset=self._dataset_name,
                score_thr=settings.score_thr,
                cell_iou_thr=settings.cell_iou_thr,
                tiling=settings.tile and asdict(settings.tile),
            ),
            software=dict(
                mmleuk=__version__,
                mmdet=mmdet.__version__,
                torch=torch.__version__,
            ),
            created=datetime.now(timezone.utc).isoformat(timespec='seconds'),
            image_root=root,
            calibration=None if calibration is None else calibration.to_dict(),
            type_profile=self.recorder.profile,
        )

    def _open(self, item: ImageInput, tile: Optional[Tiling]) -> _Field:
        """Decode an image, or open it where it is read in parts."""
        field = _Field(item)
        source = item.source
        try:
            if isinstance(source, WindowReader):
                field.reader = source
            elif isinstance(source, np.ndarray):
                field.reader = ArrayReader(_check_array(source))
                field.image = source
            else:
                field.reader = open_large(source) if tile else None
                if field.reader is None:
                    if is_cut_short(source):
                        raise UnreadableImageError('the file is cut short')
                    field.loaded = self.load(source)
                    field.image = field.loaded['img']
                    field.reader = ArrayReader(field.image)
            size = field.reader.width, field.reader.height
            if tile is not None and tile.needs_tiles(*size):
                field.loaded = None
            elif field.loaded is None:
                field.image = field.reader.read(0, 0, *size)
                field.loaded = self.load(field.image)
        except _DECODING_ERRORS as error:
            field.reader, field.error = None, _explain(error)
        return field

    def _detect(
        self,
        images: Sequence[ImageInput],
        settings: _Settings,
        share: WorkShare,
        progress: Progress,
    ) -> Iterator[_Result]:
        """Detect cells in all images; each process takes every n-th batch."""
        batches = _batched(images, settings.batch_size)
        for batch_row in _batched(batches, share.size):
            own = batch_row[share.rank : share.rank + 1]
            results = share.run(
                partial(
                    self._detect_batch,
                    list(chain(*own)),
                    settings,
                    share.size,
                    progress,
                )
            )
            for item, result in zip(chain(*batch_row), chain(*results)):
                if result.record is None:
                    result = self._detect_tiled(
                        self._open(item, settings.tile),
                        settings,
                        share,
                        progress,
                    )
                yield result

    def _detect_batch(
        self,
        images: Sequence[ImageInput],
        settings: _Settings,
        num_processes: int,
        progress: Progress,
    ) -> List[_Result]:
        """Detect cells in a batch of images, some of which can't be read.

        An image that has a batch of tiles for each process is not predicted.
        """
        results = [_Result() for _ in images]
        whole: List[Tuple[_Result, _Field]] = []
        for item, result in zip(images, results):
            field = self._open(item, settings.tile)
            if field.error is not None:
                result.record = self._make_record(field, settings)
            elif field.loaded is not None:
                whole.append((result, field))
            elif num_processes == 1 or (
                settings.tile.count(field.reader.width, field.reader.height)
                < settings.batch_size * num_processes
            ):
                tiled = self._detect_tiled(
                    field, settings, WorkShare(), progress
                )
                result.record, result.num_cut = tiled.record, tiled.num_cut
            else:
                _close(field)
        found = self._predict([field.loaded for _, field in whole], settings)
        for (result, field), cells in zip(whole, found):
            focus = measure_sharpness(field.image)
            result.record = self._make_record(field, settings, cells, focus)
            result.image = field.image
        return results

    def _make_record(
        self,
        field: _Field,
        settings: _Settings,
        found: Optional[Detections] = None,
        focus: Optional[float] = None,
    ) -> ImagePrediction:
        """Describe an image, its cells and its sharpness."""
        return ImagePrediction(
            file=field.item.file,
            width=field.reader.width if field.reader else 0,
            height=field.reader.height if field.reader else 0,
            cells=() if found is None else self.recorder.record(found),
            focus=focus,
            error=field.error,
            **field.item.describe(settings.patient_from_folder),
        )

    def _detect_tiled(
        self,
        field: _Field,
        settings: _Settings,
        share: WorkShare,
        progress: Progress,
    ) -> _Result:
        """Detect cells in an image that is cut into tiles."""
        parts = share.run(
            partial(self._detect_tiles, field, settings, share, progress)
        )
        errors = [part.error for part in parts if part.error is not None]
        if errors:
            # The one that a single process would have met.
            _, field.error = min(errors)
            return _Result(self._make_record(field, settings))
        found = sorted(
            chain(*(part.found for part in parts)), key=lambda item: item[0]
        )
        merged, num_cut = merge_tiles(
            [(tile, cells) for _, tile, cells in found], settings.tile
        )
        # Empty tiles, such as between films, are never sharp.
        sharpness = [
            list(chain(*(part.sharpness[has_cells] for part in parts)))
            for has_cells in (True, False)
        ]
        focus = float(np.median(sharpness[0] or sharpness[1]))
        return _Result(
            self._make_record(field, settings, merged, focus), num_cut
        )

    def _detect_tiles(
        self,
        field: _Field,
        settings: _Settings,
        share: WorkShare,
        progress: Progress,
    ) -> _TileResults:
        """Detect cells in every n-th batch of tiles."""
        results = _TileResults([], {True: [], False: []})
        if field.error is not None:
            # Another process could open it.
            results.error = -1, field.error
            return results
        reader, tile = field.reader, settings.tile
        size = reader.width, reader.height
        task = progress.add_task(field.item.file, total=tile.count(*size))
        batches = enumerate(_batched(tile.tiles(*size), settings.batch_size))
        try:
            for number, batch in islice(batches, share.rank, None, share.size):
                try:
                    windows = [reader.read(*part.window) for part in batch]
                except UnreadableImageError as error:
                    results.error = number, _explain(error)
                    break
                found = self._predict(
                    [self.load(window) for window in windows], settings
                )
                for part, window, cells in zip(batch, windows, found):
                    has_cells = len(cells) > 0
                    results.sharpness[has_cells].append(
                        measure_sharpness(window)
                    )
                    if has_cells or not results.found:
                        results.found.append((number, part, cells))
                progress.advance(task, len(batch) * share.size)
        finally:
            progress.remove_task(task)
            _close(field)
        return results

    def _predict(
        self, loaded: Sequence[dict], settings: _Settings
    ) -> List[Detections]:
        """Run the model on a batch of loaded images."""
        if not loaded:
            return []
        data = self.collate_fn([self.prepare(results) for results in loaded])
        found = [
            Detections.from_instances(
                sample.pred_instances, settings.score_thr, self._columns
            )
            for sample in self.forward(data)
        ]
        if settings.cell_iou_thr is None:
            return found
        return [part.suppress(settings.cell_iou_thr) for part in found]

    def _draw(
        self,
        item: ImageInput,
        result: _Result,
        score_thr: float,
        show_dir: Union[str, Path],
    ) -> Optional[np.ndarray]:
        """Draw an image in RGB; None if it is too large."""
        record, image = result.record, result.image
        if record.error is not None:
            return None
        if record.width * record.height > MAX_PIXELS:
            print_log(
                f'{record.file} is too large to be drawn as a whole',
                logger='current',
                level=logging.WARNING,
            )
            return None
        if image is None:
            field = self._open(item, None)
            if field.error is not None:
                raise UnreadableImageError(
                    f'{record.file} can not be drawn: {field.error}'
                )
            image = field.image
        instances = to_instances(
            record.cells, self.recorder.types, self.recorder.schema
        )
        out_file = None
        if show_dir:
            # The ending is added: a.png and a.tif are two images.
            out_file = osp.join(show_dir, f'{record.file}.jpg')
        self.visualizer.add_datasample(
            record.file,
            image[..., ::-1],
            DetDataSample(pred_instances=instances),
            draw_gt=False,
            # The visualizer draws scores above the threshold, records
            # include those equal to it.
            pred_score_thr=float(np.nextafter(score_thr, -1)),
            out_file=out_file,
        )
        return self.visualizer.get_image()


def _batched(items: Iterable[_Item], size: int) -> Iterator[List[_Item]]:
    """Cut a sequence into lists of this length; the last may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _close(field: _Field) -> None:
    """Close a file that is read in parts; a caller's reader stays open."""
    if isinstance(field.item.source, str):
        field.reader.close()


def _check_array(image: np.ndarray) -> np.ndarray:
    """Refuse an array that is no BGR image."""
    is_image = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not is_image or image.dtype != np.uint8:
        raise UnreadableImageError(
            f'it is an array of {image.dtype} and shape {image.shape}, '
            'expected a BGR image of uint8 and shape (height, width, 3)'
        )
    return image


def _explain(error: Exception) -> str:
    """Say in one line why an image can't be read."""
    if isinstance(error, AssertionError):
        return 'OpenCV can not decode the file'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = ' '.join(str(error).split())
    if isinstance(error, cv2.error):
        text = f'OpenCV can not decode the file ({text})'
    return text
