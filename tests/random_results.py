"""Made-up predictions and labels, with all that can go wrong in them."""

import numpy as np
import torch

from mmleuk.structures import AttributeSchema

CLASSES = ('basophil', 'neutrophil', 'lymphocyte')
ATTRIBUTES = [
    dict(name='cell_size', values=('small', 'medium', 'large')),
    dict(name='nuclear_shape', values=('regular', 'irregular')),
]
SCHEMA = AttributeSchema(ATTRIBUTES)


def softmax(logits):
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def make_results(rng, num_images=8, num_cells=5, with_attributes=True):
    """Fields of cells in a row, found more or less well.

    Some cells are ignored, some codes missing, half the fields annotated on
    their left part alone; some cells are missed, some found twice, and some
    detections lie where nothing is.
    """
    return [
        make_image(rng, f'{index:03d}.png', num_cells, with_attributes)
        for index in range(num_images)
    ]


def make_image(rng, name, num_cells, with_attributes):
    instances, found = [], []
    for index in range(num_cells):
        box = np.array([50 * index + 5, 10, 50 * index + 45, 50.0])
        codes = [
            -1 if rng.random() < 0.15 else int(rng.integers(size))
            for size in SCHEMA.sizes
        ]
        label = int(rng.integers(len(CLASSES)))
        instances.append(
            dict(
                bbox=box.tolist(),
                bbox_label=label,
                ignore_flag=int(rng.random() < 0.15),
                attributes=tuple(codes),
            )
        )
        for _ in range(rng.choice([0, 1, 2], p=[0.1, 0.7, 0.2])):
            right = rng.random() < 0.8
            found.append(
                dict(
                    bbox=box + rng.normal(0, 3, 4),
                    label=label if right else int(rng.integers(len(CLASSES))),
                    codes=codes,
                    score=rng.beta(4, 1) if right else rng.beta(1, 1),
                )
            )
    for _ in range(rng.integers(3)):
        x = rng.uniform(0, 50 * num_cells)
        found.append(
            dict(
                bbox=np.array([x, 100, x + 40, 140.0]),
                label=int(rng.integers(len(CLASSES))),
                codes=(-1, -1),
                score=rng.beta(1, 2),
            )
        )
    probs = [
        np.concatenate(
            [
                softmax(rng.normal(0, 1, size) + 2 * (np.arange(size) == code))
                for size, code in zip(SCHEMA.sizes, item['codes'])
            ]
        )
        for item in found
    ]
    image = dict(
        name=name,
        image_shape=(150, 50 * num_cells),
        instances=instances,
        annotated_regions=[[0.0, 0.0, 30.0 * num_cells, 150.0]]
        if rng.random() < 0.5
        else None,
        patient=None,
        bboxes=np.array([i['bbox'] for i in found]).reshape(-1, 4),
        scores=np.array([i['score'] for i in found], dtype=float),
        labels=np.array([i['label'] for i in found], dtype=np.int64),
    )
    if with_attributes:
        probs = np.array(probs).reshape(-1, SCHEMA.num_values)
        parts = np.split(probs, np.cumsum(SCHEMA.sizes)[:-1], axis=1)
        codes = [part.argmax(axis=1) for part in parts]
        image['attribute_probs'] = probs
        image['attribute_labels'] = np.stack(codes, axis=1)
    return image


def as_data_sample(image):
    """The image as a detector's data sample, turned into a dict."""
    fields = (
        'bboxes',
        'scores',
        'labels',
        'attribute_labels',
        'attribute_probs',
    )
    return dict(
        img_path=image['name'],
        ori_shape=image['image_shape'],
        instances=image['instances'],
        annotated_regions=image['annotated_regions'],
        pred_instances={
            key: torch.from_numpy(image[key]) for key in fields if key in image
        },
    )
