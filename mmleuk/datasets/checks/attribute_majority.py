# Copyright (c) mmleuk authors. All rights reserved.
"""What guessing attributes by type and patient scores."""

from typing import Dict, Optional, Sequence

import numpy as np

from mmleuk.datasets.naming import normalise_patient
from mmleuk.structures import MISSING, AttributeSchema, TypeProfile, macro_f1

Scores = Dict[str, Optional[float]]


def score_majorities(
    infos: Sequence[dict], schema: AttributeSchema
) -> Dict[str, Dict[str, Scores]]:
    """Score the most frequent values of groups of cells on these cells.

    The value of each attribute that is most frequent in the group of a cell
    is taken for its prediction. Groups are all cells, those of a type, those
    of a patient, and those of a type in a patient; the last two only if some
    image names its patient. The cells that are scored are also those that
    are counted, so that small groups score too high.

    Args:
        infos (Sequence[dict]): Images of an ``LLDDataset``. Ignored cells are
            left out.
        schema (AttributeSchema): The attributes.

    Returns:
        dict[str, dict[str, dict[str, float | None]]]: For each title of an
        attribute and name of a group the ``accuracy`` and the ``macro_f1`` as
        in ``LLDMetric``, None if no cell states the attribute.
    """
    types, patients, codes = [], [], []
    for info in infos:
        patient = info['patient']
        name = '' if patient is None else normalise_patient(str(patient))
        for cell in info['instances']:
            if not cell['ignore_flag']:
                types.append(cell['bbox_label'])
                patients.append(name)
                codes.append(cell['attributes'])
    groups = {'all': [0] * len(types), 'type': types}
    if any(patients):
        groups['patient'] = patients
        groups['type in patient'] = list(zip(types, patients))
    truth = np.array(codes, dtype=np.int64).reshape(-1, len(schema))
    scores: Dict[str, Dict[str, Scores]] = {
        title: {} for title in schema.titles
    }
    for group, members in groups.items():
        numbers = {name: n for n, name in enumerate(dict.fromkeys(members))}
        labels = np.array([numbers[name] for name in members], dtype=np.int64)
        counts = TypeProfile.count(list(numbers), schema, zip(labels, codes))
        usual = counts.majority_codes(labels)
        for index, title in enumerate(schema.titles):
            scores[title][group] = _score(truth[:, index], usual[:, index])
    return scores


def _score(truth: np.ndarray, predicted: np.ndarray) -> Scores:
    """Accuracy and macro-F1 over the cells with a known code, (n, )."""
    known = truth != MISSING
    if not known.any():
        return dict(accuracy=None, macro_f1=None)
    return dict(
        accuracy=float(np.mean(truth[known] == predicted[known])),
        macro_f1=macro_f1(truth, predicted),
    )
