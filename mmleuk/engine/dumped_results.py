# Copyright (c) mmleuk authors. All rights reserved.
"""Predictions that a test has dumped, with the labels of their images."""

import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.fileio import load

from mmleuk.evaluation import LLDMetric
from mmleuk.evaluation.functional import MatchedResults, make_result
from mmleuk.registry import METRICS
from mmleuk.structures import AttributeSchema

from .dataset_wrappers import unwrap_dataset


@dataclass(frozen=True)
class DumpedResults:
    """Predictions for all images of a data set, and its labels.

    Args:
        name (str): Name of the data set for people, such as
            'pbc_fields/json_labels/val.json'.
        classes (tuple[str]): Its types.
        schema (AttributeSchema): Its attributes.
        images (list[dict]): One an image, as :func:`match_results` takes
            them, with ``patient`` (str | None).
    """

    name: str
    classes: Tuple[str, ...]
    schema: AttributeSchema
    images: List[dict]

    def match(self, metric: LLDMetric) -> MatchedResults:
        """Match detections and cells by the thresholds of a metric."""
        return metric.match(self.images, len(self.classes), self.schema)


def read_dumped_results(
    path: Union[str, Path], dataset_cfg: ConfigDict
) -> DumpedResults:
    """Read what ``tools/test.py --out`` wrote, and the labels.

    The labels come from the data set; no pixel of its images is read.

    Args:
        path (str | Path): The pickle. Loading a pickle can run any code: read
            only what you or somebody you trust has written.
        dataset_cfg (ConfigDict): Config of the data set that was tested.

    Returns:
        DumpedResults: Predictions and labels.

    Raises:
        ValueError: If the file holds no predictions, or not those of all
            images of this data set.
    """
    dataset = DATASETS.build(dataset_cfg)
    name = describe_dataset(dataset_cfg)
    attributes = dataset.metainfo.get('attributes')
    if attributes is None:
        raise ValueError(
            f"the data set {name} has no `metainfo['attributes']`, expected "
            'one with attributes, such as mmleuk.LLDDataset'
        )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    truth = {info['img_path']: info for info in infos}
    if not truth:
        raise ValueError(f'the data set {name} has no images')
    results = load(path)
    if not isinstance(results, list) or not all(
        isinstance(result, dict) and 'pred_instances' in result
        for result in results
    ):
        raise ValueError(
            f'{path} holds no predictions, expected the list of data samples '
            'that `tools/test.py CONFIG CHECKPOINT --out FILE.pkl` writes'
        )
    _check_images([r.get('img_path') for r in results], list(truth), path)
    return DumpedResults(
        name=name,
        classes=tuple(dataset.metainfo['classes']),
        schema=AttributeSchema(attributes),
        images=[
            _join_labels(result, truth[result['img_path']])
            for result in results
        ],
    )


def _check_images(
    found: Sequence[Optional[str]],
    expected: Sequence[str],
    path: Union[str, Path],
) -> None:
    """Raise a ValueError unless both list the same images, each once."""
    known = set(expected)
    foreign = [name for name in found if name not in known]
    if foreign:
        raise ValueError(
            f'{path} has predictions for {len(foreign)} images that the data '
            f'set of the config does not have, {foreign[0]} the first, '
            f'expected paths such as {expected[0]}: name the config that the '
            'test ran with, and work in the same folder'
        )
    missing = sorted(known - set(found))
    if missing or len(found) != len(expected):
        raise ValueError(
            f'{path} has predictions for {len(set(found))} images '
            f'({len(found)} entries), expected one for each of the '
            f'{len(expected)} images of the data set'
            + (f'; {missing[0]} is missing' if missing else '')
        )


def _join_labels(result: dict, info: dict) -> dict:
    """Take the predictions of one image and its labels."""
    shape = result.get('ori_shape') or (info['height'], info['width'])
    image = make_result(
        info['img_path'], shape, info, result['pred_instances']
    )
    image['patient'] = info.get('patient')
    return image


def describe_dataset(dataset_cfg: ConfigDict) -> str:
    """Name a data set by its files, such as 'lld/H_100X_C1/test'."""
    if 'dataset' in dataset_cfg:
        return describe_dataset(dataset_cfg['dataset'])
    if 'datasets' in dataset_cfg:
        return ' + '.join(map(describe_dataset, dataset_cfg['datasets']))
    root = osp.basename(dataset_cfg.get('data_root', '').rstrip('/'))
    subset = dataset_cfg.get('subset')
    if subset is not None:
        subsets = [subset] if isinstance(subset, str) else subset
        split = dataset_cfg.get('split', 'train')
        return f'{root}/{"+".join(subsets)}/{split}'.lstrip('/')
    return osp.join(root, dataset_cfg.get('ann_file', '')).lstrip('/')


def image_paths(dataset_cfg: ConfigDict) -> List[str]:
    """List the image paths of a data set, inside any wrappers."""
    return [
        part.get_data_info(index)['img_path']
        for part in unwrap_dataset(DATASETS.build(dataset_cfg))
        for index in range(len(part))
    ]


def find_lld_metric(cfg: Config, evaluator: str) -> LLDMetric:
    """Build the first LLDMetric of a config, or one of default thresholds.

    Args:
        cfg (Config): The config.
        evaluator (str): 'val_evaluator' or 'test_evaluator'.

    Returns:
        LLDMetric: The metric.
    """
    evaluators = cfg.get(evaluator) or []
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    for item in evaluators:
        if METRICS.get(item['type']) is LLDMetric:
            return METRICS.build(item)
    return LLDMetric()
