# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator, List, NamedTuple

from mmdet.models.dense_heads import RetinaHead, RPNHead
from mmdet.models.detectors import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.task_modules import BaseAssigner
from torch import nn

# Heads of MMDetection that learn nothing from a prior that its assigner marks
# as neither positive nor background. Others, some subclasses of these among
# them, look past the assigner.
_HEADS = (RPNHead, RetinaHead, StandardRoIHead, CascadeRoIHead)


class UnawareHead(NamedTuple):
    """A head that learns un-annotated area as background.

    Args:
        detector (str): Class of the detector.
        name (str): Name of the head in the detector, 'head' if it has none.
        head (str): Class of the head.
        assigners (list[str]): Classes of its assigners.
        can_know (bool): Whether the head would know annotated regions with
            other assigners.
    """

    detector: str
    name: str
    head: str
    assigners: List[str]
    can_know: bool


def heads_without_regions(model: nn.Module) -> Iterator[UnawareHead]:
    """Find the heads that learn un-annotated area as background.

    A head knows annotated regions if it learns nothing from priors that are
    assigned to nothing, and if all its assigners take background from
    annotated area alone. Both are known by a class attribute
    ``knows_regions = True``, heads of MMDetection by a list. Any other head
    counts as one that does not.

    Args:
        model (nn.Module): A detector, or a model with detectors in it.

    Yields:
        UnawareHead: Each such head.
    """
    has_head = False
    for module in model.modules():
        if not isinstance(module, BaseDetector):
            continue
        for name, head in module.named_children():
            if not name.endswith('head'):
                continue
            has_head = True
            assigners = _assigners(head)
            can_know = type(head) in _HEADS or _knows_regions(head)
            if can_know and assigners and all(map(_knows_regions, assigners)):
                continue
            yield UnawareHead(
                type(module).__name__,
                name,
                type(head).__name__,
                [type(assigner).__name__ for assigner in assigners],
                can_know,
            )
    if not has_head:
        yield UnawareHead(type(model).__name__, 'head', 'None', [], False)


def _knows_regions(part) -> bool:
    """Whether a head or an assigner says that it knows regions."""
    return getattr(part, 'knows_regions', False)


def _assigners(head: nn.Module) -> List[BaseAssigner]:
    """List the assigners of a head; a cascade has one for each stage."""
    values: list = []
    for value in vars(head).values():
        values += value if isinstance(value, (list, tuple)) else [value]
    return [value for value in values if isinstance(value, BaseAssigner)]
