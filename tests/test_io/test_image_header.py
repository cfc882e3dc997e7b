# Copyright (c) mmleuk authors. All rights reserved.
import io

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mmleuk.io.faults import NOT_RGB, SIXTEEN_BIT, TRUNCATED_IMAGE
from mmleuk.io.image_header import HEAD, read_header

NOISE = Image.effect_noise((50, 40), 60).convert('RGB')


def encode(image=NOISE, form='PNG', **kwargs):
    stream = io.BytesIO()
    image.save(stream, form, **kwargs)
    return stream.getvalue()


def read(content):
    return read_header(io.BytesIO(content))


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP'])
def test_ordinary_images(form):
    header = read(encode(form=form))
    assert header.size == header.stored == (50, 40)
    assert header.fault is None
    assert header.notes == []


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
def test_size_is_that_of_the_loader(form, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    content = encode(form=form, exif=exif)
    decoded, upright = (
        cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)
        for stored in (content, encode(form=form))
    )
    header = read(content)
    assert header.size == decoded.shape[1::-1]
    assert header.stored == (50, 40)
    # OpenCV 4 leaves WEBP as it is.
    is_heeded = not np.array_equal(decoded, upright)
    assert is_heeded or orientation == 1 or form == 'WEBP'
    assert header.orientation == (orientation if is_heeded else 1)


def test_pixels_may_start_late():
    info = PngImagePlugin.PngInfo()
    rng = np.random.default_rng(0)
    info.add_text('note', ''.join(map(str, rng.integers(0, 9, 2 * HEAD))))
    header = read(encode(pnginfo=info))
    assert header.size == (50, 40)
    assert header.fault is None


@pytest.mark.parametrize('form', ['PNG', 'JPEG'])
def test_bytes_after_the_end_are_allowed(form):
    content = encode(form=form)
    assert read(content + bytes(5000)).fault is None
    assert read(content[:-30] + bytes(5000)).fault is TRUNCATED_IMAGE


@pytest.mark.parametrize('form', ['PNG', 'JPEG'])
def test_every_cut_is_seen(form):
    content = encode(form=form)
    for length in range(0, len(content) - 2, 97):
        assert read(content[:length]).fault is not None


def test_what_the_loader_converts():
    assert read(encode(NOISE.convert('P'))).notes == [NOT_RGB]
    assert read(encode(NOISE.convert('CMYK'), 'JPEG')).notes == [NOT_RGB]
    assert read(encode(NOISE, transparency=(0, 0, 0))).notes == [NOT_RGB]
    deep = Image.fromarray(np.zeros((4, 4), np.uint16))
    assert read(encode(deep)).notes == [SIXTEEN_BIT, NOT_RGB]
    assert read(encode(deep, 'TIFF')).notes == [SIXTEEN_BIT, NOT_RGB]
