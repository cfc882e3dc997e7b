# Copyright (c) mmleuk authors. All rights reserved.
"""Class label and attribute codes of a cell as digits of one integer.

MMDetection's transforms filter, join and reorder ``gt_bboxes_labels`` along
with the boxes, but no key that we could add. So one int64 per cell holds the
label in its high bits and the attribute codes in its low bits.
"""

from typing import Tuple

import numpy as np

from .attribute_schema import MISSING

# Bits of a non-negative int64, and bits of the class label.
_CODE_BITS = 63
_LABEL_BITS = 20


def _attribute_bits(num_attributes: int) -> int:
    """Compute the number of bits per attribute for ``code + 1``."""
    most = _CODE_BITS - _LABEL_BITS
    if not 1 <= num_attributes <= most:
        raise ValueError(
            f'got {num_attributes} attributes, expected 1 to '
            f'{most}: all codes of a cell share one int64'
        )
    return most // num_attributes


def pack_labels(labels: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Pack class label and attribute codes of each cell in one integer.

    Seven attributes may have codes up to 62, ten up to 14, twenty-one up to 2.

    Args:
        labels (np.ndarray): Class labels, shape (n, ), integers in
            [0, 2 ** 20).
        attributes (np.ndarray): Attribute codes, shape (n, k), integers from
            ``MISSING`` (-1).

    Returns:
        np.ndarray: Packed labels, shape (n, ), int64.

    Raises:
        ValueError: If shapes disagree, or a label or a code is too large.
    """
    labels = np.asarray(labels, dtype=np.int64)
    attributes = np.asarray(attributes, dtype=np.int64)
    if attributes.ndim != 2 or labels.shape != attributes.shape[:1]:
        raise ValueError(
            f'got labels of shape {labels.shape} and attributes of shape '
            f'{attributes.shape}, expected (n, ) and (n, k)'
        )
    bits = _attribute_bits(attributes.shape[1])
    if ((labels < 0) | (labels >= 1 << _LABEL_BITS)).any():
        raise ValueError(
            f'got the class labels {labels.tolist()}, expected '
            f'each in [0, {1 << _LABEL_BITS})'
        )
    highest = (1 << bits) - 2
    if ((attributes < MISSING) | (attributes > highest)).any():
        raise ValueError(
            f'got the attribute codes {attributes.tolist()}, expected each in '
            f'[{MISSING}, {highest}] where there are {attributes.shape[1]} '
            'attributes'
        )
    codes = labels
    for column in attributes.T:
        codes = (codes << bits) | (column - MISSING)
    return codes


def unpack_labels(
    codes: np.ndarray, num_attributes: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Undo :func:`pack_labels`.

    Args:
        codes (np.ndarray): Packed labels, shape (n, ), int64.
        num_attributes (int): Number k of packed attributes.

    Returns:
        tuple[np.ndarray, np.ndarray]: Class labels, shape (n, ), and
        attribute codes, shape (n, k), both int64.
    """
    codes = np.asarray(codes, dtype=np.int64)
    bits = _attribute_bits(num_attributes)
    attributes = np.empty((len(codes), num_attributes), dtype=np.int64)
    for column in reversed(range(num_attributes)):
        attributes[:, column] = (codes & ((1 << bits) - 1)) + MISSING
        codes = codes >> bits
    return codes, attributes
