# Copyright (c) mmleuk authors. All rights reserved.
import json
from xml.etree import ElementTree

import pytest
from converter_fields import SCHEMA
from labelling_exports import choice, rectangle, task

from mmleuk.io import make_cvat_labels, make_label_studio_config
from mmleuk.structures.metainfo import LLD_CLASSES


def test_cvat_states_nothing_unasked(exports):
    labels = json.loads(make_cvat_labels(SCHEMA, LLD_CLASSES))
    *cells, region = labels
    assert [label['name'] for label in cells] == list(LLD_CLASSES)
    assert region == dict(
        name='annotated region',
        color='#000000',
        type='rectangle',
        attributes=[],
    )
    assert len({label['color'] for label in labels}) == len(labels)
    # A box drawn and left as it is: every attribute has its default.
    for label in cells:
        drawn = ''.join(
            f'<attribute name="{item["name"]}">{item["default_value"]}'
            '</attribute>'
            for item in label['attributes']
        )
        (field,) = exports.read(
            'cvat',
            '<annotations><image name="a.png" width="64" height="48"><box '
            f'label="{label["name"]}" xtl="1" ytl="1" xbr="9" ybr="9">{drawn}'
            '</box></image></annotations>',
        )
        (cell,) = field.cells
        assert cell.category == label['name']
        assert cell.attributes == (-1,) * 7
        assert not cell.ignored
        assert not exports.report.unread


def test_every_choice_of_cvat_is_understood(exports):
    label = json.loads(make_cvat_labels(SCHEMA, LLD_CLASSES))[1]
    for column, attribute in enumerate(label['attributes'][:-1]):
        assert attribute['values'][0] == attribute['default_value']
        for code, value in enumerate(attribute['values']):
            (field,) = exports.read(
                'cvat',
                '<annotations><image name="a.png"><box label="monocyte" '
                'xtl="1" ytl="1" xbr="9" ybr="9"><attribute name="'
                f'{attribute["name"]}">{value}</attribute></box></image>'
                '</annotations>',
            )
            codes = [-1] * 7
            codes[column] = code - 1
            assert field.cells[0].attributes == tuple(codes)


def test_every_choice_of_label_studio_is_understood(exports):
    root = ElementTree.fromstring(
        make_label_studio_config(SCHEMA, LLD_CLASSES, 'done')
    )
    image = root.find('Image')
    assert image.get('value') == '$image'
    labels = [label.get('value') for label in root.iter('Label')]
    assert labels == ['done', *LLD_CLASSES]
    # The attributes show for cells, not for regions.
    assert root.find('View').get('whenLabelValue').split(',') == labels[1:]
    expected = {
        (attribute.name, value): (column, code)
        for column, attribute in enumerate(SCHEMA)
        for code, value in enumerate(attribute.values)
    }
    found = {}
    for choices in root.iter('Choices'):
        assert choices.get('perRegion') == 'true'
        assert choices.get('toName') == image.get('name')
        for item in choices.iter('Choice'):
            name, value = choices.get('name'), item.get('value')
            (field,) = exports.read(
                'label_studio',
                [
                    task(
                        'a.png',
                        rectangle('x', labels[2], 0, 0, 50, 50),
                        choice('x', name, value),
                        rectangle('y', labels[0], 0, 0, 50, 50),
                    )
                ],
                region_label='done',
            )
            (cell,) = field.cells
            assert field.annotated_regions == ((0, 0, 32, 24),)
            if name == 'ignored':
                assert cell.ignored
                continue
            (column,) = (i for i, c in enumerate(cell.attributes) if c >= 0)
            found[name, value] = column, cell.attributes[column]
    assert found == expected


@pytest.mark.parametrize('make', [make_cvat_labels, make_label_studio_config])
@pytest.mark.parametrize('label', ['Monocyte', ' '])
def test_the_region_label_is_no_class(make, label):
    with pytest.raises(ValueError, match='a name that no class has'):
        make(SCHEMA, LLD_CLASSES, label)


def test_label_studio_parts_labels_by_commas():
    with pytest.raises(ValueError, match='without a comma'):
        make_label_studio_config(SCHEMA, ['cell, white'])
