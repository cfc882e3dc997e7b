# Copyright (c) mmleuk authors. All rights reserved.
import mmcv
import pytest
from PIL import Image

from mmleuk.io.faults import NO_IMAGE, OUTSIDE_FOLDER, TURNED_IMAGE
from mmleuk.io.image_folder import ImageFolder


def read_sizes(folder, stated):
    headers = folder.look(stated)
    folder.refuse_missing(headers, 0)
    assert [header.fault for header in headers.values()] == [None] * len(
        headers
    )
    return {name: header.size for name, header in headers.items()}


def test_sizes_are_those_of_the_files(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png', (20, 10))
    lld_files.image(tmp_path / 'deep' / 'b.jpg', (7, 9))
    folder = ImageFolder(str(tmp_path))
    sizes = read_sizes(folder, {'a.png': (99, 99), 'deep/b.jpg': None})
    assert sizes == {'a.png': (20, 10), 'deep/b.jpg': (7, 9)}


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_turned_photos_are_taken_as_the_loader_turns_them(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6
    name = f'a.{suffix}'
    Image.new('RGB', (20, 10)).save(tmp_path / name, exif=exif)
    folder = ImageFolder(str(tmp_path))
    height, width = mmcv.imread(str(tmp_path / name)).shape[:2]
    assert (width, height) == (10, 20)
    assert read_sizes(folder, {name: (10, 20)}) == {name: (10, 20)}
    # What was annotated may as well be the picture as it is stored.
    for stated in (None, (20, 10), (30, 30)):
        header = folder.look({name: stated})[name]
        assert header.fault is TURNED_IMAGE
        assert 'turned by EXIF' in str(header.fault)


def test_a_photo_held_upright_is_not_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 1
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_sizes(ImageFolder(str(tmp_path)), {'a.jpg': None}) == {
        'a.jpg': (20, 10)
    }


def test_turned_late_in_a_png_is_found(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / 'a.png'
    Image.effect_noise((90, 80), 50).convert('RGB').save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b'eXIf') - 4
    length = 12 + int.from_bytes(content[start : start + 4], 'big')
    chunk = content[start : start + length]
    rest = content[:start] + content[start + length :]
    path.write_bytes(rest[:-12] + chunk + rest[-12:])
    assert ImageFolder(str(tmp_path)).look({'a.png': None})['a.png'].fault is (
        TURNED_IMAGE
    )


def test_links_may_lead_inside_the_root(tmp_path, lld_files):
    lld_files.image(tmp_path / 'store' / 'a.png', (20, 10))
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.png').symlink_to(tmp_path / 'store' / 'a.png')
    images = str(tmp_path / 'images')
    inside = ImageFolder(images, root=str(tmp_path)).look({'a.png': None})
    assert inside['a.png'].size == (20, 10)
    outside = ImageFolder(images).look({'a.png': None})
    assert outside['a.png'].fault is OUTSIDE_FOLDER
    # The folder itself may be a link: somebody has named it.
    (tmp_path / 'linked').symlink_to(tmp_path / 'store')
    linked = ImageFolder(str(tmp_path / 'linked')).look({'a.png': None})
    assert linked['a.png'].fault is None


def test_without_a_folder_names_are_paths(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png', (20, 10))
    path = str(tmp_path / 'a.png')
    assert read_sizes(ImageFolder(''), {path: None}) == {path: (20, 10)}
    assert ImageFolder(str(tmp_path)).look({path: None})[path].fault is (
        OUTSIDE_FOLDER
    )


@pytest.mark.parametrize('name', ['a b.png', 'Zellen ä 细胞.png', 'x..y.png'])
def test_odd_names_are_no_fault(tmp_path, lld_files, name):
    lld_files.image(tmp_path / name, (20, 10))
    assert read_sizes(ImageFolder(str(tmp_path)), {name: None}) == {
        name: (20, 10)
    }


def test_other_backends_fetch_only_what_is_unknown(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png', (20, 10))
    lld_files.image(tmp_path / 'b.png', (20, 10))
    folder = ImageFolder(str(tmp_path), dict(backend='local'))
    sizes = read_sizes(folder, {'a.png': (99, 99), 'b.png': None})
    assert sizes == {'a.png': (99, 99), 'b.png': (20, 10)}
    with pytest.raises(FileNotFoundError, match='2 of 2.*c.png, d.png'):
        read_sizes(folder, {'c.png': (1, 1), 'd.png': None})


def test_missing_images_are_counted_and_named(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png')
    names = ['a.png', *(f'{i}.png' for i in range(7))]
    with pytest.raises(
        FileNotFoundError,
        match=r'7 of 8 annotated images are not there: 0.png, .*4.png, \.\.\.',
    ):
        read_sizes(ImageFolder(str(tmp_path)), dict.fromkeys(names))


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / 'a.png').write_text('no image')
    headers = ImageFolder(str(tmp_path)).look({'a.png': None})
    assert headers['a.png'].fault is NO_IMAGE


def test_group_by_stem(tmp_path, lld_files):
    for name in ('b.png', 'a.PNG'):
        lld_files.image(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('')
    folder = ImageFolder(str(tmp_path))
    assert folder.group_by_stem() == {'a': ['a.PNG'], 'b': ['b.png']}
    lld_files.image(tmp_path / 'a.jpg')
    assert folder.group_by_stem()['a'] == ['a.PNG', 'a.jpg']
    (tmp_path / '._a.PNG').write_bytes(b'Mac OS X')
    assert list(folder.group_by_stem()) == ['a', 'b']


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere: the image folder'):
        ImageFolder(str(tmp_path / 'nowhere')).group_by_stem()
