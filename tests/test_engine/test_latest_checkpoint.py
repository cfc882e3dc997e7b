# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch

from mmleuk.engine.latest_checkpoint import find_checkpoint


def save(folder, *numbers):
    for number in numbers:
        torch.save(dict(epoch=number), folder / f'epoch_{number}.pth')


def point(folder, name):
    (folder / 'last_checkpoint').write_text(name)


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_new_run_has_none(tmp_path):
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / 'missing') is None


def test_the_named_one_is_taken(tmp_path):
    save(tmp_path, 1, 2)
    point(tmp_path, str(tmp_path / 'epoch_1.pth'))
    assert find_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')


@pytest.mark.parametrize('damage', ['empty', 'gone', 'short'])
def test_what_an_interruption_leaves_is_passed_over(tmp_path, damage):
    save(tmp_path, 9, 10, 11)
    torch.save({}, tmp_path / 'best_lld_bbox_mAP_epoch_12.pth')
    named = tmp_path / 'epoch_11.pth'
    point(tmp_path, '' if damage == 'empty' else str(named))
    if damage == 'gone':
        named.unlink()
    elif damage == 'short':
        cut(named)
    expected = 11 if damage == 'empty' else 10
    assert find_checkpoint(tmp_path) == str(tmp_path / f'epoch_{expected}.pth')


def test_nothing_whole_is_an_error(tmp_path):
    save(tmp_path, 1)
    cut(tmp_path / 'epoch_1.pth')
    point(tmp_path, str(tmp_path / 'epoch_1.pth'))
    with pytest.raises(FileNotFoundError, match='holds no other. Name one'):
        find_checkpoint(tmp_path)


def test_other_places_are_left_to_the_runner(tmp_path):
    point(tmp_path, 's3://bucket/epoch_3.pth')
    assert find_checkpoint(tmp_path) == 's3://bucket/epoch_3.pth'
