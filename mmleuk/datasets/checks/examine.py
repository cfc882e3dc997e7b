# Copyright (c) mmleuk authors. All rights reserved.
"""Reads datasets as a training does, and reports what is in them."""

import os.path as osp
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set

from mmengine.config import Config

from mmleuk.datasets.lld import LLDDataset
from mmleuk.datasets.naming import normalise_patient
from mmleuk.io.faults import (
    CORRUPT_PIXELS,
    IDENTICAL_ACROSS,
    IDENTICAL_WITHIN,
    SHARED_PATIENT,
    SIMILAR_ACROSS,
    Fault,
)
from mmleuk.io.issue_log import MAX_PLACES
from mmleuk.registry import DATASETS
from mmleuk.structures import MISSING

from .image_checks import check_images, find_similar, group_identical
from .report import UNNAMED, DataReport, FaultCount, SourceReport

SPLITS = ('train', 'val', 'test')


@dataclass
class Source:
    """A dataset to examine.

    Args:
        split (str): The split that it belongs to.
        options (dict): Arguments of :class:`LLDDataset`.
        dataset_class (type): ``LLDDataset`` or a class of its kind.
    """

    split: str
    options: dict
    dataset_class: type = LLDDataset

    @property
    def name(self) -> str:
        """str: Name for people."""
        subset = self.options.get('subset')
        if isinstance(subset, str):
            return subset
        if subset:
            return ', '.join(subset)
        return osp.join(
            self.options.get('data_root', ''), self.options.get('ann_file', '')
        )


@dataclass
class _Contents:
    """The images of a source, beside its report."""

    report: SourceReport
    paths: List[str] = field(default_factory=list)
    patients: Counter = field(default_factory=Counter)


def _find_configs(node: Any) -> Iterator[dict]:
    """Find the configs of LLDDatasets, however deep in wrappers."""
    if isinstance(node, Mapping):
        kind = node.get('type')
        if isinstance(kind, str):
            kind = DATASETS.get(kind)
        if isinstance(kind, type) and issubclass(kind, LLDDataset):
            yield dict(node, type=kind)
            return
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _find_configs(item)


def find_sources(cfg: Config) -> List[Source]:
    """Find the datasets of a config.

    Args:
        cfg (Config): The config of a training.

    Returns:
        list[Source]: Those of train, val and test. Where val and test read
        the same, the split is called ``'val and test'``.

    Raises:
        ValueError: If there is none.
    """
    found: List[Source] = []
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        for node in _find_configs(loader and loader.get('dataset')):
            options = dict(node)
            dataset_class = options.pop('type')
            # How samples are made of it does not matter here.
            for key in (
                'pipeline',
                'filter_cfg',
                'test_mode',
                'indices',
                'serialize_data',
                'lazy_init',
                'strict',
            ):
                options.pop(key, None)
            source = Source(split, options, dataset_class)
            same = [
                other
                for other in found
                if other.options == options and other.split != 'train'
            ]
            if split == 'test' and same:
                same[0].split = 'val and test'
            else:
                found.append(source)
    if not found:
        raise ValueError(
            f'{cfg.filename}: no dataloader has a dataset of the type '
            'mmleuk.LLDDataset, expected at least one'
        )
    return found


