# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from converter_fields import SCHEMA

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.issue_log import IssueLog


def read(names, **stated):
    return names.read(stated.items(), 'file', 'record', IssueLog())


@pytest.mark.parametrize(
    'name', ['nuclear_chromatin', 'nuclear_chromatio', 'Nuclear  Chromatin']
)
@pytest.mark.parametrize(
    'value, code',
    [('open', 0), (' Coarse ', 1), (1, 1), ('0', 0), ('', None), (None, None)],
)
def test_names_and_values(name, value, code):
    names = AttributeNames(SCHEMA)
    codes, ignored = read(names, **{name: value})
    assert codes == (None, code, None, None, None, None, None)
    assert not ignored
    names.check()


def test_attributes_left_out_are_counted():
    names = AttributeNames(SCHEMA, {'stain': None, 'size': 'Cell Size'})
    codes, ignored = read(names, stain='May', size='large', lobes=3, IGNORED=1)
    assert codes[0] == 2
    assert ignored
    assert names.unread == {
        "attribute 'stain' (by the map)": 1,
        "attribute 'lobes'": 1,
    }


@pytest.mark.parametrize(
    'attribute_map, message',
    [
        ({'size': 'volume'}, "turns 'size' into 'volume', expected one of"),
        ({'size': {'values': {}}}, 'expected "to"'),
        ({'size': {'to': 'cell_size', 'value': {}}}, 'expected "to"'),
        ({'size': {'to': 'cell_size', 'values': 3}}, 'an object of them'),
        ({'size': 3}, "turns 'size' into 3"),
        (
            {'size': {'to': 'cell_size', 'values': {'big': 'huge'}}},
            "turns 'big' of 'size' into 'huge', expected one of .'small'",
        ),
    ],
)
def test_maps_are_checked(attribute_map, message):
    with pytest.raises(ValueError, match=message):
        AttributeNames(SCHEMA, attribute_map)
