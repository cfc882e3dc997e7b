# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

from torch.utils.data import ConcatDataset, Subset

from mmleuk.engine.dataset_wrappers import iter_data_infos, unwrap_dataset


class Fields(list):
    def get_data_info(self, index):
        return dict(img_path=self[index])


def test_the_inner_datasets_in_order():
    one, two = Fields('ab'), Fields('c')
    wrapped = ConcatDataset([Subset(one, [0]), ConcatDataset([two, one])])
    sliced = SimpleNamespace(_dataset=SimpleNamespace(dataset=wrapped))
    for dataset in (wrapped, sliced):
        parts = list(unwrap_dataset(dataset))
        assert all(a is b for a, b in zip(parts, (one, two, one)))
        names = [info['img_path'] for info in iter_data_infos(dataset)]
        assert names == list('abcab')
    assert list(unwrap_dataset(one)) == [one]
