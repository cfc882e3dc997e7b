# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmleuk.models.data_preprocessors import ChannelsLastDetDataPreprocessor


def make_batch():
    generator = torch.Generator().manual_seed(0)
    samples, inputs = [], []
    for height, width in ((20, 30), (33, 10)):
        sample = DetDataSample(metainfo=dict(img_shape=(height, width)))
        sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4))
        samples.append(sample)
        inputs.append(
            torch.randint(0, 255, (3, height, width), generator=generator).to(
                torch.uint8
            )
        )
    return dict(inputs=inputs, data_samples=samples)


def test_layout_changes_and_nothing_else():
    kwargs = dict(
        mean=[127] * 3, std=[128] * 3, bgr_to_rgb=True, pad_size_divisor=32
    )
    ours = ChannelsLastDetDataPreprocessor(**kwargs)(make_batch(), True)
    theirs = DetDataPreprocessor(**kwargs)(make_batch(), True)
    inputs = ours['inputs']
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(inputs, theirs['inputs'])
    for one, other in zip(ours['data_samples'], theirs['data_samples']):
        assert one.metainfo == other.metainfo


def test_convolutions_hand_the_layout_on():
    conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    inputs = ChannelsLastDetDataPreprocessor()(make_batch())['inputs']
    assert conv(inputs.float()).is_contiguous(
        memory_format=torch.channels_last
    )
