# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmleuk.structures import pack_labels, unpack_labels


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_round_trip(data):
    num_attributes = data.draw(st.integers(1, 43))
    highest = 2 ** (43 // num_attributes) - 2
    count = data.draw(st.integers(0, 5))
    labels = data.draw(
        arrays(np.int64, count, elements=st.integers(0, 2**20 - 1))
    )
    attributes = data.draw(
        arrays(
            np.int64,
            (count, num_attributes),
            elements=st.integers(-1, highest),
        )
    )
    codes = pack_labels(labels, attributes)
    assert codes.dtype == np.int64
    assert codes.shape == (count,)
    assert (codes >= 0).all()
    decoded = unpack_labels(codes, num_attributes)
    assert np.array_equal(decoded[0], labels)
    assert np.array_equal(decoded[1], attributes)
    assert decoded[1].shape == (count, num_attributes)


def test_different_instances_have_different_codes():
    # All 4 ** 7 attribute rows of two labels.
    attributes = np.stack(np.meshgrid(*[range(-1, 3)] * 7), -1).reshape(-1, 7)
    codes = np.concatenate(
        [
            pack_labels(np.full(len(attributes), label), attributes)
            for label in (0, 13)
        ]
    )
    assert len(np.unique(codes)) == 2 * 4**7


@pytest.mark.parametrize('code', [-2, 63])
def test_code_out_of_range(code):
    with pytest.raises(ValueError, match=r'expected each in \[-1, 62\]'):
        pack_labels([0], [[0, 0, 0, 0, 0, 0, code]])


@pytest.mark.parametrize('label', [-1, 2**20])
def test_label_out_of_range(label):
    with pytest.raises(ValueError, match='class labels'):
        pack_labels([label], [[0]])


@pytest.mark.parametrize('num_attributes', [0, 44])
def test_number_of_attributes_out_of_range(num_attributes):
    with pytest.raises(ValueError, match='expected 1 to 43'):
        pack_labels([0], np.zeros((1, num_attributes)))


def test_lengths_disagree():
    with pytest.raises(ValueError, match='expected'):
        pack_labels([0, 1], [[0]])
