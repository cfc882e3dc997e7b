# Copyright (c) mmleuk authors. All rights reserved.
"""Annotation files of the sparse benchmark, and configs that read them."""

import copy
import json
import os.path as osp
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional, Set

from mmengine.config import Config, ConfigDict

from mmleuk.datasets.sparsify import sparsify
from mmleuk.datasets.splitting import take_part
from mmleuk.engine.schedule import scale_schedule
from mmleuk.engine.write_once import write_once
from mmleuk.io.readers.lld_json import load_json

# Annotated share of the sparse files that come with the data.
READY_SHARE = 0.2
# Seed of the rectangles of all other shares, unless all are drawn anew.
CUT_SEED = 0
# The train fields are divided into so many parts, one of which is held out to
# choose settings.
NUM_PARTS = 4

# Transform of configs that train on crops.
CROP = 'mmleuk.RegionCrop'
DATASET_TYPE = 'LLDDataset'
# Parts of a config that training reads, besides its dataloaders.
TRAINING = ('custom_hooks', 'model', 'train_cfg')
EVALUATION = ('val_dataloader', 'test_dataloader')
# Where a dataset finds its images, and how it reads its annotations.
PLACE = ('data_root', 'data_prefix', 'subset', 'split', 'ann_format')


class Source(NamedTuple):
    """Fields to train on, with all labels and with some.

    Args:
        full (str): File of all labels, as full configs name it, relative to
            the current folder.
        sparse (str): File of the labels inside a rectangle of
            ``READY_SHARE``, as sparse configs name it.
        command (str, optional): Command that makes both, None if they come
            with the data set.
    """

    full: str
    sparse: str
    command: Optional[str] = None


SOURCES = dict(
    pbc=Source(
        'data/pbc_fields/json_labels/train.json',
        'data/pbc_fields/json_labels/train_sparse.json',
    ),
    bccd=Source(
        'data/bccd_fields/json_labels/train.json',
        'data/bccd_fields/json_labels/train_sparse.json',
    ),
    synthetic=Source(
        'data/synthetic_sparse/H_40X_C1/json_labels/train.json',
        'data/synthetic_sparse/H_40X_C1/json_labels/train_sparse.json',
        'python tools/dataset_converters/make_synthetic_films.py '
        '--preset sparse40x --out data/synthetic_sparse',
    ),
    lld=Source(
        'data/lld_40x_json/train.json',
        'data/lld_40x_json/train_sparse.json',
        'the commands in configs/_base_/datasets/lld-40x.py',
    ),
)


def held_out_names(dataset: dict, part: int) -> Set[str]:
    """File names of the fields to hold out: every fourth of the file."""
    names = list(dict.fromkeys(im['file_name'] for im in dataset['images']))
    return set(names[part::NUM_PARTS])


