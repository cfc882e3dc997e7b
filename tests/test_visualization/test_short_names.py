# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.visualization.short_names import abbreviate_classes, value_codes

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)


def test_abbreviations_of_lld_differ_and_are_short():
    short = abbreviate_classes(LLD_CLASSES)
    assert len({name.lower() for name in short}) == len(LLD_CLASSES)
    assert max(map(len, short)) <= 5


def test_other_classes_are_abbreviated():
    names = ('sickle cell', 'spherocyte', 'spherule', 'non-blast')
    assert abbreviate_classes(names) == ('SC', 'Sphe', 'spherule', 'NB')


def test_codes_tell_values_apart():
    codes = value_codes(SCHEMA)
    for attribute in SCHEMA:
        its = [code.lower() for code in codes[attribute.name]]
        assert len(set(its)) == len(attribute.values)
    assert codes['cell_size'] == ('s', 'm', 'L')
    assert codes['nuclear_chromatin'] == ('O', 'c')


def test_codes_grow_until_they_differ():
    schema = AttributeSchema([dict(name='hue', values=('pink', 'pale'))])
    assert value_codes(schema)['hue'] == ('pi', 'pa')


def test_marked_values_are_an_argument():
    codes = value_codes(SCHEMA, {'cell_size': ('small', 'large')})
    assert codes['cell_size'] == ('S', 'm', 'L')
    assert codes['nuclear_chromatin'] == ('o', 'c')


@pytest.mark.parametrize(
    'marked', [{'cell_size': ('huge',)}, {'granules': ('many',)}]
)
def test_an_unknown_marked_value_is_named(marked):
    with pytest.raises(ValueError, match='marked_values has'):
        value_codes(SCHEMA, marked)
