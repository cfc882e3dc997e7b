# Copyright (c) mmleuk authors. All rights reserved.
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmleuk.reports.report import page_name

HOSTILE = [
    None,
    '',
    '.',
    '..',
    '../x',
    '/etc/passwd',
    'a/b',
    'a\\b',
    'C:x',
    'con',
    'A',
    'a',
    'a ',
    'a.',
    'x' * 40,
    'x' * 41,
    'x' * 5000,
    '\u00c4',  # composed
    'A\u0308',  # decomposed
    '患者',
    '\ud800',
    'a\0b',
    'a\nb',
    '<script>',
    'no_patient_named',
    'patient_a',
    '-rf',
]


def test_plain_names_are_kept():
    assert page_name('7') == 'patient_7'
    assert page_name('p07-b') == 'patient_p07-b'


def test_hostile_names_are_safe_and_differ():
    names = [page_name(patient) for patient in HOSTILE]
    # No two are one file where casing does not count.
    assert len({name.lower() for name in names}) == len(HOSTILE)
    for name in names:
        assert re.fullmatch(r'[a-z][a-z0-9_.-]{0,70}', name), name
        assert not name.endswith('.')


def test_a_name_cannot_pass_for_the_hash_of_another():
    hashed = page_name('A')
    assert page_name(hashed.removeprefix('patient_')) != hashed


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_patients_have_different_files(pair):
    first, second = map(page_name, pair)
    assert first.lower() != second.lower()


@pytest.mark.parametrize('patient', HOSTILE)
def test_can_be_written(tmp_path, patient):
    path = tmp_path / f'{page_name(patient)}.html'
    path.write_text('x')
    assert path.parent.resolve() == tmp_path.resolve()
