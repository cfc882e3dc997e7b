# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

from mmengine.config import ConfigDict

from .parts import (
    RESIZES,
    find,
    insert,
    train_pipeline_of,
    with_pipeline,
)


def mosaic(
    base: ConfigDict, cut_at_edges: bool = False, min_visible: float = 0.5
) -> Tuple[list, dict]:
    """Learn from annotated regions alone, four of them in an image.

    Each region is shown with some of what lies around it. A step sees nearly
    as many labelled cells as where all of each field is labelled.

    Args:
        base (:obj:`ConfigDict`): The base.
        cut_at_edges (bool): Whether the edges of a mosaic cut cells. True
            for fields in which many cells are cut by the edge.
        min_visible (float): Share of a cut cell that has to be visible for it
            to stay a positive: what people still label.

    Returns:
        tuple: ``train_pipeline`` and ``train_dataloader``.
    """
    pipeline = train_pipeline_of(base)
    pipeline = insert(
        pipeline,
        mosaic_transform(pipeline, cut_at_edges, min_visible),
        before='PackLLDInputs',
    )
    dataset = with_pipeline(base.train_dataloader.dataset, pipeline)
    return pipeline, dict(dataset=dataset)


def mosaic_transform(
    pipeline: list, cut_at_edges: bool, min_visible: float
) -> dict:
    """Config of the mosaic, as large as the fields of a pipeline."""
    return dict(
        type='mmleuk.CachedRegionMosaic',
        img_scale=pipeline[find(pipeline, RESIZES)].scale,
        cut_at_edges=cut_at_edges,
        min_visible=min_visible,
    )
