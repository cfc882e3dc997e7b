# Copyright (c) mmleuk authors. All rights reserved.
"""Reads datasets as a training does, and reports what is in them."""

import os.path as osp
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
)

import numpy as np
from mmengine.config import Config

from mmleuk.datasets.lld import LLDDataset
from mmleuk.datasets.naming import normalise_patient
from mmleuk.io.faults import (
    CORRUPT_PIXELS,
    FAULTS,
    IDENTICAL_ACROSS,
    IDENTICAL_WITHIN,
    MISPLACED_BOXES,
    OVERLAP_ACROSS,
    OVERLAP_WITHIN,
    SHARED_PATIENT,
    SIMILAR_ACROSS,
    Fault,
)
from mmleuk.io.issue_log import MAX_PLACES
from mmleuk.registry import DATASETS
from mmleuk.structures import MISSING
from mmleuk.structures.record import normalise_name

from .attribute_majority import score_majorities
from .image_checks import (
    ImageCheck,
    check_images,
    find_similar,
    group_identical,
    load_image,
)
from .misplaced_boxes import NO_NUCLEUS
from .overlapping_fields import Overlap, find_overlaps
from .report import UNNAMED, DataReport, FaultCount, SourceReport

# Paths of images, as keys, by patient and subset (None: not stated).
_Films = Dict[str, Dict[Optional[str], Dict[str, None]]]
# Keys of a dataset that do not change which images and cells it holds;
# MMEngine adds `_scope_` where a base is given as `package::config`.
_NO_CONTENT = ('pipeline', 'serialize_data', 'lazy_init', 'strict', '_scope_')


@dataclass
class Source:
    """A dataset to examine.

    Args:
        split (str): The split that it belongs to.
        options (dict): Arguments of :class:`LLDDataset`.
        dataset_class (type): ``LLDDataset`` or a subclass.
    """

    split: str
    options: dict
    dataset_class: type = LLDDataset

    @property
    def name(self) -> str:
        """str: Name for people."""
        subset = self.options.get('subset')
        if subset:
            return subset if isinstance(subset, str) else ', '.join(subset)
        return osp.join(
            self.options.get('data_root', ''), self.options.get('ann_file', '')
        )


def _find_configs(node: Any) -> Iterator[dict]:
    """Find the configs of LLDDatasets, however deep in wrappers."""
    if isinstance(node, Mapping):
        dataset_class = node.get('type')
        if isinstance(dataset_class, str):
            dataset_class = DATASETS.get(dataset_class)
        if isinstance(dataset_class, type) and issubclass(
            dataset_class, LLDDataset
        ):
            yield dict(node, type=dataset_class)
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
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        for options in _find_configs(loader and loader.get('dataset')):
            dataset_class = options.pop('type')
            for key in _NO_CONTENT:
                options.pop(key, None)
            # A dataset in test mode filters nothing.
            if options.pop('test_mode', False):
                options.pop('filter_cfg', None)
            same = [
                other
                for other in found
                if other.options == options and other.split != 'train'
            ]
            if split == 'test' and same:
                same[0].split = 'val and test'
            else:
                found.append(Source(split, options, dataset_class))
    if not found:
        raise ValueError(
            f'{cfg.filename}: no dataloader has a dataset of the type '
            'mmleuk.LLDDataset, expected at least one'
        )
    return found


def _read(report: SourceReport, source: Source) -> Optional[LLDDataset]:
    """Read one source and complete its report; None if it is refused."""
    try:
        dataset = source.dataset_class(
            **source.options, pipeline=[], serialize_data=False
        )
    # What readers raise of data: AnnotationError is a ValueError.
    except (OSError, ValueError) as error:
        report.error = str(error)
        return None
    infos = dataset.data_list
    cells = [cell for info in infos for cell in info['instances']]
    labelled = [cell for cell in cells if not cell['ignore_flag']]
    report.images = len(infos)
    report.cells = len(labelled)
    report.ignored = len(cells) - len(labelled)
    report.partly_annotated = sum(
        info['annotated_regions'] is not None for info in infos
    )
    labels = Counter(cell['bbox_label'] for cell in labelled)
    report.classes = {
        name: labels[label]
        for label, name in enumerate(dataset.metainfo['classes'])
    }
    for index, attribute in enumerate(dataset.schema):
        codes = Counter(cell['attributes'][index] for cell in labelled)
        report.attributes[attribute.title] = {
            value: codes[code] for code, value in enumerate(attribute.values)
        }
        report.attributes[attribute.title]['missing'] = codes[MISSING]
    report.majorities = score_majorities(infos, dataset.schema)
    report.patients = _count_names(infos, 'patient')
    report.subsets = _count_names(infos, 'subset')
    report.magnifications = _count_names(infos, 'magnification')
    report.diagnoses = _count_names(infos, 'diagnosis')
    report.balance = {
        unit: dict(zip(('read', 'kept', 'removed'), numbers))
        for unit, numbers in dataset.issues.balance().items()
    }
    report.faults = [
        _count(FAULTS[kind], dataset.issues.places[kind], number)
        for kind, number in dataset.issues.counts.items()
    ]
    return dataset


def _count_names(infos: Sequence[dict], key: str) -> Dict[str, int]:
    """Count the images by a part of their names, patient 9 before 10."""
    counts = Counter(
        UNNAMED if info[key] is None else str(info[key]) for info in infos
    )
    return dict(
        sorted(counts.items(), key=lambda item: (len(item[0]), item[0]))
    )


