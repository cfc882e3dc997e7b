# Copyright (c) mmleuk authors. All rights reserved.
from typing import Callable, Iterable, Iterator

from mmleuk.structures import unannotated_area


def unwrap_dataset(dataset) -> Iterator:
    """Go through the datasets inside of any wrappers.

    Args:
        dataset (Dataset): A dataset or a wrapper of torch, mmengine or mmdet,
            such as ``ConcatDataset`` and ``RepeatDataset``.

    Yields:
        Dataset: Each dataset that wraps no other.
    """
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from unwrap_dataset(part)
        return
    # The last is that of a dataloader with `num_batch_per_epoch`.
    for name in ('dataset', '_dataset'):
        if hasattr(dataset, name):
            yield from unwrap_dataset(getattr(dataset, name))
            return
    yield dataset


def iter_data_infos(dataset) -> Iterator[dict]:
    """Go through the labels of a dataset, inside of any wrappers.

    Args:
        dataset (Dataset): A dataset of mmengine or a wrapper.

    Yields:
        dict: The ``data_info`` of each image, once a dataset.
    """
    for part in unwrap_dataset(dataset):
        for index in range(len(part)):
            yield part.get_data_info(index)


def count_unannotated(dataset) -> int:
    """Count the images of a dataset that have un-annotated area."""
    return sum(
        unannotated_area(
            info['annotated_regions'], (info['height'], info['width'])
        )
        is not None
        for info in iter_data_infos(dataset)
        if info.get('annotated_regions') is not None
    )


def iter_transforms(pipeline) -> Iterator[Callable]:
    """Go through the transforms of a pipeline, also those inside of others.

    Args:
        pipeline (Compose | Callable | Iterable): A pipeline of mmengine or
            mmcv, or a transform such as ``RandomChoice`` and ``MultiBranch``.

    Yields:
        Callable: Each transform, those with others in it included.
    """
    if callable(pipeline):
        yield pipeline
    inner = pipeline
    for name in ('transforms', 'branch_pipelines'):
        inner = getattr(pipeline, name, inner)
    if isinstance(inner, dict):
        inner = inner.values()
    if isinstance(inner, Iterable):
        for transform in inner:
            yield from iter_transforms(transform)
