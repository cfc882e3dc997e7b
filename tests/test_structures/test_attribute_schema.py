# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import replace

import pytest

from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema


def test_lld_schema():
    schema = AttributeSchema(LLD_ATTRIBUTES)
    assert len(schema) == 7
    assert schema.sizes == (3, 2, 2, 2, 2, 2, 2)
    assert schema.num_values == 15
    assert schema[1].json_key == 'nuclear_chromatio'
    assert schema[0].json_key == schema[0].name == 'cell_size'


def test_clean_masks_what_is_no_value():
    schema = AttributeSchema(LLD_ATTRIBUTES)
    codes = schema.clean([2, 2, 4, None, -7, 1, 0])
    assert codes == (2, MISSING, MISSING, MISSING, MISSING, 1, 0)


def test_clean_wants_one_code_an_attribute():
    with pytest.raises(ValueError, match='6 attribute codes.*expected 7'):
        AttributeSchema(LLD_ATTRIBUTES).clean([0] * 6)


def test_describe():
    words = AttributeSchema(LLD_ATTRIBUTES).describe([2, 0, 1, -1, 4, 1, 0])
    assert words['cell_size'] == 'large'
    assert words['nuclear_chromatin'] == 'open'
    assert words['nucleolus'] is None
    assert words['cytoplasm'] is None
    assert words['cytoplasmic_vacuoles'] == 'absent'


def test_equality_follows_content():
    assert AttributeSchema(LLD_ATTRIBUTES) == AttributeSchema(LLD_ATTRIBUTES)
    assert AttributeSchema(LLD_ATTRIBUTES) != AttributeSchema(
        LLD_ATTRIBUTES[:6]
    )


@pytest.mark.parametrize(
    ('attributes', 'message'),
    [
        ([], 'at least one'),
        ([dict(name='a b', values=('x', 'y'))], 'identifier'),
        ([dict(name='a', values=('x',))], 'at least two'),
        ([dict(name='a', values=('x', 'y'))] * 2, 'must differ'),
    ],
)
def test_bad_schemas_are_named(attributes, message):
    with pytest.raises(ValueError, match=message):
        AttributeSchema(attributes)


def test_json_keys():
    schema = AttributeSchema(LLD_ATTRIBUTES)
    assert schema[0].json_keys == ('cell_size',)
    assert schema[1].json_keys == ('nuclear_chromatio', 'nuclear_chromatin')
    (first, second, *_) = AttributeSchema(schema.to_list())
    assert second.json_keys == schema[1].json_keys
    # As in checkpoints that do not state them.
    assert first == schema[0]
    assert second == replace(second, json_aliases=())


def test_a_key_belongs_to_one_attribute():
    own = dict(name='a', values=('x', 'y'), json_key='k')
    other = dict(name='b', values=('x', 'y'), json_aliases=('k',))
    with pytest.raises(ValueError, match="keys of the JSON.*'k', 'b', 'k'"):
        AttributeSchema([own, other])


def test_missing_codes_are_codes_of_no_value():
    schema = AttributeSchema(LLD_ATTRIBUTES, missing_codes=[99])
    assert schema.missing_codes == (99,)
    with pytest.raises(ValueError, match="those of .*'large'"):
        AttributeSchema(LLD_ATTRIBUTES, missing_codes=[2])


@pytest.mark.parametrize('codes', [99, '99', [9.5], [True]])
def test_missing_codes_are_whole_numbers(codes):
    with pytest.raises(TypeError, match='missing_codes is'):
        AttributeSchema(LLD_ATTRIBUTES, missing_codes=codes)
