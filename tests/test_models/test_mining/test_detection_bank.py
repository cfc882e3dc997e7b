# Copyright (c) mmleuk authors. All rights reserved.
import io

import torch
from mmengine.structures import InstanceData

from mmleuk.models.mining import DetectionBank


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
