"""A data set on disk, and dumped predictions for it."""

import json
import pickle

import cv2
import numpy as np
import torch
from random_results import ATTRIBUTES, CLASSES, as_data_sample, make_results

CONFIG = """
dataset = dict(
    type='mmleuk.LLDDataset',
    metainfo=dict(classes={classes}, attributes={attributes}),
    data_root='{root}',
    data_prefix=dict(img='images/'),
    pipeline=[])
train_dataloader = dict(dataset=dict(
    type='RepeatDataset',
    times=2,
    dataset=dict(ann_file='train.json', **dataset)))
test_dataloader = dict(dataset=dict(
    ann_file='test.json', test_mode=True, **dataset))
val_dataloader = test_dataloader
test_evaluator = dict(type='mmleuk.LLDMetric', score_thr=0.25)
val_evaluator = test_evaluator
"""


def write_annotations(folder, name, results):
    """Write labels, and images to match, as the reader wants them."""
    images, annotations = [], []
    for image_id, result in enumerate(results):
        height, width = result['image_shape']
        entry = dict(
            id=image_id, file_name=result['name'], width=width, height=height
        )
        if result['annotated_regions'] is not None:
            entry['annotated_regions'] = result['annotated_regions']
        images.append(entry)
        path = folder / 'images' / result['name']
        cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
        for item in result['instances']:
            x1, y1, x2, y2 = item['bbox']
            codes = {
                attribute['name']: 4 if code == -1 else code
                for attribute, code in zip(ATTRIBUTES, item['attributes'])
            }
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=image_id,
                    category_id=item['bbox_label'],
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=item['ignore_flag'],
                    **codes,
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
    (folder / name).write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )


def write_fields(folder, with_attributes=True):
    """Write data, config.py, results.pkl and epoch_1.pth into a folder.

    Returns:
        list[dict]: The predictions, as data samples.
    """
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir(parents=True)
    results = make_results(rng, 30, with_attributes=with_attributes)
    write_annotations(folder, 'test.json', results)
    others = [dict(r, name=f'train_{r["name"]}') for r in results[:3]]
    write_annotations(folder, 'train.json', others)
    (folder / 'config.py').write_text(
        CONFIG.format(classes=CLASSES, attributes=ATTRIBUTES, root=folder)
    )
    samples = [as_data_sample(result) for result in results]
    for sample in samples:
        sample['img_path'] = f'{folder}/images/{sample["img_path"]}'
    (folder / 'results.pkl').write_bytes(pickle.dumps(samples))
    torch.save(
        dict(
            state_dict={'weight': torch.zeros(2)},
            meta=dict(
                dataset_meta=dict(classes=CLASSES, attributes=ATTRIBUTES)
            ),
        ),
        folder / 'epoch_1.pth',
    )
    return samples
