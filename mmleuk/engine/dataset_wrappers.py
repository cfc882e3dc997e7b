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
    elif hasattr(dataset, 'dataset'):
        yield from unwrap_dataset(dataset.dataset)
    else:
        yield dataset
