# Copyright (c) mmleuk authors. All rights reserved.
"""What attribute scores of a dump are worth beside the type of the cells."""

from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config

from mmleuk.engine.checkpoint_metadata import load_whole_checkpoint
from mmleuk.engine.dumped_results import (
    find_lld_metric,
    read_dumped_results,
)
from mmleuk.engine.hooks.type_profile_hook import PROFILE_KEY
from mmleuk.evaluation.functional import (
    MatchedResults,
    attribute_confusion,
    average_scores,
    table_macro_f1,
    type_confusion,
)
from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    TypeProfile,
    macro_f1,
)

# A type tells about an attribute within it if a second value has so many
# matched cells: with fewer one cell changes the F1 by more than .05.
MIN_CELLS = 10
MISSED = 'missed'

# By the name of a merged attribute: an attribute of the data, and the merged
# code of each of its values.
Merging = Mapping[str, Tuple[str, Sequence[int]]]


class Described(NamedTuple):
    """Matched cells with attributes of one schema.

    Args:
        matched (MatchedResults): Detections and cells.
        schema (AttributeSchema): The attributes of both.
        profile (TypeProfile): Counts of the training data.
    """

    matched: MatchedResults
    schema: AttributeSchema
    profile: TypeProfile


def score_dump(
    config: Path,
    dump: Path,
    checkpoint: Path,
    immature: Sequence[str] = (),
    merging: Optional[Merging] = None,
    merged_prefix: str = '',
) -> Dict[str, float]:
    """Score predictions of ``tools/test.py --out`` on the test data.

    Args:
        config (Path): The config of the test.
        dump (Path): The pickle.
        checkpoint (Path): What was tested; it has the type profile.
        immature (Sequence[str]): Types whose confusion is counted.
        merging (Mapping, optional): Attributes with fewer values, that
            follow from those of the data.
        merged_prefix (str): Prefix of their keys, in place of ``lld/``.

    Returns:
        dict: Scores that :class:`LLDMetric` does not have.

    Raises:
        ValueError: If a checkpoint with attributes has no type profile.
    """
    cfg = Config.fromfile(config)
    metric = find_lld_metric(cfg, 'test_evaluator')
    results = read_dumped_results(dump, cfg.test_dataloader.dataset)
    matched = results.match(metric)
    scores = confusion_scores(
        matched, results.classes, immature, metric.score_thr
    )
    if matched.codes is None:
        return scores
    stored = load_whole_checkpoint(checkpoint)['meta'].get(PROFILE_KEY)
    if stored is None:
        raise ValueError(
            f'{checkpoint} has no type profile, expected that of '
            'mmleuk.TypeProfileHook: train with it among the hooks'
        )
    cells = Described(matched, results.schema, TypeProfile.from_dict(stored))
    scores.update(type_scores(cells, 'lld/'))
    if merging:
        merged = merge_values(cells, merging)
        scores.update(value_scores(merged, merged_prefix, metric.score_thr))
        scores.update(type_scores(merged, merged_prefix))
    return scores


def confusion_scores(
    matched: MatchedResults,
    classes: Sequence[str],
    types: Sequence[str],
    score_thr: float,
) -> Dict[str, float]:
    """Count the predicted types of the cells of some types.

    Returns:
        dict: ``confusion/<type>/<predicted type>``, the last 'missed', for
        the pairs that occur.
    """
    counts = type_confusion(matched, len(classes), score_thr)
    return {
        f'confusion/{name}/{predicted}': int(count)
        for name in types
        for predicted, count in zip(
            [*classes, MISSED], counts[classes.index(name)]
        )
        if count
    }


def value_scores(
    cells: Described, prefix: str, score_thr: float
) -> Dict[str, float]:
    """Macro-F1 as :class:`LLDMetric` has it, for attributes without one.

    Returns:
        dict: ``attr_<name>_macro_f1``, ``_macro_f1_e2e``,
        ``_macro_f1_type_majority``, and their means.
    """
    matched, schema, profile = cells
    rows = matched.matches >= 0
    truth = matched.cell_codes[matched.matches[rows]]
    labels = matched.cell_labels[matched.matches[rows]]
    majority = profile.majority_codes(labels)
    scores: Dict[str, List[float]] = {}
    for index, size in enumerate(schema.sizes):
        own = truth[:, index]
        table = attribute_confusion(matched, index, size, score_thr)
        for key, value in (
            ('macro_f1', macro_f1(own, matched.codes[rows, index])),
            ('macro_f1_e2e', table_macro_f1(table)),
            ('macro_f1_type_majority', macro_f1(own, majority[:, index])),
        ):
            scores.setdefault(key, []).append(value)
    return with_means(scores, schema, prefix)