class Annotations:
    """The annotation files of one data set.

    Args:
        source (Source): Its files.
        folder (Path): Where files that are cut from these go.
        part (int, optional): Part of the train fields, of ``NUM_PARTS``, that
            is held out to choose settings. None: nothing is held out.
        cut_seed (int, optional): Seed of the rectangles. None: those that
            come with the data, or those of ``CUT_SEED``.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        part: Optional[int] = None,
        cut_seed: Optional[int] = None,
    ) -> None:
        self.source = source
        self.folder = folder
        self.part = part
        self.cut_seed = cut_seed

    @property
    def choosing(self) -> bool:
        """bool: Whether some of the train fields are held out."""
        return self.part is not None

    def train(self, share: float) -> Path:
        """Find or make the train labels of a share, 1 for all labels."""
        ready = {1: self.source.full}
        if self.cut_seed is None:
            ready[READY_SHARE] = self.source.sparse
        if share in ready and not self.choosing:
            return self._find(ready[share])
        full = load_json(str(self._find(self.source.full)))
        if share in ready:
            dataset = load_json(str(self._find(ready[share])))
        else:
            seed = CUT_SEED if self.cut_seed is None else self.cut_seed
            dataset = sparsify(full, share=share, seed=seed)
        if self.choosing:
            names = {image['file_name'] for image in dataset['images']}
            held_out = held_out_names(full, self.part)
            dataset = take_part(dataset, names - held_out)
        return self._write(f'train_{share:g}.json', dataset)

    def held_out(self) -> Path:
        """Make the full labels of the fields that are held out."""
        full = load_json(str(self._find(self.source.full)))
        dataset = take_part(full, held_out_names(full, self.part))
        return self._write('held_out.json', dataset)

    def _find(self, name: str) -> Path:
        """Absolute path of a file of the data set."""
        path = Path(name).absolute()
        if not path.is_file():
            command = self.source.command
            raise FileNotFoundError(
                f'there is no {name}: '
                + (f'make it by {command!r}' if command else 'get the data')
                + ', or run from the folder that has it'
            )
        return path

    def _write(self, name: str, dataset: dict) -> Path:
        """Write a file, once and for all runs."""
        return write_once(self.folder / name, json.dumps(dataset)).absolute()


def iter_datasets(node: Any) -> Iterator[ConfigDict]:
    """Find the configs of all LLD datasets, inside wrappers and lists."""
    if isinstance(node, dict):
        name = node.get('type')
        if isinstance(name, str) and name.split('.')[-1] == DATASET_TYPE:
            yield node
        for value in node.values():
            yield from iter_datasets(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from iter_datasets(value)


def annotation_file(dataset: ConfigDict) -> Optional[str]:
    """Absolute path of the annotations of a dataset, None if several."""
    folder = dataset.get('data_root', '')
    name = dataset.get('ann_file', '')
    subset = dataset.get('subset')
    if subset is not None:
        if not isinstance(subset, str):
            return None
        folder = osp.join(folder, subset)
        split = dataset.get('split', 'train')
        name = name or osp.join('json_labels', f'{split}.json')
    return osp.abspath(osp.join(folder, name))


def use_annotations(
    cfg: Config, annotations: Annotations, share: float
) -> None:
    """Let all training data of a config be that of one share, in place.

    Args:
        cfg (Config): The config of a method.
        annotations (Annotations): The files.
        share (float): Annotated share of each field; 1 for all labels.

    Raises:
        ValueError: If the config does not read the file that it should or, of
            a sparse method, reads the full labels.
    """
    full, sparse = map(osp.abspath, annotations.source[:2])
    expected = full if share == 1 else sparse
    training = {
        key: value
        for key, value in cfg.items()
        if key in TRAINING
        or (key.endswith('dataloader') and key not in EVALUATION)
    }
    datasets = list(iter_datasets(training))
    read = {annotation_file(dataset): None for dataset in datasets}
    if list(read) != [expected]:
        raise ValueError(
            f'{cfg.filename} trains on {list(map(str, read))}, expected '
            f'{expected} alone'
        )
    place = {k: v for k, v in datasets[0].items() if k in PLACE}
    for dataset in datasets:
        dataset.ann_file = str(annotations.train(share))
    if not annotations.choosing:
        return
    for loader in EVALUATION:
        dataset = cfg[loader].dataset
        for key in PLACE:
            dataset.pop(key, None)
        dataset.update(
            copy.deepcopy(place), ann_file=str(annotations.held_out())
        )


def use_budget(cfg: Config, share: float) -> None:
    """Give a config the budget of pixels that all methods have, in place.

    What a config states is meant for ``READY_SHARE`` of all fields. One that
    trains on crops of the annotated rectangles needs more of smaller ones for
    a batch, and more epochs for the same training.
    """
    loader = cfg.train_dataloader
    pipeline = loader.dataset.get('pipeline', [])
    if CROP in [transform['type'] for transform in pipeline]:
        factor = READY_SHARE / share
        loader.batch_size = round(loader.batch_size * factor)
        scale_schedule(cfg, factor, units=['epochs'])
