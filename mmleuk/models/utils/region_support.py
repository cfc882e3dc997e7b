# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator, List, NamedTuple, Optional

from mmdet.models.dense_heads import (
    ATSSHead,
    DDODHead,
    GFLHead,
    RetinaHead,
    RPNHead,
    RTMDetHead,
    RTMDetSepBNHead,
    TOODHead,
)
from mmdet.models.detectors import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.task_modules import BaseAssigner, MlvlPointGenerator
from torch import nn

from mmleuk.registry import MODELS

# Heads of MMDetection that learn nothing from a prior that its assigner marks
# as neither positive nor background. Others, some subclasses of these among
# them, look past the assigner.
_HEADS = (
    ATSSHead,
    CascadeRoIHead,
    DDODHead,
    GFLHead,
    RPNHead,
    RTMDetHead,
    RTMDetSepBNHead,
    RetinaHead,
    StandardRoIHead,
    TOODHead,
)


class UnawareHead(NamedTuple):
    """A head that learns un-annotated area as background.

    Args:
        detector (str): Class of the detector.
        name (str): Name of the head in the detector, 'head' if it has none.
        head (str): Class of the head.
        assigners (list[str]): Classes of its assigners.
        remedy (str, optional): What to change in the config so that the head
            knows annotated regions. None: nothing helps this head.
    """

    detector: str
    name: str
    head: str
    assigners: List[str]
    remedy: Optional[str]


def heads_without_regions(model: nn.Module) -> Iterator[UnawareHead]:
    """Find the heads that learn un-annotated area as background.

    A head knows annotated regions if it learns nothing from priors that are
    assigned to nothing, and if all its assigners take background from
    annotated area alone. Both are known by a class attribute
    ``knows_regions = True``, heads of MMDetection by a list. Any other head
    counts as one that does not, as does one whose :class:`RegionAssigner`
    takes points for boxes or boxes for points.

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
            if _can_know(head) and all(
                _knows_regions(assigner) and _fits(head, assigner)
                for assigner in assigners
            ):
                continue
            yield UnawareHead(
                type(module).__name__,
                name,
                type(head).__name__,
                [type(assigner).__name__ for assigner in assigners],
                _remedy(head),
            )
    if not has_head:
        yield UnawareHead(type(model).__name__, 'head', 'None', [], None)


def _knows_regions(part) -> bool:
    """Whether a head or an assigner says that it knows regions."""
    return getattr(part, 'knows_regions', False)


def _can_know(head: nn.Module) -> bool:
    """Whether a head learns nothing from what is assigned to nothing."""
    return type(head) in _HEADS or _knows_regions(head)


def _has_points(head: nn.Module) -> bool:
    """Whether the priors of a head are points of a grid."""
    return isinstance(
        getattr(head, 'prior_generator', None), MlvlPointGenerator
    )


def _fits(head: nn.Module, assigner: BaseAssigner) -> bool:
    """Whether an assigner takes the priors of a head for what they are."""
    rule = getattr(assigner, 'rule', None)
    return rule is None or _has_points(head) == (rule.point_size is not None)


def _remedy(head: nn.Module) -> Optional[str]:
    """What to change so that a head knows regions, None for nothing."""
    own_head = f'Region{type(head).__name__}'
    changes = []
    if not _can_know(head):
        if own_head not in MODELS.module_dict:
            return None
        changes.append(f"type='mmleuk.{own_head}' for the head")
    if _assigners(head):
        point_size = 'point_size=8, ' if _has_points(head) else ''
        changes.append(
            "type='mmleuk.RegionAssigner' around each assigner in train_cfg: "
            f"dict(type='mmleuk.RegionAssigner', {point_size}"
            'assigner=dict(...)). With point_size its priors are points of a '
            'grid, without they are boxes'
        )
    return f'Use {" and ".join(changes)}'


def _assigners(head: nn.Module) -> List[BaseAssigner]:
    """List the assigners of a head; a cascade has one for each stage."""
    values: list = []
    for value in vars(head).values():
        values += value if isinstance(value, (list, tuple)) else [value]
    return [value for value in values if isinstance(value, BaseAssigner)]
