# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from PIL import Image

from mmleuk.datasets.readers import AnnotationError, ImageFolder


def test_sizes_are_those_of_the_files(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png', (20, 10))
    lld_files.image(tmp_path / 'deep' / 'b.jpg', (7, 9))
    folder = ImageFolder(str(tmp_path))
    sizes = folder.sizes({'a.png': (99, 99), 'deep/b.jpg': None})
    assert sizes == {'a.png': (20, 10), 'deep/b.jpg': (7, 9)}


def test_sizes_of_turned_photos_are_those_of_the_loader(tmp_path):
    import mmcv

    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.jpg', exif=exif)
    size = ImageFolder(str(tmp_path)).sizes({'a.jpg': None})['a.jpg']
    height, width = mmcv.imread(str(tmp_path / 'a.jpg')).shape[:2]
    assert size == (width, height) == (10, 20)


def test_other_backends_fetch_only_what_is_unknown(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png', (20, 10))
    lld_files.image(tmp_path / 'b.png', (20, 10))
    folder = ImageFolder(str(tmp_path), dict(backend='local'))
    sizes = folder.sizes({'a.png': (99, 99), 'b.png': None})
    assert sizes == {'a.png': (99, 99), 'b.png': (20, 10)}
    with pytest.raises(FileNotFoundError, match='2 of 2.*c.png, d.png'):
        folder.sizes({'c.png': (1, 1), 'd.png': None})


def test_missing_images_are_counted_and_named(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png')
    names = ['a.png', *(f'{i}.png' for i in range(7))]
    with pytest.raises(
        FileNotFoundError,
        match=r'7 of 8 annotated images are not there: 0.png, .*4.png, \.\.\.',
    ):
        ImageFolder(str(tmp_path)).sizes(dict.fromkeys(names))


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / 'a.png').write_text('no image')
    with pytest.raises(AnnotationError, match='a.png: the file is not an im'):
        ImageFolder(str(tmp_path)).sizes({'a.png': None})


def test_names_by_stem(tmp_path, lld_files):
    for name in ('b.png', 'a.PNG'):
        lld_files.image(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('')
    folder = ImageFolder(str(tmp_path))
    assert folder.names_by_stem() == {'a': 'a.PNG', 'b': 'b.png'}
    lld_files.image(tmp_path / 'a.jpg')
    with pytest.raises(AnnotationError, match='a.PNG and a.jpg'):
        folder.names_by_stem()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere: the image folder'):
        ImageFolder(str(tmp_path / 'nowhere')).names_by_stem()
