# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest

from mmleuk.apis.image_inputs import list_images


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def files(images):
    return [image.file for image in images]


def test_a_folder_is_listed_in_order(tmp_path):
    touch(tmp_path, 'b.PNG', 'a.tif', 'c.txt', '._b.png', 's.svs', 'd/a.jpg')
    images, root = list_images(str(tmp_path))
    assert (files(images), root) == (['a.tif', 'b.PNG'], str(tmp_path))
    images, _ = list_images(tmp_path, recursive=True)
    assert files(images) == ['a.tif', 'b.PNG', 'd/a.jpg']
    images, _ = list_images(tmp_path, with_slides=True)
    assert files(images) == ['a.tif', 'b.PNG', 's.svs']


def test_a_list_of_paths_and_images(tmp_path):
    paths = [tmp_path / 'p' / 'a.png', str(tmp_path / 'q' / 'r' / 'a.png')]
    image = np.zeros((4, 5, 3), np.uint8)
    images, root = list_images([*paths, image])
    assert files(images) == ['p/a.png', 'q/r/a.png', 'image_000002']
    assert root == str(tmp_path)
    assert images[2].source is image
    assert images[2].describe() == {}
    assert list_images(image)[1] is None


def test_one_path(tmp_path):
    touch(tmp_path, 'a.png')
    images, root = list_images(tmp_path / 'a.png')
    assert (files(images), root) == (['a.png'], str(tmp_path))


@pytest.mark.parametrize(
    'inputs, error, message',
    [
        ('absent', FileNotFoundError, 'no image or folder absent'),
        ([], ValueError, 'got no image'),
        (3, TypeError, 'an input of type int'),
        (['a.png', 3], TypeError, 'input 1 is of type int'),
    ],
)
def test_wrong_inputs_are_named(inputs, error, message):
    with pytest.raises(error, match=message):
        list_images(inputs)


def test_a_folder_without_images_is_named(tmp_path):
    touch(tmp_path, 'a/b.png')
    with pytest.raises(ValueError, match='holds no image.*`recursive`'):
        list_images(tmp_path)


def test_names_tell_of_the_patient(tmp_path):
    path = tmp_path / 'h_100X_C1' / 'P9' / '4_15_3_400_ALL.png'
    (image,), _ = list_images([path])
    expected = dict(
        patient='4',
        field='15_3',
        magnification='40x',
        diagnosis='ALL',
        subset='H_100X_C1',
    )
    assert image.describe(patient_from_folder=True) == expected
    (image,), _ = list_images([path.with_name('IMG_7.png')])
    assert set(image.describe().values()) == {None, 'H_100X_C1'}
    assert image.describe(patient_from_folder=True)['patient'] == 'P9'


def test_a_name_that_is_no_text_is_replaced(tmp_path):
    path = tmp_path / 'caf\udce9.png'
    (image,), _ = list_images([path])
    assert image.file == 'caf\ufffd.png'
    assert image.source == str(path)
