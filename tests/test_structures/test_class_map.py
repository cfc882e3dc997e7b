# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.structures.class_map import ClassMap, LabelMap
from mmleuk.structures.metainfo import LLD_CLASSES


def test_without_a_map_every_class_keeps_its_name():
    class_map = ClassMap()
    assert not class_map
    assert class_map.classes() == LLD_CLASSES
    labels = LabelMap(class_map, LLD_CLASSES)
    assert [labels(name, False) for name in LLD_CLASSES] == [
        (i, False) for i in range(14)
    ]


def test_wbc():
    class_map = ClassMap('wbc')
    assert class_map.classes() == ('wbc',)
    assert {class_map(name) for name in LLD_CLASSES} == {'wbc'}


def test_blast():
    class_map = ClassMap('blast')
    assert set(class_map.classes()) == {'blast', 'non-blast'}
    blasts = [name for name in LLD_CLASSES if class_map(name) == 'blast']
    assert blasts == ['myeloblast', 'lymphoblast', 'monoblast']
    labels = LabelMap(class_map, class_map.classes())
    assert labels('none', False) == (0, True)
    assert labels('monocyte', False) == (
        class_map.classes().index('non-blast'),
        False,
    )


def test_merge_ignore_and_drop():
    class_map = ClassMap(
        {'Monoblast': 'myeloblast', 'none': 'ignore', 'basophil': None}
    )
    classes = class_map.classes()
    assert set(LLD_CLASSES) - set(classes) == {'monoblast', 'none', 'basophil'}
    labels = LabelMap(class_map, classes)
    assert labels('monoblast', False) == labels('myeloblast', False)
    assert labels('none', False) == (0, True)
    assert labels('basophil', False) is labels('basophil', True) is None
    assert labels('monocyte', True) == (classes.index('monocyte'), True)


def test_star_stands_for_the_rest():
    class_map = ClassMap({'*': 'other cell', 'erythrocyte': None})
    assert class_map.classes() == ('other cell',)
    assert class_map('platelet') == 'other cell'
    assert class_map('erythrocyte') is None


def test_targets_of_foreign_classes_are_classes():
    class_map = ClassMap(
        {'white blood cell': 'wbc', **dict.fromkeys(LLD_CLASSES, 'wbc')}
    )
    assert class_map.classes() == ('wbc',)
    assert ClassMap(dict(platelet='thrombocyte')).classes() == (
        *LLD_CLASSES,
        'thrombocyte',
    )


def test_unknown_classes():
    labels = LabelMap(ClassMap(), ('Neutrophil',))
    assert labels('neutrophil', False) == (0, False)
    with pytest.raises(KeyError):
        labels('platelet', False)
    # A cell that is ignored anyway needs no class.
    assert labels('platelet', True) == (0, True)


def test_malformed_maps_are_refused():
    with pytest.raises(ValueError, match="'leukocyte', expected one of"):
        ClassMap('leukocyte')
    with pytest.raises(TypeError, match="'none' into 3"):
        ClassMap(dict(none=3))
    with pytest.raises(ValueError, match='class names must differ'):
        LabelMap(ClassMap(), ('a b', 'A_B'))


def test_differences_of_two_maps():
    one = ClassMap({'Blast': 'wbc', 'none': None, '*': 'other'})
    assert one.differences(one) == {}
    assert ClassMap().differences(ClassMap({'blast': 'blast'})) == {}
    found = one.differences(ClassMap({'blast': 'wbc', 'smudge': 'other'}))
    assert found == {'*': ('other', '*'), 'none': (None, 'none')}
    assert one.differences(ClassMap(), ['None', 'monocyte']) == {
        'none': (None, 'none')
    }
