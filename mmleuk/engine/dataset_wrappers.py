# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator


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
