# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path

from mmleuk.io.faults import FAULTS, OUTCOMES, Outcome, fault_table

DOCS = Path(__file__).parents[2] / 'docs' / 'dataset.md'


def test_the_docs_hold_the_table():
    assert f'\n{fault_table()}\n' in DOCS.read_text(encoding='utf-8')


def test_the_docs_explain_the_outcomes():
    text = DOCS.read_text(encoding='utf-8')
    for outcome, meaning in OUTCOMES.items():
        assert f'- **{outcome.value}**: {meaning}' in text


def test_every_outcome_has_a_meaning():
    assert set(OUTCOMES) == set(Outcome)


def test_what_is_dropped_says_of_which_unit():
    for fault in FAULTS.values():
        if fault.outcome is Outcome.DROPPED:
            assert fault.removes, fault
        # A table cell in Markdown.
        assert '|' not in fault.text + fault.found
