# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.datasets.transforms import LoadAnnotations
from torch import nn

from mmleuk.datasets.transforms import LoadLLDAnnotations
from mmleuk.models.utils import heads_without_regions

from .dataset_wrappers import (
    count_unannotated,
    iter_transforms,
    unwrap_dataset,
)

_OR = (
    '; or set use_regions=False of the dataset, to learn un-annotated area as '
    'background on purpose'
)


def check_regions(dataset, model: nn.Module, name: str) -> None:
    """Raise an error if a model learns un-annotated area as background.

    Nothing is wrong where a transform such as ``RegionCrop``, outside of
    others, leaves no un-annotated area (``leaves_unannotated_area = False``).

    Args:
        dataset (Dataset): The training data, with or without wrappers.
        model (nn.Module): The model.
        name (str): Name of the data, for the message.

    Raises:
        ValueError: If the pipeline loses the annotated regions, or a head or
            its assigner does not know them.
    """
    for part in unwrap_dataset(dataset):
        pipeline = getattr(part, 'pipeline', None)
        count = count_unannotated(part)
        if count == 0 or not all(
            getattr(transform, 'leaves_unannotated_area', True)
            for transform in getattr(pipeline, 'transforms', ())
        ):
            continue
        found = (
            f'{count} of {len(part)} fields of {name} have un-annotated area, '
            'but'
        )
        for transform in iter_transforms(pipeline):
            if isinstance(transform, LoadAnnotations) and not isinstance(
                transform, LoadLLDAnnotations
            ):
                raise ValueError(
                    f'{found} {type(transform).__name__} of the pipeline takes'
                    ' it for background. Replace it by '
                    "'mmleuk.LoadLLDAnnotations' and PackDetInputs by "
                    f"'mmleuk.PackLLDInputs'{_OR}"
                )
        for unaware in heads_without_regions(model):
            remedy = unaware.remedy or (
                'Nothing is known to keep this head from it. Use another '
                'detector'
            )
            raise ValueError(
                f'{found} {unaware.detector} learns it as background: its '
                f'{unaware.name} is {unaware.head} with the assigner '
                f'{" and ".join(unaware.assigners) or None}. {remedy}; or '
                'learn from the annotated regions alone, by '
                "'mmleuk.RegionCrop' behind the loading of the annotations"
                f'{_OR}'
            )
