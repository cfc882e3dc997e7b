# Copyright (c) mmleuk authors. All rights reserved.
import copy
import json

import numpy as np
import pytest
import torch
from mmdet.registry import DATA_SAMPLERS, DATASETS, HOOKS
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from PIL import Image

BRANCHES = ('sup', 'unsup_teacher', 'unsup_student')
AFTER_BURN_IN = 0.5
CONFIDENT = dict(
    pseudo_label_initial_score_thr=0.0,
    rpn_pseudo_thr=0.0,
    cls_pseudo_thr=0.0,
    reg_pseudo_thr=100.0,
)
CLUELESS = dict(pseudo_label_initial_score_thr=1.0)


@pytest.fixture
def cfg(baseline_cfg):
    return baseline_cfg('soft-teacher')


@pytest.fixture
def model(cfg, build_model):
    return build_model(cfg.model)


@pytest.fixture
def make_batch(make_sample):
    """Make images and samples of the branches, as after preprocessing."""

    def make(num_cells=(2, 0, 1, 1), num_unsup=2):
        samples = dict(sup=[make_sample(num) for num in num_cells])
        for branch in BRANCHES[1:]:
            scale = np.diag([0.5, 0.5, 1]).astype(np.float32)
            samples[branch] = [
                make_sample(homography_matrix=scale) for _ in range(num_unsup)
            ]
            for sample in samples[branch]:
                del sample.gt_instances, sample.ignored_instances
        inputs = {
            branch: torch.randn(len(samples[branch]), 3, 64, 96)
            for branch in BRANCHES
        }
        return inputs, samples

    return make


def check_gradients(model, losses):
    """Like DDP: every parameter of the student must take part."""
    loss, _ = model.parse_losses(losses)
    assert loss.isfinite()
    loss.backward()
    for name, parameter in model.student.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    for name, parameter in model.teacher.named_parameters():
        assert parameter.grad is None, name


def test_teacher_never_trains(model):
    for mode in (True, False, True):
        assert model.train(mode) is model
        assert model.student.training is mode
        assert not any(module.training for module in model.teacher.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())


@pytest.mark.parametrize('progress', [None, 1 / 3 - 0.01])
def test_burn_in_learns_from_all_labelled_images(
    model, make_batch, set_progress, monkeypatch, progress
):
    if progress is not None:
        set_progress(progress)
    monkeypatch.setattr(model, 'get_pseudo_instances', None)
    inputs, samples = make_batch()
    torch.manual_seed(0)
    losses = model.loss(inputs, copy.deepcopy(samples))
    torch.manual_seed(0)
    expected = model.student.loss(inputs['sup'], samples['sup'])
    assert losses.keys() == {f'sup_{key}' for key in expected}
    for key, value in expected.items():
        torch.testing.assert_close(losses[f'sup_{key}'], value)
    check_gradients(model, losses)


@pytest.mark.parametrize('num_sup, expected', [(2, 2), (None, 4)])
def test_number_of_images_after_burn_in(
    model, make_batch, set_progress, monkeypatch, num_sup, expected
):
    set_progress(AFTER_BURN_IN)
    model.semi_train_cfg.num_sup = num_sup
    seen = []
    extract_feat = model.student.extract_feat
    monkeypatch.setattr(
        model.student,
        'extract_feat',
        lambda images: seen.append(len(images)) or extract_feat(images),
    )
    losses = model.loss(*make_batch())
    assert seen == [expected, 2]
    assert 'sup_loss_attribute' in losses
    assert 'unsup_loss_cls' in losses


