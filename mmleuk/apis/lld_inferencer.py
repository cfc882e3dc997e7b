# Copyright (c) mmleuk authors. All rights reserved.
import copy
import logging
import os.path as osp
import re
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import groupby, islice
from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
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

# Errors of decoding an image, in OpenCV, mmcv and on opening.
_DECODING_ERRORS = (cv2.error, AssertionError, OSError, UnreadableImageError)
# Suffix of MMEngine's runner to the name of an experiment.
_TIMESTAMP = re.compile(r'_\d{8}_\d{6}$')


@dataclass(frozen=True)
class _Settings:
    """Arguments of a call that affect the detections."""

    batch_size: int
    score_thr: float
    cell_iou_thr: Optional[float]
    tile: Optional[Tiling]

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


# A field, its detections and its sharpness, both None if it can't be read.
_Result = Tuple[_Field, Optional[Detections], Optional[float]]


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
        records = list(
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
    ) -> Iterator[ImagePrediction]:
        """Predict image by image; memory does not grow with their number.

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

        Yields:
            ImagePrediction: One an image, in the order of the inputs. With
            ``return_vis`` a pair of it and its RGB drawing, None where there
            is none.

        Raises:
            FileNotFoundError: If a single path does not exist.
            ImportError: If the reader of large images is not installed.
            UnreadableImageError: If ``strict`` and an image can't be read.
            ValueError: If an argument is out of range, or the model predicts
                a label without a name.
        """
        if (return_vis or show_dir) and self.visualizer is None:
            raise ValueError(
                'the config has no `visualizer`, expected one to draw with'
            )
        if isinstance(tile, int):
            tile = Tiling(tile)
        settings = _Settings(batch_size, score_thr, cell_iou_thr, tile)
        images, root = list_images(inputs, recursive, tile is not None)
        if tile is None and any(
            isinstance(item.source, WindowReader) for item in images
        ):
            raise ValueError(
                'got a WindowReader without `tile`, expected the size of the '
                'windows to read'
            )
        with ExitStack() as stack:
            files = None
            if out_dir:
                header = self._make_header(root, settings)
                files = stack.enter_context(ResultFiles(out_dir, header))
            progress = stack.enter_context(
                Progress(disable=not self.show_progress)
            )
            task = progress.add_task('Images', total=len(images))
            fields = (self._open(item, tile) for item in images)
            for field, found, focus in self._detect(
                fields, settings, progress
            ):
                if strict and field.error is not None:
                    raise UnreadableImageError(
                        f'{field.item.file}: {field.error}'
                    )
                record = ImagePrediction(
                    file=field.item.file,
                    width=field.reader.width if field.reader else 0,
                    height=field.reader.height if field.reader else 0,
                    cells=() if found is None else self.recorder.record(found),
                    focus=focus,
                    error=field.error,
                    **field.item.describe(patient_from_folder),
                )
                drawing = None
                if return_vis or show_dir:
                    drawing = self._draw(field, record, score_thr, show_dir)
                if files is not None:
                    files.write(record)
                progress.advance(task)
                yield (record, drawing) if return_vis else record

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
            calibration=calibration and calibration.to_dict(),
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
        fields: Iterable[_Field],
        settings: _Settings,
        progress: Progress,
    ) -> Iterator[_Result]:
        """Detect cells in batches of whole images or of tiles of one."""

        def is_tiled(field: _Field) -> bool:
            return field.error is None and field.loaded is None

        for tiled, group in groupby(fields, is_tiled):
            if tiled:
                for field in group:
                    yield self._detect_tiled(field, settings, progress)
            while batch := list(islice(group, settings.batch_size)):
                yield from self._detect_whole(batch, settings)

    def _detect_whole(
        self, batch: Sequence[_Field], settings: _Settings
    ) -> Iterator[_Result]:
        """Detect cells in whole images, some of which can't be read."""
        readable = [field for field in batch if field.error is None]
        found = self._predict([field.loaded for field in readable], settings)
        for field in batch:
            if field.error is not None:
                yield field, None, None
            else:
                yield field, found.pop(0), measure_sharpness(field.image)

    def _detect_tiled(
        self, field: _Field, settings: _Settings, progress: Progress
    ) -> _Result:
        """Detect cells in an image that is cut into tiles."""
        reader, tile = field.reader, settings.tile
        size = reader.width, reader.height
        task = progress.add_task(field.item.file, total=tile.count(*size))
        tiles = tile.tiles(*size)
        parts: List[Tuple[Tile, Detections]] = []
        sharpness: Dict[bool, List[float]] = {True: [], False: []}
        try:
            while group := list(islice(tiles, settings.batch_size)):
                windows = [reader.read(*part.window) for part in group]
                found = self._predict(
                    [self.load(window) for window in windows], settings
                )
                for part, window, cells in zip(group, windows, found):
                    has_cells = len(cells) > 0
                    sharpness[has_cells].append(measure_sharpness(window))
                    if has_cells or not parts:
                        parts.append((part, cells))
                progress.advance(task, len(group))
        except UnreadableImageError as error:
            field.error = _explain(error)
            return field, None, None
        finally:
            progress.remove_task(task)
            if isinstance(field.item.source, str):
                reader.close()
        merged, num_cut = merge_tiles(parts, tile)
        if num_cut:
            print_log(
                f'{field.item.file}: {num_cut} cells are cut by borders of '
                'tiles and whole in none; take an overlap larger than the '
                f'largest cell (now {tile.overlap} px)',
                logger='current',
                level=logging.WARNING,
            )
        # Empty tiles, such as between films, are never sharp.
        focus = np.median(sharpness[True] or sharpness[False])
        return field, merged, float(focus)

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
        field: _Field,
        record: ImagePrediction,
        score_thr: float,
        show_dir: Union[str, Path],
    ) -> Optional[np.ndarray]:
        """Draw an image in RGB; None if it was not read as a whole."""
        if record.error is not None:
            return None
        if field.image is None or record.width * record.height > MAX_PIXELS:
            print_log(
                f'{record.file} is too large to be drawn as a whole',
                logger='current',
                level=logging.WARNING,
            )
            return None
        instances = to_instances(
            record.cells, self.recorder.types, self.recorder.schema
        )
        out_file = None
        if show_dir:
            # The ending is added: a.png and a.tif are two images.
            out_file = osp.join(show_dir, f'{record.file}.jpg')
        self.visualizer.add_datasample(
            record.file,
            field.image[..., ::-1],
            DetDataSample(pred_instances=instances),
            draw_gt=False,
            # The visualizer draws scores above the threshold, records
            # include those equal to it.
            pred_score_thr=float(np.nextafter(score_thr, -1)),
            out_file=out_file,
        )
        return self.visualizer.get_image()


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
