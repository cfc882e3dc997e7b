# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.structures import is_held_out

PATHS = [f'images/train/{i}_1_1000_ALL.png' for i in range(2000)]


def test_share_and_seed():
    for share in (0, 0.2, 1):
        held_out = sum(is_held_out(path, share) for path in PATHS)
        assert abs(held_out / len(PATHS) - share) < 0.03
    one = [is_held_out(path, 0.2, seed=0) for path in PATHS]
    other = [is_held_out(path, 0.2, seed=1) for path in PATHS]
    assert one != other
    # A larger share holds out more of the same.
    larger = [is_held_out(path, 0.3) for path in PATHS]
    assert all(b or not a for a, b in zip(one, larger))


def test_the_root_does_not_matter():
    for path in PATHS[:100]:
        assert is_held_out(f'/mnt/data/{path}', 0.5) == is_held_out(path, 0.5)
