# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.structures.metainfo import (
    LLD_CLASSES,
    LLD_METAINFO,
    LLD_PALETTE,
    make_palette,
    make_schema,
)


def test_one_colour_a_class():
    assert len(LLD_CLASSES) == len(set(LLD_CLASSES)) == 14
    assert len(LLD_PALETTE) == len(set(LLD_PALETTE)) == 14
    assert LLD_METAINFO['classes'] == LLD_CLASSES


def test_classes_without_attributes():
    codes = (2, *[0] * 6)
    schema = make_schema(LLD_METAINFO)
    assert schema.clean(codes, 'none') == (-1,) * 7
    assert schema.clean(codes, 'monocyte') == schema.clean(codes) == codes
    for names in ((), ['Smudge_Cell']):
        other = make_schema(
            dict(LLD_METAINFO, classes_without_attributes=names)
        )
        assert other == schema
        assert other.clean(codes, 'none') == codes
    assert other.clean(codes, 'smudge cell') == (-1,) * 7


def test_palette_keeps_the_colours_of_classes():
    palette = make_palette(('wbc', 'basophil', 'rbc', 'none'))
    assert palette[1] == LLD_PALETTE[LLD_CLASSES.index('basophil')]
    assert palette[3] == LLD_PALETTE[0]
    assert palette[0] != palette[2]
    assert len(make_palette([f'{i}' for i in range(30)])) == 30
