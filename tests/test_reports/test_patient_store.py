# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from film_predictions import make_cell, make_image

from mmleuk.reports import ReportSettings
from mmleuk.reports.patient_store import PatientStore


def fill(images, **settings):
    store = PatientStore(ReportSettings(**settings))
    store.add_all(images)
    return store


def test_scattered_images_come_together_in_natural_order():
    images = [
        make_image('c.png', patient='10', field='2'),
        make_image('a.png', patient='9', field='10'),
        make_image('b.png', patient='10', field='1'),
        make_image('d.png', patient='9', field='9', cells=[make_cell()]),
        make_image('e.png', patient=None),
    ]
    with fill(images) as store:
        assert store.patients() == ['9', '10', None]
        nine = list(store.images('9'))
        assert [image for _, image in nine] == [images[3], images[1]]
        assert store.image(nine[0][0]) == images[3]
        assert [i.file for _, i in store.images('10')] == ['b.png', 'c.png']
        assert [i.file for _, i in store.images(None)] == ['e.png']
    with fill(reversed(images)) as store:
        again = [image for _, image in store.images('9')]
        assert again == [images[3], images[1]]


def test_an_empty_name_is_none():
    with fill([make_image(patient='')]) as store:
        assert store.patients() == [None]


def test_patients_stay_apart_as_written():
    images = [make_image(f'{p!r}.png', patient=p) for p in ('4', '04', 'a\0')]
    with fill(images) as store:
        assert set(store.patients()) == {'4', '04', 'a\0'}


def test_folders_name_patients():
    images = [
        make_image('site/p1/1.png', patient='x'),
        make_image('site\\p1\\2.png', patient='x'),
        make_image('site2/p1/1.png'),
        make_image('1.png', patient='x'),
    ]
    with fill(images, patient_from_folder=True) as store:
        assert store.patients() == ['site/p1', 'site2/p1', None]
        assert len(list(store.images('site/p1'))) == 2


def test_a_repeated_file_counts_once():
    images = [make_image(cells=[make_cell()]), make_image(), make_image('b')]
    with fill(images) as store:
        assert store.num_repeated == 1
        first, _ = store.images('3')
        assert first[1] == images[0]


def test_one_magnification():
    images = [
        make_image('a.png', magnification='40x'),
        make_image('b.png', magnification='100x'),
        make_image('c.png', magnification=None),
    ]
    with fill(images, magnification='100x') as store:
        assert [image.file for _, image in store.images('3')] == ['b.png']
        assert store.num_left_out == 2


@pytest.mark.parametrize('name', ['\ud800', '"; DROP TABLE images; --', "'"])
def test_any_name_can_be_stored(name):
    image = make_image(f'{name}.png', patient=name)
    with fill([image]) as store:
        assert store.patients() == [name]
        assert [i for _, i in store.images(name)] == [image]
