# Copyright (c) mmleuk authors. All rights reserved.
"""The parts of a config that inference needs."""

from typing import Optional, Union

from mmcv.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from mmengine.config import Config, ConfigDict


def loads_annotations(kind: Union[str, type]) -> bool:
    """Tell whether a transform of this ``type`` loads annotations."""
    if isinstance(kind, str):
        kind = TRANSFORMS.get(kind)
    return isinstance(kind, type) and issubclass(kind, LoadAnnotations)


def unwrap_dataset(dataset: ConfigDict) -> ConfigDict:
    """Take the config of the first dataset out of any wrappers."""
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset.datasets[0]
    return dataset


def name_dataset(cfg: Union[Config, ConfigDict]) -> Optional[str]:
    """Name the data that a config trains on: annotation file or subsets.

    None if the config does not say.
    """
    loader = cfg.get('train_dataloader') or {}
    if 'dataset' not in loader:
        return None
    dataset = unwrap_dataset(loader['dataset'])
    name = dataset.get('ann_file') or dataset.get('subset')
    if isinstance(name, (list, tuple)):
        name = ', '.join(map(str, name))
    return f'{dataset.get("data_root") or ""}{name}' if name else None


def keep_inference_keys(cfg: Config, origin: str) -> ConfigDict:
    """Keep only the parts of a config that inference builds.

    Args:
        cfg (Config): The config.
        origin (str): Its origin, for messages.

    Returns:
        ConfigDict: The model, the pipeline of the test dataset and, if the
        config has them, the default scope, the data preprocessor and the
        visualizer without its backends.

    Raises:
        ValueError: If a part is missing.
    """
    try:
        pipeline = unwrap_dataset(cfg.test_dataloader.dataset).pipeline
        part = ConfigDict(
            model=cfg.model,
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{origin}: its config lacks a part ({error}), expected `model` '
            'and a `pipeline` in the dataset of `test_dataloader`'
        ) from error
    for key in ('default_scope', 'data_preprocessor', 'visualizer'):
        if cfg.get(key) is not None:
            part[key] = cfg[key]
    if 'visualizer' in part:
        part.visualizer.pop('vis_backends', None)
    return part
