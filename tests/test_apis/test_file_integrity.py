# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmleuk.apis.file_integrity import is_cut_short


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_a_missing_end_is_seen(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3))
    cv2.imwrite(str(path), noise.astype(np.uint8))
    content = path.read_bytes()
    assert not is_cut_short(str(path))
    path.write_bytes(content + b'\0' * 1000)
    assert not is_cut_short(str(path))
    path.write_bytes(content[: len(content) // 2])
    assert is_cut_short(str(path))
    # The reason for all this: OpenCV does not mind.
    if suffix == '.jpg':
        assert cv2.imread(str(path)) is not None


def test_other_files_are_not_judged(tmp_path):
    for content in (b'', b'BM', b'II*\0'):
        (tmp_path / 'a').write_bytes(content)
        assert not is_cut_short(str(tmp_path / 'a'))
