# Copyright (c) mmleuk authors. All rights reserved.
import base64
import io

import numpy as np
import pytest
from PIL import Image

from mmleuk.reports.pictures import crop, open_image, shrink


def decode(picture):
    head, data = picture.uri.split(',')
    assert head == 'data:image/jpeg;base64'
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture
def field():
    """A blue field with a red cell at (60..80, 30..50)."""
    pixels = np.zeros((100, 150, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[30:50, 60:80] = (255, 0, 0)
    return Image.fromarray(pixels)


def test_a_field_is_shrunk_never_enlarged(field):
    small = shrink(field, 75)
    assert decode(small).shape == (50, 75, 3)
    assert (small.left, small.top) == (0, 0)
    assert (small.width, small.height) == (150, 100)
    assert decode(shrink(field, 4000)).shape == (100, 150, 3)


def test_a_cell_lies_in_the_middle(field):
    picture = crop(field, (60, 30, 80, 50), 40, 80)
    assert (picture.left, picture.top) == (50, 20)
    assert (picture.width, picture.height) == (40, 40)
    pixels = decode(picture).astype(int)
    assert pixels.shape == (80, 80, 3)
    assert pixels[24:56, 24:56, 0].min() > 200
    assert pixels[:16, :, 0].max() < 60


def test_the_window_stays_within_the_image(field):
    picture = crop(field, (0, 90, 10, 100), 40, 40)
    assert (picture.left, picture.top) == (0, 60)
    assert decode(picture)[..., 2].min() > 200


def test_a_cell_that_does_not_fit_gets_a_larger_window(field):
    picture = crop(field, (20, 10, 80, 30), 40, 40)
    assert picture.width == pytest.approx(66)
    assert picture.left <= 20
    assert picture.left + picture.width >= 80


def test_what_lies_beyond_a_small_image_is_white(field):
    pixels = decode(crop(field, (60, 30, 80, 50), 200, 100))
    assert pixels[80:].min() > 240
    assert pixels[5, 5, 2] > 200
    assert pixels[5, 5, 0] < 60


def test_images_are_read_upright(tmp_path):
    image = Image.new('RGB', (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert open_image('a.jpg', (20, 30), tmp_path).size == (20, 30)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'I;16'])
def test_images_of_any_kind(tmp_path, mode):
    Image.new(mode, (30, 20)).save(tmp_path / 'a.png')
    opened = open_image(str(tmp_path / 'a.png'), (30, 20))
    assert (opened.mode, opened.size) == ('RGB', (30, 20))


def test_an_image_of_another_size_is_refused(tmp_path):
    Image.new('RGB', (30, 20)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'30 x 20 pixels, expected 20 x 30'):
        open_image('a.png', (20, 30), tmp_path)


def test_what_is_no_image_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        open_image('a.png', (20, 30), tmp_path)
    (tmp_path / 'a.png').write_text('no image')
    with pytest.raises(OSError, match='cannot identify'):
        open_image('a.png', (20, 30), tmp_path)
    Image.new('RGB', (300, 200)).save(tmp_path / 'b.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(ValueError, match='b.png: Image size'):
        open_image('b.png', (300, 200), tmp_path)
