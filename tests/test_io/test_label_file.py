# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import replace

import pytest

from mmleuk.io.label_file import LabelFile
from mmleuk.structures import LLD_SCHEMA


def image(number, name, **kwargs):
    return dict(id=number, file_name=name, width=60, height=40, **kwargs)


def content(images, *annotations):
    return dict(
        info='kept',
        images=images,
        annotations=[
            dict(dict(id=i, category_id=4, bbox=[5, 5, 10, 10]), **annotation)
            for i, annotation in enumerate(annotations)
        ],
        categories=[dict(id=4, name='Atypical_Lymphocyte')],
    )


def test_records_are_read_without_repair():
    labels = LabelFile(
        content(
            [image(7, 'a.png'), image(8, 'a.png'), image('x', 'b.png')],
            dict(image_id=7, bbox=[50, -2, 20, 8], nucleolus=1),
            dict(image_id=8, bbox=[50, -2, 20, 8], ignore=1),
            dict(image_id='x', category_id=5),
        ),
        LLD_SCHEMA,
    )
    one, two = labels.fields
    assert (one.file_name, one.width, one.height) == ('a.png', 60, 40)
    cell, crowd = one.cells
    assert cell.bbox == crowd.bbox == (50, 0, 60, 6)
    assert cell.category == 'atypical lymphocyte'
    assert cell.attributes == (-1, -1, -1, 1, -1, -1, -1)
    assert (cell.ignored, crowd.ignored) == (False, True)
    assert two.cells[0].category == 'unknown'
    assert two.image_id == 'x'
    assert not labels.others


def test_what_is_taken_is_kept_as_it_is():
    whole = content(
        [image(0, 'a.png', note=1), image(1, 'b.png'), image(0, 'a.png')],
        dict(image_id=1),
        dict(image_id=0, note=[2]),
        dict(image_id=0),
        dict(image_id=9),
        dict(image_id=0, bbox=[70, 5, 10, 10]),
    )
    labels = LabelFile(whole)
    assert labels.take(labels.fields, keep_others=True) == whole
    assert [item['id'] for item in labels.others] == [3, 4]
    field = labels.fields[0]
    regions = ((0, 0, 30, 20),)
    part = labels.take(
        [replace(field, cells=field.cells[:1], annotated_regions=regions)]
    )
    first, last = part['images']
    assert first == dict(
        whole['images'][0], annotated_regions=[[0, 0, 30, 20]]
    )
    assert last['annotated_regions'] == [[0, 0, 30, 20]]
    assert part['annotations'] == whole['annotations'][1:2]
    assert part['annotations'][0] is whole['annotations'][1]
    assert part['info'] == 'kept'
    # Its own content is left as it is.
    assert 'annotated_regions' not in whole['images'][0]


def test_regions_are_read():
    images = [image(0, 'a.png', annotated_regions=[[0, 0, 5, 5]])]
    images.append(image(1, 'b.png', annotated_regions=[]))
    regions = [
        field.annotated_regions for field in LabelFile(content(images)).fields
    ]
    assert regions == [((0, 0, 5, 5),), ()]


def test_without_boxes_nothing_needs_a_place():
    labels = LabelFile(
        dict(
            images=[dict(id=0, file_name='a.png', annotated_regions=5)],
            annotations=[dict(image_id=0, category_id=1), dict(image_id=[])],
            categories=[dict(id=1, name='none')],
        ),
        boxes=False,
    )
    assert [cell.category for cell in labels.fields[0].cells] == ['none']
    assert labels.others == [dict(image_id=[])]
    assert labels.take(labels.fields)['images'] == labels.content['images']


@pytest.mark.parametrize('bbox', [None, [1, 2, 3], [0, 0, float('nan'), 5]])
def test_a_box_that_is_none_is_an_error(bbox):
    with pytest.raises(ValueError, match='annotation 0 .id 0. has the bbox'):
        LabelFile(content([image(0, 'a.png')], dict(image_id=0, bbox=bbox)))