def type_scores(cells: Described, prefix: str) -> Dict[str, float]:
    """Tell how much of each attribute's score the type alone gives.

    Args:
        cells (Described): The matched cells.
        prefix (str): Prefix of the keys.

    Returns:
        dict: By attribute, and as means over them

        - ``attr_<name>_macro_f1_predicted_type``: what the matches would
          score if each got the most frequent value of its *predicted* type;
        - ``attr_<name>_macro_f1_within_types``: mean of the macro-F1 of the
          cells of one true type, over the types in which a second value has
          ``MIN_CELLS`` matched cells; NaN if there is none;
        - ``attr_<name>_macro_f1_within_types_majority``: the same for the
          most frequent value of the type;

        and ``attr_<name>_within_<type>`` of each such type.
    """
    matched, schema, profile = cells
    rows = matched.matches >= 0
    truth = matched.cell_codes[matched.matches[rows]]
    labels = matched.cell_labels[matched.matches[rows]]
    codes = matched.codes[rows]
    of_predicted = profile.majority_codes(matched.labels[rows])
    of_true = profile.majority_codes(labels)
    scores: Dict[str, List[float]] = {}
    of_types = {}
    for index, name in enumerate(schema.names):
        own, within, majority = truth[:, index], [], []
        for label, cell_type in enumerate(profile.types):
            inside = labels == label
            counts = np.bincount(own[inside & (own != MISSING)])
            if np.count_nonzero(counts >= MIN_CELLS) < 2:
                continue
            within.append(macro_f1(own[inside], codes[inside, index]))
            majority.append(macro_f1(own[inside], of_true[inside, index]))
            key = f'{prefix}attr_{name}_within_{cell_type.replace(" ", "_")}'
            of_types[key] = within[-1]
        for key, value in (
            ('macro_f1_predicted_type', macro_f1(own, of_predicted[:, index])),
            ('macro_f1_within_types', average_scores(within)),
            ('macro_f1_within_types_majority', average_scores(majority)),
        ):
            scores.setdefault(key, []).append(value)
    return {**with_means(scores, schema, prefix), **of_types}


def with_means(
    scores: Mapping[str, Sequence[float]],
    schema: AttributeSchema,
    prefix: str,
) -> Dict[str, float]:
    """Name scores of all attributes as :class:`LLDMetric` does, and means."""
    named = {
        f'{prefix}attr_{name}_{key}': float(value)
        for key, values in scores.items()
        for name, value in zip(schema.names, values)
    }
    for key, values in scores.items():
        named[f'{prefix}attr_{key}'] = average_scores(values)
    return named


def merge_values(cells: Described, merging: Merging) -> Described:
    """Merge values of attributes, in labels, predictions and counts.

    The probability of a merged value is the sum of those of its values.
    """
    matched, schema, profile = cells
    starts = dict(zip(schema.names, np.cumsum((0, *schema.sizes))))
    attributes, truth, codes, probs, counts = [], [], [], [], {}
    for name, (source, new_codes) in merging.items():
        size = max(new_codes) + 1
        values = tuple(f'value {code}' for code in range(size))
        attributes.append(dict(name=name, values=values))
        own = matched.cell_codes[:, schema.names.index(source)]
        # The last item is that of the code -1.
        truth.append(np.array([*new_codes, MISSING])[own])
        merges = np.eye(size)[list(new_codes)]
        columns = slice(starts[source], starts[source] + len(new_codes))
        probs.append(matched.probs[:, columns] @ merges)
        codes.append(probs[-1].argmax(axis=1))
        counts[name] = profile.counts[source] @ merges.astype(np.int64)
    merged = AttributeSchema(attributes)
    return Described(
        replace(
            matched,
            cell_codes=np.stack(truth, axis=1),
            codes=np.stack(codes, axis=1),
            probs=np.concatenate(probs, axis=1),
        ),
        merged,
        TypeProfile(profile.types, merged, counts),
    )
