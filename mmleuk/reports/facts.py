# Copyright (c) mmleuk authors. All rights reserved.
"""Facts of the sample, the model and the report that a page lists."""

from collections import Counter
from typing import Iterable, List, Optional, Tuple

from mmleuk.structures import PredictionHeader
from mmleuk.version import __version__

from .patient_summary import PatientSummary
from .settings import ReportSettings
from .wording import number

_UNKNOWN = 'not stated'


def model_facts(header: PredictionHeader) -> List[Tuple[str, str]]:
    """List the facts of the model at the top of a page.

    Args:
        header (PredictionHeader): Header of the predictions.

    Returns:
        list[tuple[str, str]]: Names and texts.
    """
    return [
        # The day will do; the time is with the provenance.
        ('Analysed', header.created[:10]),
        ('Model', str(header.model.get('checkpoint') or _UNKNOWN)),
        ('Trained on', str(header.model.get('dataset') or _UNKNOWN)),
    ]


def sample_facts(summary: PatientSummary) -> List[Tuple[str, str]]:
    """List the facts of the sample at the top of a page.

    Args:
        summary (PatientSummary): Counts of the patient.

    Returns:
        list[tuple[str, str]]: Names and texts.
    """
    scales = [field.scale for field in summary.fields]
    facts = [
        ('Fields', f'{len(summary.fields):,}'),
        ('Cells counted', f'{summary.num_named:,}'),
        ('Magnification', _list_counts(scale[0] for scale in scales)),
    ]
    if any(scale[1] for scale in scales):
        facts.append(('Subset', _list_counts(scale[1] for scale in scales)))
    if summary.diagnoses:
        names = ', '.join(sorted(summary.diagnoses))
        facts.append(('Diagnosis in file names (not used)', names))
    return facts


def provenance(
    header: PredictionHeader, settings: ReportSettings
) -> List[Tuple[str, str]]:
    """List the origin of the numbers.

    Args:
        header (PredictionHeader): Header of the predictions.
        settings (ReportSettings): Settings of the report.

    Returns:
        list[tuple[str, str]]: Names and texts.
    """
    names = dict(
        config='Config',
        checkpoint='Checkpoint',
        sha256='SHA-256 of the checkpoint',
        dataset='Training data',
        score_thr='Score threshold',
    )
    facts = [('Analysed', header.created)]
    for key, name in names.items():
        value = header.model.get(key)
        facts.append((name, _UNKNOWN if value is None else str(value)))
    software = [f'{name} {text}' for name, text in header.software.items()]
    return facts + [
        ('Calibrated on', _name_calibration(header.calibration)),
        ('Software', ', '.join(software) or _UNKNOWN),
        ('Report', f'mmleuk {__version__}'),
        (
            'Bootstrap',
            f'{settings.num_resamples} draws of fields, seed {settings.seed}',
        ),
        ('Types of the model', ', '.join(header.types)),
    ]


def _name_calibration(calibration: Optional[dict]) -> str:
    if calibration is None:
        return 'nothing: the model is not calibrated'
    text = str(calibration.get('fitted_on') or f'data {_UNKNOWN}')
    if calibration.get('num_cells') is not None:
        text += f', {number(calibration["num_cells"], "cell")}'
    return text


def _list_counts(values: Iterable[Optional[str]]) -> str:
    counts = Counter(value or _UNKNOWN for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return ', '.join(f'{name} ({counts[name]})' for name in sorted(counts))
