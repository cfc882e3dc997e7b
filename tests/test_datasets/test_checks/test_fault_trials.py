# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.datasets.checks import TRIALS
from mmleuk.datasets.checks.fault_trials import Trial, run_trial
from mmleuk.io import faults
from mmleuk.io.faults import FAULTS


@pytest.mark.parametrize(
    'trial', TRIALS, ids=[trial.name.replace(' ', '_') for trial in TRIALS]
)
def test_trial(trial, tmp_path):
    assert run_trial(trial, tmp_path).problem == ''


def test_every_fault_is_tried():
    tried = {
        fault.text for trial in TRIALS for fault in (trial.fault, *trial.also)
    }
    assert tried == set(FAULTS)


def inject(data):
    data.add_cell(bbox=[1, 1, 0, 0])


@pytest.mark.parametrize(
    'fault, change, problem',
    [
        (faults.NO_AREA, dict(inject=lambda data: None), 'counted {}'),
        (faults.OVER_EDGE, dict(), 'counted'),
        (faults.NO_AREA, dict(adds=1), '0 cells let in'),
        (faults.NO_AREA, dict(number=2), 'counted'),
        (
            faults.NO_AREA,
            dict(inject=lambda data: data.annotations[0].update(bbox=[9] * 4)),
            'counted {}',
        ),
        (
            faults.NO_AREA,
            dict(
                inject=lambda data: data.annotations[0].update(
                    bbox=[1, 1, 0, 0]
                )
            ),
            'good cells are lost',
        ),
        (faults.NO_JSON, dict(), 'not refused'),
        (faults.SHARED_PATIENT, dict(), 'reported {}'),
    ],
)
def test_a_trial_can_fail(tmp_path, fault, change, problem):
    trial = Trial(**{**dict(name='x', fault=fault, inject=inject), **change})
    assert run_trial(trial, tmp_path).problem.startswith(problem)
