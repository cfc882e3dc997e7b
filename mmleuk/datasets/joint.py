# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Sequence, Union

from mmdet.datasets import BaseDetDataset, ConcatDataset

from mmleuk.registry import DATASETS
from mmleuk.structures import AttributeSchema


@DATASETS.register_module()
class JointDataset(ConcatDataset):
    """Several datasets of one class list, to train or to validate on.

    The ``ConcatDataset`` of MMDetection has a list as ``metainfo`` if that of
    its datasets differs in anything, such as a palette, and stops if one of
    them lacks a key. Hooks, metrics and checkpoints expect one ``metainfo``.
    Here

    - all datasets state the same classes in the same order: each gets a
      ``class_map`` and ``metainfo=dict(classes=...)`` that lead there;
    - those that state ``attributes`` state the same ones. Cells of the others
      have none, as if each value were missing;
    - other keys are those of the first dataset that has them.

    As in MMDetection, ``metainfo['cumulative_sizes']`` tells the datasets
    apart, for ``MultiDatasetsEvaluator`` and ``MultiSourceSampler``.

    Args:
        datasets (Sequence[dict | Dataset]): The datasets or their configs.
            Wrappers such as ``RepeatDataset`` weight a small dataset.
        lazy_init (bool): Whether to load annotations later.

    Raises:
        ValueError: If classes or attributes differ.
    """

    def __init__(
        self,
        datasets: Sequence[Union[dict, BaseDetDataset]],
        lazy_init: bool = False,
    ) -> None:
        self.datasets = [
            DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
            for dataset in datasets
        ]
        self._metainfo = self._join_metainfo()
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the annotations of all datasets."""
        super().full_init()
        self._metainfo['cumulative_sizes'] = self.cumulative_sizes

    def _join_metainfo(self) -> dict:
        """Make one metainfo of those of the datasets."""
        metainfos = [dataset.metainfo for dataset in self.datasets]
        self._check_equal('classes', [m.get('classes') for m in metainfos])
        self._check_equal(
            'attributes',
            [
                AttributeSchema(m['attributes']).names_and_values
                for m in metainfos
                if m.get('attributes')
            ],
        )
        joined = {}
        for metainfo in reversed(metainfos):
            joined.update(metainfo)
        return joined

    def _check_equal(self, key: str, values: List) -> None:
        """Raise an error if not all values of a key are equal."""
        for index, value in enumerate(values):
            if value != values[0]:
                raise ValueError(
                    f'{type(self).__name__} got datasets of the {key} '
                    f'{values[0]} and {value} (number {index + 1}), expected '
                    'the same in the same order. Give each dataset the '
                    f'`metainfo=dict({key}=...)` of the first'
                    + ', and a `class_map` to them'
                    * (key == 'classes')
                )
