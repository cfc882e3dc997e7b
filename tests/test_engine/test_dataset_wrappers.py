# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

from mmdet.utils import register_all_modules
from mmengine.dataset import Compose
from torch.utils.data import ConcatDataset, Subset

from mmleuk.engine.dataset_wrappers import (
    count_unannotated,
    iter_data_infos,
    iter_transforms,
    unwrap_dataset,
)


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


def test_images_with_unannotated_area():
    dataset = Fields([None, [], [[0, 0, 9, 9]], [[0, 0, 4, 9], [3, 0, 9, 9]]])
    dataset.get_data_info = lambda index: dict(
        annotated_regions=dataset[index], height=9, width=9
    )
    assert count_unannotated(ConcatDataset([dataset, dataset])) == 2
    # As of other datasets.
    dataset.get_data_info = lambda index: dict(img_path='a.png')
    assert count_unannotated(dataset) == 0


def test_transforms_inside_of_others():
    register_all_modules()
    names = ['RandomFlip', 'Resize', 'AutoContrast']
    flip, resize, contrast = (
        dict(type=name, **args)
        for name, args in zip(names, (dict(prob=0.0), dict(scale=(9, 9)), {}))
    )
    pipeline = Compose(
        [
            flip,
            dict(type='RandomChoice', transforms=[[resize], []]),
            dict(type='RandomOrder', transforms=[flip]),
            dict(
                type='MultiBranch',
                branch_field=['sup'],
                sup=[dict(type='RandomApply', transforms=[contrast])],
            ),
        ]
    )
    found = [type(step).__name__ for step in iter_transforms(pipeline)]
    found = [name for name in found if name in names]
    assert found == ['RandomFlip', 'Resize', 'RandomFlip', 'AutoContrast']
    assert list(iter_transforms(None)) == []
