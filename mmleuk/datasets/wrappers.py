# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator

from torch.utils.data import Dataset


def unwrap_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Find the datasets inside of wrappers, however deep.

    Args:
        dataset (Dataset): A dataset, or a wrapper that holds one as
            ``dataset`` or several as ``datasets``.

    Yields:
        Dataset: Each dataset that is no wrapper.
    """
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from unwrap_datasets(part)
    elif hasattr(dataset, 'dataset'):
        yield from unwrap_datasets(dataset.dataset)
    else:
        yield dataset


def data_infos(dataset: Dataset) -> Iterator[dict]:
    """List the annotations of a dataset, inside any wrappers.

    Args:
        dataset (Dataset): As for :func:`unwrap_datasets`.

    Yields:
        dict: ``data_info`` of each image, none of a dataset that has no
        ``get_data_info``.
    """
    for part in unwrap_datasets(dataset):
        if hasattr(part, 'get_data_info'):
            for index in range(len(part)):
                yield part.get_data_info(index)