@pytest.mark.parametrize('confidence', [CONFIDENT, CLUELESS, {}])
@pytest.mark.parametrize('proposals', ['both', 'teacher', 'student', 'none'])
def test_losses(model, make_batch, set_progress, confidence, proposals):
    """No cell found, no proposal or both: losses are zero, not errors."""
    set_progress(AFTER_BURN_IN)
    model.semi_train_cfg.update(confidence)
    too_large = dict(min_bbox_size=10000)
    if proposals not in ('both', 'teacher'):
        model.student.train_cfg.rpn_proposal.update(too_large)
    if proposals not in ('both', 'student'):
        model.teacher.rpn_head.test_cfg.update(too_large)
    losses = model.loss(*make_batch())
    assert {key for key in losses if 'loss' in key} == {
        *(
            f'{branch}_loss_{name}'
            for branch in ('sup', 'unsup')
            for name in ('rpn_cls', 'rpn_bbox', 'cls', 'bbox')
        ),
        'sup_loss_attribute',
    }
    finds_cells = confidence is CONFIDENT and proposals in ('both', 'student')
    rpn_bbox, _ = model.parse_losses(dict(loss=losses['unsup_loss_rpn_bbox']))
    assert (rpn_bbox > 0) == finds_cells
    assert (losses['unsup_loss_cls'] > 0) == (proposals in ('both', 'teacher'))
    check_gradients(model, losses)


def test_cells_of_the_teacher_teach_no_attribute(
    model, make_batch, set_progress, monkeypatch
):
    set_progress(AFTER_BURN_IN)
    model.semi_train_cfg.update(CONFIDENT)
    inputs, samples = make_batch()
    batches = []
    roi_loss = model.student.roi_head.loss
    monkeypatch.setattr(
        model.student.roi_head,
        'loss',
        lambda x, rpn, samples: (
            batches.append(samples) or roi_loss(x, rpn, samples)
        ),
    )
    losses = model.loss(inputs, samples)
    labelled, found = batches
    assert any(s.gt_instances.attributes.ne(-1).any() for s in labelled)
    for sample in found:
        assert len(sample.gt_instances) > 0
        assert sample.gt_instances.attributes.shape[1] == 7
        assert sample.gt_instances.attributes.eq(-1).all()

    unsup, _ = model.parse_losses(
        {key: loss for key, loss in losses.items() if key.startswith('unsup')}
    )
    unsup.backward()
    head = model.student.roi_head.attribute_head.fc_attribute
    assert head.weight.grad is None or head.weight.grad.eq(0).all()
    assert model.student.roi_head.bbox_head.fc_cls.weight.grad.ne(0).any()


