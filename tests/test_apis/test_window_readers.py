# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest
from PIL import Image

from mmleuk.apis import window_readers
from mmleuk.apis.window_readers import (
    ArrayReader,
    SlideReader,
    UnreadableImageError,
    VipsReader,
    open_large,
)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 255, (130, 170, 3))
    return noise.astype(np.uint8)


def check_windows(reader, image):
    assert (reader.width, reader.height) == (170, 130)
    for x1, y1, x2, y2 in [(0, 0, 170, 130), (160, 3, 170, 130), (5, 6, 7, 9)]:
        window = reader.read(x1, y1, x2, y2)
        np.testing.assert_array_equal(window, image[y1:y2, x1:x2])
        assert window.flags.c_contiguous
    reader.close()


def test_windows_of_a_memmap(tmp_path, image):
    path = tmp_path / 'a.raw'
    image.tofile(path)
    mapped = np.memmap(path, np.uint8, 'r', shape=image.shape)
    check_windows(ArrayReader(mapped), image)
    assert type(ArrayReader(mapped).read(0, 0, 5, 5)) is np.ndarray


def import_vips():
    return pytest.importorskip(
        'pyvips', reason="needs pyvips: pip install 'mmleuk[slides]'"
    )


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'tiled.tif', 'deep.png'])
def test_windows_by_libvips(tmp_path, image, name):
    vips = import_vips()
    path = str(tmp_path / name)
    if name == 'tiled.tif':
        rgb = vips.Image.new_from_array(image[..., ::-1])
        rgb.tiffsave(path, tile=True, tile_width=64, tile_height=64)
    elif name == 'deep.png':
        cv2.imwrite(path, image.astype(np.uint16) * 257)
    else:
        cv2.imwrite(path, image)
    check_windows(VipsReader(path), image)


def test_libvips_reads_grey_and_transparent_images(tmp_path, image):
    import_vips()
    path = str(tmp_path / 'grey.png')
    cv2.imwrite(path, image[..., 0])
    grey = np.repeat(image[..., :1], 3, axis=2)
    check_windows(VipsReader(path), grey)
    path = str(tmp_path / 'clear.png')
    cv2.imwrite(path, np.dstack([image, np.zeros((130, 170), np.uint8)]))
    check_windows(VipsReader(path), np.full_like(image, 255))


def test_libvips_names_what_is_wrong(tmp_path, image):
    import_vips()
    path = tmp_path / 'a.png'
    path.write_bytes(b'\x89PNG\r\n\x1a\nnothing')
    with pytest.raises(UnreadableImageError, match='.'):
        VipsReader(str(path))
    cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(UnreadableImageError, match='.'):
        VipsReader(str(path)).read(0, 100, 10, 130)


def test_windows_by_openslide(tmp_path, image):
    pytest.importorskip(
        'openslide', reason="needs OpenSlide: pip install 'mmleuk[slides]'"
    )
    vips = import_vips()
    path = str(tmp_path / 'a.tif')
    rgb = vips.Image.new_from_array(image[..., ::-1])
    rgb.tiffsave(path, tile=True, tile_width=64, tile_height=64)
    check_windows(SlideReader(path), image)
    (tmp_path / 'a.svs').write_bytes(b'nothing')
    with pytest.raises(UnreadableImageError, match='.'):
        open_large(str(tmp_path / 'a.svs'))


def test_small_and_unknown_files_are_decoded_as_a_whole(tmp_path, image):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    assert open_large(str(path)) is None
    path.write_bytes(b'nothing')
    assert open_large(str(path)) is None


@pytest.mark.parametrize('pillow_limit', [10**9, 100])
def test_large_files_are_read_by_libvips(
    tmp_path, image, monkeypatch, pillow_limit
):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    monkeypatch.setattr(window_readers, 'MAX_PIXELS', 170 * 130 - 1)
    # Pillow refuses to open an image that is twice as large as its limit.
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', pillow_limit)
    monkeypatch.setattr(window_readers, 'VipsReader', lambda path: path)
    assert open_large(str(path)) == str(path)


@pytest.mark.parametrize('name', ['pyvips', 'openslide'])
def test_a_missing_package_is_named(monkeypatch, name):
    monkeypatch.setitem(__import__('sys').modules, name, None)
    reader = VipsReader if name == 'pyvips' else SlideReader
    with pytest.raises(ImportError, match=r'mmleuk\[slides\]'):
        reader('a.svs')
