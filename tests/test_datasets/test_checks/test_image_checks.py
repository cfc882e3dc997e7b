# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mmleuk.datasets.checks.image_checks import (
    ImageCheck,
    check_image,
    check_images,
    find_similar,
    group_identical,
)

NO_BOXES = np.zeros((0, 4))


@pytest.fixture
def field(tmp_path):
    """A picture with structure, saved as a.png."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    image = coarse.resize((160, 120), Image.Resampling.BICUBIC)
    image.save(tmp_path / 'a.png')
    return image


def test_the_pixels_make_the_digest(tmp_path, field):
    field.save(tmp_path / 'b.bmp')
    field.crop((1, 0, 160, 120)).save(tmp_path / 'c.png')
    one, two, three = (
        check_image(str(tmp_path / name))
        for name in ('a.png', 'b.bmp', 'c.png')
    )
    assert one.digest == two.digest != three.digest
    assert group_identical([one, two, three]) == [
        [str(tmp_path / 'a.png'), str(tmp_path / 'b.bmp')]
    ]


@pytest.mark.parametrize('content', [b'', b'text', b'\x89PNG\r\n\x1a\n'])
def test_what_can_not_be_decoded_has_no_digest(tmp_path, content):
    (tmp_path / 'a.png').write_bytes(content)
    assert check_image(str(tmp_path / 'a.png')).digest is None
    assert check_image(str(tmp_path / 'none.png')).digest is None
    assert group_identical([ImageCheck('a'), ImageCheck('b')]) == []


def test_changed_copies_are_similar_and_others_are_not(tmp_path, field):
    field.save(tmp_path / 'b.jpg', quality=70)
    ImageEnhance.Brightness(field).enhance(0.8).save(tmp_path / 'c.png')
    field.resize((80, 60)).save(tmp_path / 'd.png')
    field.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'e.png')
    Image.new('RGB', (99, 99), 'white').save(tmp_path / 'f.png')
    Image.new('RGB', (99, 99), 'grey').save(tmp_path / 'g.png')
    checks = check_images(
        dict.fromkeys(map(str, sorted(tmp_path.iterdir())), NO_BOXES), 1
    )
    pairs = {
        frozenset((one.path[-5], two.path[-5]))
        for one, two in find_similar(checks)
    }
    assert pairs == {
        frozenset(p) for p in ('ab', 'ac', 'ad', 'bc', 'bd', 'cd')
    }


def test_similar_means_three_bits_at_most():
    hashes = [
        0,
        0b111,
        1 << 20 | 1 << 40 | 1 << 60,
        0b1111 << 30,
        (1 << 64) - 1,
    ]
    checks = [ImageCheck(str(h), str(h), h) for h in hashes]
    pairs = {(a.perceptual, b.perceptual) for a, b in find_similar(checks)}
    assert pairs == {(0, hashes[1]), (0, hashes[2])}


def test_processes_give_the_same(tmp_path, field):
    for number in range(20):
        field.rotate(3 * number).save(tmp_path / f'{number}.png')
    paths = [str(tmp_path / f'{number}.png') for number in range(20)]
    checks = check_images(dict.fromkeys(paths, NO_BOXES), 2)
    assert checks == [check_image(path) for path in paths]
