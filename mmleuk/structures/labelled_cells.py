# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from .attribute_schema import MISSING, AttributeSchema


def split_cells(
    instances: Sequence[dict], schema: Optional[AttributeSchema] = None
) -> Tuple[Dict[str, np.ndarray], np.ndarray]:
    """Split the cells of an image into labelled and ignored ones.

    Args:
        instances (Sequence[dict]): The cells as the dataset holds them.
        schema (AttributeSchema, optional): Attributes of the dataset. None
            for one without.

    Returns:
        tuple: Of the k labelled cells ``gt_bboxes`` (k, 4) float64,
        ``gt_labels`` (k, ) int64 and, with a schema, ``gt_attributes``
        (k, num_attributes) int64, ``MISSING`` where nobody stated one; and
        the boxes of the m ignored cells, (m, 4) float64.
    """
    labelled = [item for item in instances if not item['ignore_flag']]
    ignored = [item for item in instances if item['ignore_flag']]
    cells = dict(
        gt_bboxes=_boxes(labelled),
        gt_labels=np.array(
            [item['bbox_label'] for item in labelled], dtype=np.int64
        ),
    )
    if schema is not None:
        unknown = [MISSING] * len(schema)
        cells['gt_attributes'] = np.array(
            [schema.clean(c.get('attributes', unknown)) for c in labelled],
            dtype=np.int64,
        ).reshape(-1, len(schema))
    return cells, _boxes(ignored)


def _boxes(instances: Sequence[dict]) -> np.ndarray:
    """Boxes of cells, float64, shape (n, 4)."""
    boxes = [item['bbox'] for item in instances]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