def _find_shared_patients(reports: Sequence[SourceReport]) -> FaultCount:
    """Find the patients of more than one split."""
    where: Dict[str, Counter] = defaultdict(Counter)
    for report in reports:
        for patient, number in report.patients.items():
            if patient != UNNAMED:
                where[normalise_patient(patient)][report.split] += number
    places = [
        f'patient {patient}: '
        + ', '.join(f'{n} images in {split}' for split, n in splits.items())
        for patient, splits in sorted(where.items())
        if len(splits) > 1
    ]
    return _count(SHARED_PATIENT, places)


def _count(
    fault: Fault, places: List[str], number: Optional[int] = None
) -> FaultCount:
    """Count a fault, by its places unless a number is given."""
    return FaultCount(
        fault.text,
        fault.outcome.value,
        len(places) if number is None else number,
        places[:MAX_PLACES],
        fault.fix,
    )


def _nucleated_boxes(dataset: LLDDataset, info: dict) -> np.ndarray:
    """Boxes of the labelled cells with a nucleus, shape (n, 4)."""
    classes = dataset.metainfo['classes']
    boxes = [
        cell['bbox']
        for cell in info['instances']
        if not cell['ignore_flag']
        and normalise_name(classes[cell['bbox_label']]) not in NO_NUCLEUS
    ]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def group_films(films: _Films) -> Iterator[List[str]]:
    """List the images of each patient in each subset.

    If an image of a patient states no subset, it may belong to any: all
    images of that patient are one group.
    """
    for subsets in films.values():
        if None in subsets:
            yield list(dict.fromkeys(chain(*subsets.values())))
        else:
            yield from map(list, subsets.values())


def _find_overlaps(
    checks: Sequence[ImageCheck], films: Iterable[Iterable[str]]
) -> List[Overlap]:
    """Find overlapping fields among the images of each film.

    Images that are identical or nearly so are left to other checks.
    """
    unlike = {check.digest: check for check in checks if check.digest}
    thumbnails = {check.path: check.thumbnail for check in unlike.values()}
    similar = {
        frozenset((one.path, two.path)) for one, two in find_similar(checks)
    }
    groups = [[path for path in film if path in thumbnails] for film in films]
    return [
        pair
        for pair in find_overlaps(thumbnails, groups, load_image)
        if frozenset((pair.one, pair.two)) not in similar
    ]


def _compare_images(
    splits: Mapping[str, Set[str]],
    checks: Sequence[ImageCheck],
    overlaps: Sequence[Overlap],
) -> List[FaultCount]:
    """List what was seen in the images, given the splits of each file."""
    damaged = [check.path for check in checks if check.digest is None]
    across = [path for path, names in splits.items() if len(names) > 1]
    within: List[str] = []
    for group in group_identical(checks):
        names = set().union(*(splits[path] for path in group))
        (across if len(names) > 1 else within).append(' = '.join(group))
    similar = [
        f'{one.path} ~ {two.path}'
        for one, two in find_similar(checks)
        if splits[one.path] != splits[two.path]
    ]
    shared: List[str] = []
    repeated: List[str] = []
    for pair in overlaps:
        one, two = splits[pair.one], splits[pair.two]
        (shared if len(one | two) > 1 else repeated).append(str(pair))
    misplaced = [
        f'{check.path}: {check.move}' for check in checks if check.move
    ]
    return [
        _count(CORRUPT_PIXELS, damaged),
        _count(IDENTICAL_ACROSS, across),
        _count(SIMILAR_ACROSS, similar),
        _count(IDENTICAL_WITHIN, within),
        _count(MISPLACED_BOXES, misplaced),
        _count(OVERLAP_ACROSS, shared),
        _count(OVERLAP_WITHIN, repeated),
    ]


def examine(
    sources: Sequence[Source],
    with_images: bool = True,
    workers: Optional[int] = None,
) -> DataReport:
    """Read datasets as a training does, and report what is in them.

    Args:
        sources (Sequence[Source]): The datasets.
        with_images (bool): Whether to decode and compare the images. If
            not, only files that are in two splits are found.
        workers (int, optional): Processes that decode, one a core if None.

    Returns:
        DataReport: What was found.
    """
    reports = [SourceReport(source.name, source.split) for source in sources]
    # One file may have several paths.
    files: Dict[str, str] = {}
    splits: Dict[str, Set[str]] = defaultdict(set)
    boxes: Dict[str, np.ndarray] = {}
    films: _Films = defaultdict(lambda: defaultdict(dict))
    for report, source in zip(reports, sources):
        dataset = _read(report, source)
        if dataset is None:
            continue
        for info in dataset.data_list:
            path = info['img_path']
            real = path if '://' in path else osp.realpath(path)
            path = files.setdefault(real, path)
            splits[path].add(report.split)
            boxes.setdefault(path, _nucleated_boxes(dataset, info))
            if info['patient'] is not None:
                patient = normalise_patient(info['patient'])
                films[patient][info['subset']][path] = None
    checks = check_images(boxes, workers) if with_images and boxes else []
    overlaps = _find_overlaps(checks, group_films(films))
    across = [
        _find_shared_patients(reports),
        *_compare_images(splits, checks, overlaps),
    ]
    return DataReport(
        reports,
        [fault for fault in across if fault.count],
        {check.path: check.move for check in checks if check.move},
        overlaps,
        checked_images=len(checks),
        unnamed_images=sum(r.patients.get(UNNAMED, 0) for r in reports),
    )
