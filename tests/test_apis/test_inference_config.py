# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from mmdet.datasets.transforms import LoadPanopticAnnotations
from mmengine.config import Config, ConfigDict

from mmleuk.apis.inference_config import (
    keep_inference_keys,
    loads_annotations,
    name_dataset,
)


def test_only_what_is_built_is_taken():
    visualizer = dict(type='V', vis_backends=[dict(type='WandbVisBackend')])
    whole = Config(
        dict(
            model=dict(type='M'),
            test_dataloader=dict(
                collate_fn='os.system',
                dataset=dict(dataset=dict(type='D', pipeline=[dict(a=1)])),
            ),
            custom_imports=dict(imports=['os']),
            visualizer=visualizer,
        )
    )
    assert keep_inference_keys(whole, 'a.pth').to_dict() == dict(
        model=dict(type='M'),
        test_dataloader=dict(dataset=dict(pipeline=[dict(a=1)])),
        visualizer=dict(type='V'),
    )
    whole.pop('test_dataloader')
    with pytest.raises(ValueError, match='a.pth: its config lacks a part'):
        keep_inference_keys(whole, 'a.pth')


@pytest.mark.parametrize(
    'dataset, name',
    [
        (dict(data_root='d/', ann_file='a.json'), 'd/a.json'),
        (dict(datasets=[dict(ann_file='a.json'), {}]), 'a.json'),
        (
            dict(data_root='d/', ann_file='', subset=['H_40X_C1', 'L_40X_C1']),
            'd/H_40X_C1, L_40X_C1',
        ),
        (dict(type='D'), None),
    ],
)
def test_the_training_data_are_named(dataset, name):
    cfg = ConfigDict(train_dataloader=dict(dataset=dataset))
    assert name_dataset(cfg) == name
    assert name_dataset(ConfigDict(train_dataloader=None)) is None


def test_transforms_that_load_annotations_are_known():
    for kind in (
        'LoadAnnotations',
        'mmleuk.LoadLLDAnnotations',
        LoadPanopticAnnotations,
    ):
        assert loads_annotations(kind)
    for kind in ('LoadImageFromFile', 'Resize', 'mmleuk.PackLLDInputs'):
        assert not loads_annotations(kind)
