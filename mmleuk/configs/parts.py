# Copyright (c) mmleuk authors. All rights reserved.
"""Find and change parts of a base config by what they are, not by index."""

import copy
from typing import List, Tuple, Union

from mmengine.config import ConfigDict

# Transforms of which a pipeline has one, which gives images their size.
RESIZES = ('Resize', 'RandomResize')

# Epochs that a teacher averages over. On pbc_fields, with 22 steps an epoch,
# these are 20 steps: a momentum of 0.05.
TEACHER_EPOCHS = 10 / 11

# Types without their scopes.
Types = Union[str, Tuple[str, ...]]


def find(items: List[dict], types: Types) -> int:
    """Find the only item of a type, such as a transform of a pipeline.

    Args:
        items (list[dict]): Configs.
        types (str | tuple[str]): The type, or several of which one is to be
            found.

    Returns:
        int: Its index.

    Raises:
        ValueError: If there isn't exactly one.
    """
    types = (types,) if isinstance(types, str) else types
    names = [item['type'].split('.')[-1] for item in items]
    found = [index for index, name in enumerate(names) if name in types]
    if len(found) != 1:
        raise ValueError(
            f'the base has {names}, expected exactly one '
            f'{" or ".join(types)} among them'
        )
    return found[0]


def insert(
    pipeline: List[dict],
    transform: dict,
    before: Types = (),
    after: Types = (),
) -> List[dict]:
    """Copy a pipeline and insert a transform before or after another type."""
    index = find(pipeline, before) if before else find(pipeline, after) + 1
    return [*pipeline[:index], transform, *pipeline[index:]]


def resized(pipeline: list, scale: Tuple[int, int]) -> list:
    """Copy a pipeline with another scale of every resize in it.

    Args:
        pipeline (list[dict]): Configs of transforms, nested ones included.
        scale (tuple[int, int]): Greatest width and height in pixels; of a
            ``RandomResize`` before its random factor.

    Returns:
        list[dict]: The copy.
    """
    if isinstance(pipeline, list):
        return [resized(item, scale) for item in pipeline]
    if pipeline['type'] in RESIZES:
        return dict(pipeline, scale=scale)
    if 'transforms' in pipeline:
        return dict(
            pipeline, transforms=resized(pipeline['transforms'], scale)
        )
    return pipeline


def inner_datasets(dataset: ConfigDict) -> List[ConfigDict]:
    """Configs of the datasets inside of wrappers, joint ones included."""
    parts = dataset.get('datasets') or [dataset.get('dataset')]
    if parts == [None]:
        return [dataset]
    return [inner for part in parts for inner in inner_datasets(part)]


def inner_dataset(dataset: ConfigDict) -> ConfigDict:
    """Config of the first dataset inside of wrappers."""
    return inner_datasets(dataset)[0]


def with_pipeline(dataset: ConfigDict, pipeline: List[dict]) -> ConfigDict:
    """Copy the config of a dataset, wrappers kept, with another pipeline."""
    dataset = copy.deepcopy(dataset)
    for inner in inner_datasets(dataset):
        inner.pipeline = pipeline
    return dataset


def train_pipeline_of(base: ConfigDict) -> List[dict]:
    """Copy the pipeline of the training data, the same for all parts."""
    first, *others = inner_datasets(base.train_dataloader.dataset)
    for other in others:
        if other.pipeline != first.pipeline:
            raise ValueError(
                'the datasets of train_dataloader have pipelines that differ, '
                f'{first.pipeline} and {other.pipeline}, expected the same: a '
                'method changes the pipeline of all'
            )
    return copy.deepcopy(first.pipeline)


def warmups(base: ConfigDict) -> List[ConfigDict]:
    """List the schedulers that warm up: those of the type ``LinearLR``."""
    schedulers = _as_list(base.param_scheduler)
    return [item for item in schedulers if item.type == 'LinearLR']


def mean_teacher(epochs: float) -> dict:
    """Config of the hook that averages the teacher over some epochs."""
    return dict(type='mmleuk.EpochMeanTeacherHook', horizon=epochs)


def scale_base_batch_size(base: ConfigDict, factor: float) -> dict:
    """Copy ``auto_scale_lr`` for batches that count more images.

    Args:
        base (:obj:`ConfigDict`): The base.
        factor (float): Images of a batch, as a multiple of those that count
            as a batch of the same size in the base.

    Returns:
        dict: ``auto_scale_lr``, which leaves the learning rate where it is in
        the base.
    """
    setting = copy.deepcopy(base.get('auto_scale_lr', {}))
    if 'base_batch_size' in setting:
        setting['base_batch_size'] *= factor
    return setting


def rcnn_stages(detector: ConfigDict) -> List[ConfigDict]:
    """Training settings of each stage of the RoI head."""
    return _as_list(detector.train_cfg.rcnn)


def training_parts(detector: ConfigDict) -> List[ConfigDict]:
    """Settings of all that has an assigner and a sampler in training."""
    if 'roi_head' not in detector:
        return [detector.train_cfg]
    return [detector.train_cfg.rpn, *rcnn_stages(detector)]


def bbox_heads(detector: ConfigDict) -> List[ConfigDict]:
    """Configs of the box heads: one for each stage."""
    return _as_list(detector.get('roi_head', detector).bbox_head)


def use_region_bbox_heads(detector: ConfigDict) -> None:
    """Let the RoI head regress boxes of labelled cells only, in place."""
    for head in bbox_heads(detector):
        if head.type != 'Shared2FCBBoxHead':
            raise ValueError(
                f'the base has a {head.type}, expected Shared2FCBBoxHead, '
                'which RegionShared2FCBBoxHead replaces'
            )
        head.type = 'mmleuk.RegionShared2FCBBoxHead'


def check_roi_head(base: ConfigDict, max_stages: int = 9) -> None:
    """Raise an error if the base has no RoI head, or one of more stages."""
    model = base.model
    if 'roi_head' not in model or len(bbox_heads(model)) > max_stages:
        raise ValueError(
            f'the base has the detector {model.type}, expected one with a RoI '
            f'head of at most {max_stages} stages'
        )


def _as_list(value) -> list:
    """A list of what may be a single one."""
    return value if isinstance(value, list) else [value]