def _read(source: Source) -> _Contents:
    """Read one source and count what is in it."""
    report = SourceReport(source.name, source.split)
    contents = _Contents(report)
    try:
        dataset = source.dataset_class(
            **source.options,
            pipeline=[],
            test_mode=True,
            serialize_data=False,
        )
    # What readers raise of data: AnnotationError is a ValueError.
    except (OSError, ValueError) as error:
        report.error = str(error)
        return contents

    classes: Counter = Counter()
    codes = [Counter() for _ in dataset.schema]
    by_name = {
        key: Counter()
        for key in ('patient', 'subset', 'magnification', 'diagnosis')
    }
    for info in dataset.data_list:
        contents.paths.append(info['img_path'])
        for key, counter in by_name.items():
            counter[info[key]] += 1
        report.partly_annotated += info['annotated_regions'] is not None
        for instance in info['instances']:
            if instance['ignore_flag']:
                report.ignored += 1
                continue
            classes[instance['bbox_label']] += 1
            for counter, code in zip(codes, instance['attributes']):
                counter[code] += 1
    report.images = len(dataset.data_list)
    report.cells = sum(classes.values())
    report.classes = {
        name: classes[label]
        for label, name in enumerate(dataset.metainfo['classes'])
    }
    report.attributes = {
        attribute.title: {
            **{
                value: counter[code]
                for code, value in enumerate(attribute.values)
            },
            'missing': counter[MISSING],
        }
        for attribute, counter in zip(dataset.schema, codes)
    }
    for key, title in (
        ('patient', 'patients'),
        ('subset', 'subsets'),
        ('magnification', 'magnifications'),
        ('diagnosis', 'diagnoses'),
    ):
        # Patient 9 before patient 10.
        counts = sorted(
            by_name[key].items(),
            key=lambda item: (len(str(item[0])), str(item[0])),
        )
        setattr(
            report,
            title,
            {
                UNNAMED if name is None else name: number
                for name, number in counts
            },
        )
    contents.patients = by_name['patient']
    report.balance = {
        unit: dict(zip(('read', 'kept', 'removed'), numbers))
        for unit, numbers in dataset.issues.balance().items()
    }
    report.faults = FaultCount.from_log(dataset.issues)
    return contents


def _find_shared_patients(contents: Sequence[_Contents]) -> List[FaultCount]:
    """Find the patients of more than one split."""
    where: Dict[str, Counter] = defaultdict(Counter)
    for part in contents:
        for patient, number in part.patients.items():
            if patient is not None:
                name = normalise_patient(patient)
                where[name][part.report.split] += number
    places = [
        f'patient {patient}: '
        + ', '.join(f'{n} images in {split}' for split, n in splits.items())
        for patient, splits in sorted(where.items())
        if len(splits) > 1
    ]
    return _count(SHARED_PATIENT, places)


def _count(fault: Fault, places: Sequence[str]) -> List[FaultCount]:
    """Count places, if there are any."""
    if not places:
        return []
    return [FaultCount.of(fault, len(places), list(places[:MAX_PLACES]))]


def _check_pixels(
    contents: Sequence[_Contents], workers: Optional[int]
) -> List[FaultCount]:
    """Decode and compare all images."""
    splits: Dict[str, Set[str]] = defaultdict(set)
    for part in contents:
        for path in part.paths:
            splits[path].add(part.report.split)
    checks = check_images(list(splits), workers)
    damaged = [check.path for check in checks if check.digest is None]
    across = [path for path, names in splits.items() if len(names) > 1]
    within = []
    for group in group_identical(checks):
        names = set().union(*(splits[path] for path in group))
        (across if len(names) > 1 else within).append(' = '.join(group))
    similar = [
        f'{one.path} ~ {two.path}'
        for one, two in find_similar(checks)
        if splits[one.path] != splits[two.path]
    ]
    return [
        *_count(CORRUPT_PIXELS, damaged),
        *_count(IDENTICAL_ACROSS, across),
        *_count(SIMILAR_ACROSS, similar),
        *_count(IDENTICAL_WITHIN, within),
    ]


def examine(
    sources: Sequence[Source],
    with_images: bool = True,
    workers: Optional[int] = None,
) -> DataReport:
    """Read datasets as a training does, and report what is in them.

    Args:
        sources (Sequence[Source]): The datasets.
        with_images (bool): Whether to decode and compare the images. Defaults
            to True.
        workers (int, optional): Processes that decode. Defaults to None, one
            a core.

    Returns:
        DataReport: What was found.
    """
    contents = [_read(source) for source in sources]
    report = DataReport(
        [part.report for part in contents],
        _find_shared_patients(contents),
        unnamed_images=sum(part.patients[None] for part in contents),
    )
    if with_images and any(part.paths for part in contents):
        report.across += _check_pixels(contents, workers)
        report.checked_images = len({p for c in contents for p in c.paths})
    return report
