# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp

import pytest

from mmleuk.visualization.picture_names import PictureNames, common_folder


def test_folders_below_the_common_one_are_kept():
    paths = [
        'data/lld/H_100X_C1/images/train/4_15.png',
        'data/lld/L_100X_C1/images/train/4_15.png',
    ]
    names = PictureNames(common_folder(paths))
    assert [names.relative_path(path) for path in paths] == [
        'H_100X_C1/images/train/4_15.png',
        'L_100X_C1/images/train/4_15.png',
    ]
    assert names.key(paths[0]) == 'H_100X_C1+images+train+4_15.png'


def test_one_folder_leaves_the_names():
    paths = ['/data/images/a.png', '/data/images/b.jpg']
    names = PictureNames(common_folder(paths))
    assert [names.relative_path(p) for p in paths] == ['a.png', 'b.jpg']


def test_the_same_image_has_the_same_name():
    names = PictureNames()
    assert names.relative_path('a/b.png') == names.relative_path('a/b.png')


@pytest.mark.parametrize(
    'first, second',
    [
        ('a/b.png', 'a__b.png'),
        ('a/b.png', 'a+b.png'),
        ('a/b.png', 'a%2Bb.png'),
        ('a/b.tif', 'a/b.tif.png'),
        ('a/b.png', 'a/B.PNG'),
        ('a/b?.png', 'a/b*.png'),
        ('../a.png', '__/a.png'),
        ('x' * 300 + '1.png', 'x' * 300 + '2.png'),
    ],
)
def test_different_images_never_share_a_name(first, second):
    names = PictureNames()
    for method in (names.relative_path, names.key):
        assert method(first).lower() != method(second).lower()


@pytest.mark.parametrize(
    'path',
    [
        '../../etc/passwd',
        '/etc/passwd',
        'images/../../../x.png',
        '..\\..\\x.png',
        'a/\n\0.png',
        '..',
        '',
        's3://bucket/../../x.png',
    ],
)
def test_a_hostile_name_stays_in_the_folder(path, tmp_path):
    names = PictureNames(common_folder(['images/a.png']))
    file = names.file(str(tmp_path), path)
    assert osp.realpath(file).startswith(str(tmp_path) + osp.sep)
    assert file.isprintable()
    assert '/' not in names.key(path)


def test_a_format_that_no_browser_shows_becomes_png():
    assert PictureNames().relative_path('a.tiff') == 'a.tiff.png'


def test_keys_fit_a_file_system():
    key = PictureNames().key('/'.join(['long' * 20] * 5) + '.png')
    assert len(key) < 230
