# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.reports import ReportSettings


def test_blasts_are_those_that_the_model_knows():
    settings = ReportSettings()
    assert settings.find_blasts(['monocyte', 'monoblast', 'myeloblast']) == (
        'myeloblast',
        'monoblast',
    )
    assert settings.find_blasts(['wbc']) == ()


def test_the_user_names_blasts():
    settings = ReportSettings(blast_types=('blast',))
    assert settings.find_blasts(['blast', 'non-blast']) == ('blast',)
    with pytest.raises(ValueError, match="'blast', expected one of wbc"):
        settings.find_blasts(['wbc'])


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(level=0),
        dict(level=95),
        dict(blast_mark=20),
        dict(min_fields=1),
        dict(max_cells=-1),
        dict(picture_size=1),
        dict(focus_ratio=-0.1),
    ],
)
def test_senseless_numbers_are_refused(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(ValueError, match=f'got {name}={value}, expected'):
        ReportSettings(**kwargs)
