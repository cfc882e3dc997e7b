# Copyright (c) mmleuk authors. All rights reserved.
import io

import pytest
import torch
from mmengine.structures import InstanceData

from mmleuk.models.mining import DetectionBank
from mmleuk.models.mining.detection_bank import pack_entries, unpack_entries


def entry(count, **metainfo):
    return InstanceData(
        metainfo=metainfo,
        bboxes=torch.rand(count, 4),
        labels=torch.arange(count),
    )


def test_put_and_get():
    bank = DetectionBank()
    assert bank.get('a.png') is None
    bank.put('b.png', entry(3))
    bank.put('a.png', entry(2))
    bank.put('b.png', entry(0))
    assert len(bank) == 2
    assert [(path, len(found)) for path, found in bank.items()] == [
        ('a.png', 2),
        ('b.png', 0),
    ]
    bank.gather()
    assert len(bank) == 2
    bank.clear()
    assert len(bank) == 0
    assert bank.get('a.png') is None


def test_checkpoint_without_unpickling_code():
    bank = DetectionBank()
    bank.put('a.png', entry(2, held_out=True, area=0.25))
    bank.put('b.png', entry(0, held_out=False, area=0.5))
    file = io.BytesIO()
    torch.save(dict(state_dict=bank.state_dict()), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)['state_dict']
    other = DetectionBank()
    other.put('c.png', entry(1))
    other.load_state_dict(loaded)
    assert [path for path, _ in other.items()] == ['a.png', 'b.png']
    one, same = bank.get('a.png'), other.get('a.png')
    assert torch.equal(one.bboxes, same.bboxes)
    assert (same.held_out, same.area) == (True, 0.25)
    assert len(other.get('b.png')) == 0


def full_entry(seed, count):
    """An entry with fields of all types that the miner stores."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    return InstanceData(
        metainfo=dict(
            held_out=seed % 2 == 0,
            num_cells=seed,
            annotated_area=seed / 7,
            type_counts=(rand(5) * 300).long(),
        ),
        bboxes=rand(count, 4),
        labels=(rand(count) * 14).long() - 1,
        large=(rand(count) * 2**40).long(),
        attributes=(rand(count, 7) * 3).long() - 1,
        is_outside=rand(count) > 0.5,
        half=rand(count, 2).half(),
    )


def assert_same(one, other):
    assert set(one.keys()) == set(other.keys())
    for name, rows in one.items():
        assert rows.dtype == other[name].dtype
        assert torch.equal(rows, other[name])
    assert set(one.metainfo_keys()) == set(other.metainfo_keys())
    for name, value in one.metainfo_items():
        own = other.get(name)
        assert type(own) is type(value)
        if isinstance(value, torch.Tensor):
            assert own.dtype == value.dtype
            value, own = value.tolist(), own.tolist()
        assert own == value


@pytest.mark.parametrize('counts', [[], [0], [0, 0], [3, 0, 7, 1], [300] * 9])
def test_packing_loses_nothing(counts):
    entries = {
        f'{index}.png': full_entry(index, count)
        for index, count in enumerate(counts)
    }
    groups = pack_entries(entries)
    unpacked = unpack_entries(groups)
    assert set(unpacked) == set(entries)
    for path, original in entries.items():
        assert_same(original, unpacked[path])
    # The number of tensors does not grow with that of the entries.
    assert len(groups) == min(1, len(counts))
    for group in groups:
        assert group['fields']['labels'][0].dtype in (torch.int8, torch.int64)
        assert len(group['fields']['attributes'][0]) == sum(counts)
        assert group['metainfo']['type_counts'].shape == (len(counts), 5)


def test_entries_of_other_fields_are_packed_beside():
    entries = {
        'a.png': full_entry(0, 2),
        'b.png': entry(3, area=0.5),
        'c.png': full_entry(1, 4),
        'd.png': InstanceData(metainfo=dict(area=None)),
        'e.png': entry(3, area=torch.ones(2)),
        'f.png': entry(3, area=torch.ones(3)),
    }
    groups = pack_entries(entries)
    assert [group['paths'] for group in groups] == [
        ['a.png', 'c.png'],
        ['b.png'],
        ['d.png'],
        ['e.png'],
        ['f.png'],
    ]
    for path, unpacked in unpack_entries(groups).items():
        assert_same(entries[path], unpacked)


def test_a_state_of_an_earlier_version_is_loaded():
    original = full_entry(2, 3)
    state = {
        'a.png': dict(
            fields=dict(original.items()),
            metainfo=dict(original.metainfo_items()),
        )
    }
    bank = DetectionBank()
    bank.set_extra_state(state)
    assert_same(original, bank.get('a.png'))


def test_a_checkpoint_is_small():
    """It is little larger than its numbers, however many entries it has."""
    bank = DetectionBank()
    for index in range(300):
        bank.put(f'{index}.png', full_entry(index, 5))
    file = io.BytesIO()
    torch.save(bank.state_dict(), file)
    # Bytes of boxes, labels, large, attributes, is_outside and half of a
    # detection; of path, type_counts and the other metainfo of an entry.
    numbers = 300 * (5 * (16 + 1 + 8 + 7 + 1 + 4) + 60)
    assert file.getbuffer().nbytes < 1.5 * numbers
