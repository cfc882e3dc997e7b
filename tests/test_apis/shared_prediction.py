# Copyright (c) mmleuk authors. All rights reserved.
"""Predictions by one process or by several that share the images out."""

import numpy as np

from mmleuk.apis import (
    LLDInferencer,
    Tiling,
    UnreadableImageError,
    WindowReader,
)


class Slide(WindowReader):
    """Noise, some of which can't be read.

    Args:
        broken_from (int): Windows from this column on can't be read.
        error (type): What reading them raises.
    """

    def __init__(self, broken_from=10**9, error=UnreadableImageError):
        super().__init__(420, 100)
        self.broken_from = broken_from
        self.error = error
        noise = np.random.default_rng(0).integers(0, 255, (100, 420, 3))
        self.image = noise.astype(np.uint8)

    def read(self, x1, y1, x2, y2):
        if x1 >= self.broken_from:
            raise self.error(f'column {x1} is lost')
        return self.image[y1:y2, x1:x2].copy()


def predict_files(weights, images, out):
    """Predict a folder and one image, in tiles where they are large.

    Returns:
        list[str]: The records, as each process gets them.
    """
    inferencer = LLDInferencer(
        weights=str(weights), device='cpu', show_progress=False
    )
    records = []
    for inputs, name in ((images, 'folder'), (images / 'a.png', 'one')):
        for record in inferencer.stream(
            inputs,
            batch_size=2,
            score_thr=0,
            tile=Tiling(96, 32),
            recursive=True,
            out_dir=out / name,
            show_dir=out / name / 'drawn',
            distributed=True,
        ):
            records.append(repr(record))
    return records


def predict_readers(weights):
    """Predict slides of which some can't be read on some processes."""
    inferencer = LLDInferencer(
        weights=str(weights), device='cpu', show_progress=False
    )
    slides = [Slide(), Slide(broken_from=200), Slide()]
    settings = dict(score_thr=0, tile=Tiling(96, 32), distributed=True)
    results = [
        repr(record) for record in inferencer.stream(slides, **settings)
    ]
    for inputs, strict in (
        (slides, True),
        # No fault of an image: one of a package or of memory.
        ([Slide(broken_from=200, error=RuntimeError)], False),
    ):
        try:
            list(inferencer.stream(inputs, strict=strict, **settings))
        except (UnreadableImageError, RuntimeError) as error:
            results.append(f'{type(error).__name__}: {error}')
    return results


def predict_unequal(rank, weights, images):
    """Predict with other inputs or weights on each process."""
    inferencer = LLDInferencer(
        weights=str(weights), device='cpu', show_progress=False
    )
    messages = []
    for inputs in (images if rank else images / 'a.png', images):
        try:
            list(inferencer.stream(inputs, distributed=True))
        except ValueError as error:
            messages.append(str(error))
        inferencer._weights_hash = f'hash {rank}'
    return messages


def work(rank, weights, images, out):
    """What each of several processes does."""
    return (
        predict_files(weights, images, out),
        predict_readers(weights),
        predict_unequal(rank, weights, images),
    )
