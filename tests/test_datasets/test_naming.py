# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.datasets.naming import (
    LLD_SUBSETS,
    FieldName,
    match_folder,
    normalise_patient,
    normalise_subset,
    parse_field_name,
)


@pytest.mark.parametrize(
    'name, expected',
    [
        ('4_15_1000_ALL.png', ('4', '15', '100x', 'ALL')),
        ('a/b/12_003_100_apml.JPG', ('12', '003', '10x', 'APML')),
        ('P7_15_3_400_CML.png', ('P7', '15_3', '40x', 'CML')),
        ('4_15_400_CLL', ('4', '15', '40x', 'CLL')),
    ],
)
def test_names_of_fields(name, expected):
    assert parse_field_name(name) == FieldName(*expected)


@pytest.mark.parametrize(
    'name',
    [
        'train_000_1000_PBC.jpg',  # `train` is no patient
        'BloodImage_00101.jpg',
        '4_15_1000.png',
        '4_15_777_ALL.png',
        '4_15_1_2_1000_ALL.png',
        '4_15_1000_ALL_copy.png',
        '4_x_1000_ALL.png',
        '',
        'élève_1_1000_ALL.png',
    ],
)
def test_other_names_say_nothing(name):
    assert parse_field_name(name) == FieldName(None, None, None, None)


def test_patients_are_compared_as_numbers():
    assert {normalise_patient(p) for p in (4, '4', '04', ' 4')} == {'4'}
    assert normalise_patient('P07') == normalise_patient('p07') == 'p07'
    assert normalise_patient(0) == '0'


def test_subsets():
    assert len(set(LLD_SUBSETS)) == 12
    assert {'H_100X_C1', 'L_10X_C2'} < set(LLD_SUBSETS)
    assert normalise_subset('h_40x_c2') == 'H_40X_C2'
    assert normalise_subset('My_set') == 'My_set'


def test_folders_are_found_in_any_casing():
    folders = ['H_100x_C1', 'L_100X_C1', 'l_100x_c1']
    assert match_folder('h_100X_c1', folders, 'r') == 'H_100x_C1'
    assert match_folder('L_100X_C1', folders, 'r') == 'L_100X_C1'
    with pytest.raises(ValueError, match='L_100X_C1, l_100x_c1 could all be'):
        match_folder('L_100x_C1', folders, 'r')
    with pytest.raises(FileNotFoundError, match='H_40X_C1 is there, found H_'):
        match_folder('H_40X_C1', folders, 'r')