def test_cells_move_to_the_view_of_the_student(
    model, make_batch, set_progress, monkeypatch
):
    set_progress(AFTER_BURN_IN)
    inputs, samples = make_batch(num_unsup=1)
    mirror = np.array([[-1, 0, 96], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    matrix = samples['unsup_student'][0].homography_matrix
    samples['unsup_student'][0].set_metainfo(
        dict(homography_matrix=mirror @ matrix)
    )
    found = InstanceData(
        bboxes=torch.tensor([[10.0, 5, 40, 50]]),
        scores=torch.tensor([0.99]),
        labels=torch.tensor([3]),
        attribute_labels=torch.zeros(1, 7, dtype=torch.int64),
    )
    predict = model.teacher.roi_head.predict
    monkeypatch.setattr(
        model.teacher.roi_head,
        'predict',
        lambda *args, **kwargs: (
            [found]
            # None marks the jittered boxes.
            if model.teacher.roi_head.test_cfg is not None
            else predict(*args, **kwargs)
        ),
    )
    model.loss(inputs, samples)
    cells = samples['unsup_student'][0].gt_instances
    torch.testing.assert_close(cells.bboxes, torch.tensor([[56.0, 5, 86, 50]]))
    assert cells.labels.tolist() == [3]


def test_predicts_by_the_teacher(model, make_sample):
    model.eval()
    torch.nn.init.constant_(model.student.roi_head.bbox_head.fc_cls.bias, 1e6)
    sample = make_sample(0)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        (result,) = model.predict(images, [sample])
        expected = model.teacher.predict(images, [make_sample(0)])[0]
    torch.testing.assert_close(
        result.pred_instances.scores, expected.pred_instances.scores
    )
    assert 'attribute_probs' in result.pred_instances


def test_teacher_takes_over_weights_and_buffers(cfg, model):
    """The hook of the config copies statistics of batch norms as well."""
    (hook_cfg,) = cfg.custom_hooks
    hook = HOOKS.build(hook_cfg)
    for tensor in model.student.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(3.0)
    before = model.teacher.backbone.stem.bn.running_mean.clone()
    hook.momentum_update(model, hook.momentum)
    after = model.teacher.backbone.stem.bn.running_mean
    torch.testing.assert_close(after, before + hook.momentum * (3.0 - before))


@pytest.fixture
def datasets(cfg, tmp_path):
    """The datasets of the config on a field of 240 x 242 pixels."""
    root = tmp_path / 'fields'
    (root / 'images').mkdir(parents=True)
    (root / 'json_labels').mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (242, 240, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / 'images' / '4_1_1000_ALL.png')
    labels = dict(
        images=[
            dict(
                id=0,
                file_name='4_1_1000_ALL.png',
                width=240,
                height=242,
                annotated_regions=[[0, 0, 120, 121]],
            )
        ],
        categories=[dict(id=2, name='lymphoblast')],
        annotations=[
            dict(
                id=0,
                image_id=0,
                category_id=2,
                bbox=[20, 20, 60, 60],
                area=3600,
                iscrowd=0,
                cell_size=1,
                nuclear_chromatio=0,
                nuclear_shape=1,
                nucleolus=0,
                cytoplasm=1,
                cytoplasmic_basophilia=0,
                cytoplasmic_vacuoles=1,
            )
        ],
    )
    (root / 'json_labels' / 'train_sparse.json').write_text(json.dumps(labels))
    dataset_cfg = cfg.train_dataloader.dataset
    for part in dataset_cfg.datasets:
        part.data_root = str(root)
        part.pipeline[0].pop('backend_args')
    return DATASETS.build(dataset_cfg)


def test_only_labelled_images_bring_labels(datasets):
    labelled, others = datasets[0], datasets[1]
    assert labelled['inputs']['unsup_student'] is None
    sample = labelled['data_samples']['sup']
    assert len(sample.gt_instances) == 1
    assert sample.gt_instances.attributes.ne(-1).all()
    assert sample.ignored_instances.labels.eq(-1).all()
    assert len(sample.ignored_instances) > 0

    assert others['inputs']['sup'] is None
    for _ in range(20):
        for branch in BRANCHES[1:]:
            sample = others['data_samples'][branch]
            assert len(sample.gt_instances) == 0
            assert len(sample.ignored_instances) == 0
            assert sample.homography_matrix.shape == (3, 3)
            assert 'instances' not in sample
            assert 'annotated_regions' not in sample
        others = datasets[1]


def test_a_step_on_a_batch_of_the_config(
    cfg, datasets, build_model, set_progress
):
    set_progress(AFTER_BURN_IN)
    for part in datasets.datasets:
        for transform in part.pipeline.transforms:
            if transform.__class__.__name__ == 'Resize':
                transform.scale = (96, 96)
    cfg.model.semi_train_cfg.update(CONFIDENT)
    model = build_model(cfg.model)
    sampler = DATA_SAMPLERS.build(
        cfg.train_dataloader.sampler, default_args=dict(dataset=datasets)
    )
    indices = iter(sampler)
    size = cfg.train_dataloader.batch_size
    batch = pseudo_collate([datasets[next(indices)] for _ in range(size)])
    data = model.data_preprocessor(batch, True)
    assert {k: len(v) for k, v in data['inputs'].items()} == dict(
        sup=4, unsup_teacher=2, unsup_student=2
    )
    losses = model(**data, mode='loss')
    assert 'sup_loss_attribute' in losses
    check_gradients(model, losses)


def test_student_sees_as_many_images_as_with_any_method(cfg, baseline_cfg):
    settings = cfg.model.semi_train_cfg
    sampler = cfg.train_dataloader.sampler
    num_sup, num_unsup = sampler.source_ratio
    assert sampler.batch_size == cfg.train_dataloader.batch_size
    other = baseline_cfg('sla-det')
    batch_size = other.train_dataloader.batch_size
    assert num_sup == settings.num_sup + num_unsup == batch_size
    # In as many steps, at the same learning rate.
    assert sampler.type == 'mmleuk.EpochMultiSourceSampler'
    for key in ('train_cfg', 'param_scheduler', 'optim_wrapper'):
        assert cfg[key] == other[key]
    assert (
        cfg.auto_scale_lr.base_batch_size * batch_size
        == other.auto_scale_lr.base_batch_size * sampler.batch_size
    )
