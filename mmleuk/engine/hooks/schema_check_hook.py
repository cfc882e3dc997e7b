# Copyright (c) mmleuk authors. All rights reserved.
import re
from itertools import chain
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmleuk.datasets.transforms import HoldOutRegions
from mmleuk.engine.dataset_wrappers import (
    count_unannotated,
    iter_transforms,
    unwrap_dataset,
)
from mmleuk.engine.region_check import check_regions
from mmleuk.models.mining import RegionMiner
from mmleuk.registry import HOOKS
from mmleuk.structures import AttributeSchema
from mmleuk.structures.class_map import ClassMap

# Modules whose `num_classes` is the number of classes of the data.
_CLASSIFIERS = re.compile(r'(^|\.)(bbox_head(\.\d+)?|miner)$')


@HOOKS.register_module()
class SchemaCheckHook(Hook):
    """Check before the first step that data and model have one schema.

    Classes and attributes are stated by the dataset (``metainfo``) and again
    by the model: as ``num_classes`` of the box heads and of the miner, and as
    ``attributes`` of the attribute head, of the miner and of the model that
    merges test-time augmentations. All datasets have to state the same
    classes in the same order, as many as the model has; and the same
    attributes and values as the model, in its order. A dataset without
    attributes fits any model. What is tested has to fit the data that the
    checkpoint was trained on, too.

    Before training it also checks that

    - training and validation map class names alike (``class_map``);
    - the labels that the pipeline holds out are those that the miner
      calibrates on;
    - a model whose training fields have un-annotated area does not learn it
      as background, unless the pipeline crops it off.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        # Where classes were stated first, and the classes.
        self._stated: Optional[Tuple[str, tuple]] = None
        # What the loaded checkpoint says of its training data.
        self._trained_on: dict = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint says of its training data."""
        self._trained_on = checkpoint.get('meta', {}).get('dataset_meta') or {}

    def before_train(self, runner: Runner) -> None:
        """Check the data to train on and to validate on."""
        # A model that is fine-tuned may come from any data.
        self._trained_on = {}
        self._check(runner, 'train')
        self._check_hold_out(runner)
        check_regions(
            runner.train_dataloader.dataset, runner.model, 'train_dataloader'
        )
        if runner.val_loop is not None:
            self._check(runner, 'val')
            self._check_class_maps(runner)

    def before_val(self, runner: Runner) -> None:
        """Check the data to validate on."""
        self._check(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Check the data to test on."""
        self._check(runner, 'test')

    def _check(self, runner: Runner, part: str) -> None:
        """Check the data of one part against the model and other parts."""
        name = f'{part}_dataloader'
        outer = getattr(getattr(runner, name).dataset, 'metainfo', {})
        if not isinstance(outer, Mapping):
            differing = [
                key
                for key in dict.fromkeys(chain(*outer))
                if any(item.get(key) != outer[0].get(key) for item in outer)
            ]
            raise TypeError(
                f'the dataset of {name} has one metainfo for each of its '
                f'{len(outer)} parts, since these differ in {differing}, '
                "expected a single one. Set type='mmleuk.JointDataset' in "
                'place of ConcatDataset'
            )
        for dataset in unwrap_dataset(getattr(runner, name).dataset):
            self._check_classes(name, dataset.metainfo, runner.model)
            self._check_attributes(name, dataset.metainfo, runner.model)
            self._check_checkpoint(name, dataset.metainfo)

    def _check_classes(self, name: str, metainfo: dict, model) -> None:
        """Raise an error if the classes aren't those of data and model."""
        classes = tuple(metainfo.get('classes', ()))
        if not classes:
            return
        self._stated = self._stated or (name, classes)
        if classes != self._stated[1]:
            raise ValueError(
                f'the dataset of {name} has the classes {classes}, expected '
                f'those of {self._stated[0]} in the same order: '
                f'{self._stated[1]}. Give both the same `class_map`, or '
                '`metainfo=dict(classes=...)`'
            )
        for where, number in _model_values(model, 'num_classes', int):
            if _CLASSIFIERS.search(where) and number != len(classes):
                raise ValueError(
                    f'{where} of the model has num_classes={number}, expected '
                    f'{len(classes)}, the classes of the dataset of {name}: '
                    f'{classes}. Set num_classes={len(classes)} in the '
                    "model's config, or choose the classes of the data by "
                    '`class_map` or `metainfo=dict(classes=...)`'
                )

    def _check_attributes(self, name: str, metainfo: dict, model) -> None:
        """Raise an error if the attributes aren't those of the model."""
        if not metainfo.get('attributes'):
            return
        expected = _names(metainfo['attributes'])
        for where, schema in _model_values(model, 'schema', AttributeSchema):
            if _names(schema) != expected:
                raise ValueError(
                    f'{where or "the model"} has the attributes '
                    f'{_names(schema)}, expected those of the dataset of '
                    f'{name} in the same order: {expected}. Give '
                    f'{where or "tta_model"} in the config `attributes=` what '
                    "the dataset has as `metainfo['attributes']`"
                )

    def _check_hold_out(self, runner: Runner) -> None:
        """Raise an error if training and miner hold out other labels."""
        expected = [
            _hold_out(**module.hold_out)
            for module in runner.model.modules()
            if isinstance(module, RegionMiner) and module.hold_out
        ]
        for dataset in unwrap_dataset(runner.train_dataloader.dataset):
            pipeline = getattr(dataset, 'pipeline', None)
            got = [
                _hold_out(transform.share, transform.seed)
                for transform in iter_transforms(pipeline)
                if isinstance(transform, HoldOutRegions)
            ]
            # Nothing is held out of fields that are fully annotated.
            if got != expected and (got or count_unannotated(dataset)):
                raise ValueError(
                    'the pipeline of train_dataloader holds out the labels of '
                    f'{got or "no"} fields (HoldOutRegions), expected those '
                    'of the miner, which calibrates on them '
                    f'(model.miner.hold_out): {expected or "none"}. Call '
                    '`mined(_base_, hold_out=...)`, which sets both, or set '
                    'the other one, too'
                )

    def _check_class_maps(self, runner: Runner) -> None:
        """Raise an error if training and validation mean other classes."""
        trained = list(unwrap_dataset(runner.train_dataloader.dataset))
        for dataset in unwrap_dataset(runner.val_dataloader.dataset):
            differing = [_map_differences(part, dataset) for part in trained]
            # Of several datasets to train on one may be that to validate on.
            if all(differing):
                raise ValueError(
                    'train_dataloader and val_dataloader make other classes '
                    f'(train, val) of the same cells: {differing[0]}. Give '
                    'both datasets the same `class_map`'
                )

    def _check_checkpoint(self, name: str, metainfo: dict) -> None:
        """Raise an error if the checkpoint was trained on another schema."""
        for key, read in (('classes', tuple), ('attributes', _names)):
            if not (self._trained_on.get(key) and metainfo.get(key)):
                continue
            trained, tested = read(self._trained_on[key]), read(metainfo[key])
            if trained != tested:
                raise ValueError(
                    f'the dataset of {name} has the {key} {tested}, expected '
                    'those that the checkpoint was trained on, in the same '
                    f'order: {trained}. Give the dataset the `metainfo` and '
                    'the `class_map` of the training'
                )


def _names(attributes: Sequence) -> tuple:
    """Attributes and values by name: titles are up to the data."""
    return AttributeSchema(attributes).names_and_values


def _map_differences(trained, dataset) -> dict:
    """Class names that the maps of two datasets treat differently."""
    maps: List[Any] = [
        getattr(item, 'class_map', None) for item in (trained, dataset)
    ]
    if not all(isinstance(item, ClassMap) for item in maps):
        return {}
    names = None
    if trained.data_root != dataset.data_root:
        # Other names may be those of one of the two alone.
        names = dataset.metainfo['classes']
    return maps[0].differences(maps[1], names)


def _hold_out(share: float, seed: int = 0) -> dict:
    """Settings of :func:`is_held_out`, with its default."""
    return dict(share=share, seed=seed)


def _model_values(
    model: nn.Module, key: str, kind: type
) -> Iterator[Tuple[str, Any]]:
    """Go through all modules that have an attribute of this type."""
    for where, module in model.named_modules():
        value = getattr(module, key, None)
        if isinstance(value, kind):
            yield where, value
