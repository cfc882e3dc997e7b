# Copyright (c) mmleuk authors. All rights reserved.
"""Time the attribute branch of a detector as a share of all the rest.

Needs no data and no checkpoint: weights, image and boxes are random. Parts are
timed in turn, and the shortest time of each counts, so that the ratios hold on
a machine that others use::

    python tools/dev/benchmarks/attribute_cost.py CONFIG --size 640

The number of boxes is given, as it is random weights that would decide it: of
detections in an image for inference, of RoIs of an image that the branch
learns from for training.
"""

import argparse
import time
from typing import Callable, Dict, List, Sequence

import torch
from inference import without_attributes
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmleuk.engine.run_config import add_cfg_options

# Cells of an image, and the range of their sides in pixels.
NUM_CELLS, SIDES = 9, (40, 90)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    add_cfg_options(
        parser,
        'model.roi_head.attribute_roi_extractor.roi_layer.output_size=7',
    )
    parser.add_argument('--size', type=int, default=640, help='pixels')
    parser.add_argument(
        '--boxes', type=int, nargs='+', default=[5, 10, 20, 40]
    )
    parser.add_argument('--rois', type=int, nargs='+', default=[12, 24, 128])
    parser.add_argument('--repetitions', type=int, default=5)
    return parser.parse_args()


def random_boxes(count: int, size: int) -> Tensor:
    """Make boxes of cells, shape (count, 4)."""
    sides = torch.empty(count, 2).uniform_(*SIDES)
    corners = torch.rand(count, 2) * (size - sides)
    return torch.cat([corners, corners + sides], dim=1)


def make_sample(num_attributes: int, size: int) -> DetDataSample:
    """Make the labels of an image."""
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(size, size),
            ori_shape=(size, size),
            batch_input_shape=(size, size),
            pad_shape=(size, size),
            scale_factor=(1.0, 1.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=random_boxes(NUM_CELLS, size),
        labels=torch.zeros(NUM_CELLS, dtype=torch.int64),
        attributes=torch.zeros(NUM_CELLS, num_attributes, dtype=torch.int64),
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64)
    )
    return sample


def attribute_owner(model: nn.Module) -> nn.Module:
    """Find the module with the branches: the RoI head, or the detector."""
    return getattr(model, 'roi_head', model)


def levels(feats: tuple) -> List[Tensor]:
    """List the levels of the neck and the early features beside them."""
    return [*feats, *getattr(feats, 'early', ())]


def extract(model: nn.Module, image: Tensor) -> tuple:
    """Compute features, leaves that need gradients as in a training."""
    feats = model.train().extract_feat(image)
    for level in levels(feats):
        needs_grad = level.requires_grad
        level.detach_().requires_grad_(needs_grad)
    return feats


def detect(model: nn.Module, image: Tensor, sample: DetDataSample) -> None:
    """Find boxes in an image, up to the logits of all proposals."""
    with torch.no_grad():
        model.forward(image, [sample], mode='tensor')


def learn(model: nn.Module, image: Tensor, sample: DetDataSample) -> None:
    """Compute the losses of an image and their gradients."""
    losses, _ = model.parse_losses(model.loss(image, [sample]))
    losses.backward()


def classify(
    model: nn.Module, feats: tuple, boxes: Tensor, sample: DetDataSample
) -> None:
    """Compute the attributes of boxes."""
    owner = attribute_owner(model)
    with torch.no_grad():
        logits = owner.attribute_logits(feats, [boxes], [sample.metainfo])
        owner.attribute_head.predict(logits)


def learn_attributes(
    model: nn.Module, feats: tuple, boxes: Tensor, sample: DetDataSample
) -> None:
    """Compute the attribute loss of boxes and its gradients."""
    for level in levels(feats):
        level.grad = None
    owner = attribute_owner(model)
    logits = owner.attribute_logits(feats, [boxes], [sample.metainfo])
    targets = sample.gt_instances.attributes[:1].expand(len(boxes), -1)
    owner.attribute_head.loss(logits, targets)['loss_attribute'].backward()


def shortest(
    parts: Dict[str, Callable[[], None]], repetitions: int
) -> Dict[str, float]:
    """Run the parts in turn; return the shortest time of each in seconds."""
    times: Dict[str, List[float]] = {name: [] for name in parts}
    for _ in range(repetitions):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            times[name].append(time.perf_counter() - start)
    return {name: min(seconds) for name, seconds in times.items()}


def measure(
    cfg: ConfigDict,
    size: int,
    num_boxes: Sequence[int],
    num_rois: Sequence[int],
    repetitions: int,
) -> Dict[str, Dict[int, float]]:
    """Measure how much longer the detector takes with attributes.

    Args:
        cfg (ConfigDict): Config of a detector with attribute branches.
        size (int): Sides of the image in pixels.
        num_boxes (Sequence[int]): Numbers of boxes in inference.
        num_rois (Sequence[int]): Numbers of RoIs in training.
        repetitions (int): How often each part is timed.

    Returns:
        dict[str, dict[int, float]]: Ratio of times by number of boxes, for
        'inference' and 'training'.
    """
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    plain = MODELS.build(without_attributes(cfg))
    sample = make_sample(
        len(attribute_owner(model).attribute_head.schema), size
    )
    image = torch.rand(1, 3, size, size)
    feats = extract(model, image)
    ratios = {}
    for name, counts, rest, part in (
        ('inference', num_boxes, detect, classify),
        ('training', num_rois, learn, learn_attributes),
    ):
        for module in (model, plain):
            module.train(name == 'training')
        parts = {'rest': lambda rest=rest: rest(plain, image, sample)}
        for count in counts:
            boxes = random_boxes(count, size)
            parts[str(count)] = lambda part=part, boxes=boxes: part(
                model, feats, boxes, sample
            )
        seconds = shortest(parts, repetitions)
        ratios[name] = {
            count: 1 + seconds[str(count)] / seconds['rest']
            for count in counts
        }
    return ratios


def main() -> None:
    """Measure and print a table."""
    args = parse_args()
    register_all_modules()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    with DefaultScope.overwrite_default_scope('mmdet'):
        ratios = measure(
            cfg.model, args.size, args.boxes, args.rois, args.repetitions
        )
    print('| | boxes of an image | with attributes / without |')
    print('|---|---|---|')
    for name, by_count in ratios.items():
        for count, ratio in by_count.items():
            print(f'| {name} | {count} | {ratio:.3f} |')


if __name__ == '__main__':
    main()
