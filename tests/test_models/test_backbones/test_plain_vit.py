# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import load_checkpoint

from mmleuk.models.backbones import PlainViT

DIMS, HEADS, DEPTH = 16, 2, 2
TINY = dict(embed_dims=DIMS, depth=DEPTH, num_heads=HEADS)


def published_weights(patch_size=14, side=4, registers=0, scales=True):
    """Random weights under the names of DINOv2."""
    torch.manual_seed(0)
    shapes = {
        'cls_token': (1, 1, DIMS),
        'pos_embed': (1, side**2 + 1, DIMS),
        'mask_token': (1, DIMS),
        'patch_embed.proj.weight': (DIMS, 3, patch_size, patch_size),
        'patch_embed.proj.bias': (DIMS,),
        'norm.weight': (DIMS,),
        'norm.bias': (DIMS,),
    }
    if registers:
        shapes['register_tokens'] = (1, registers, DIMS)
    for i in range(DEPTH):
        block = f'blocks.{i}.'
        for name, out, width in (
            ('attn.qkv', 3 * DIMS, DIMS),
            ('attn.proj', DIMS, DIMS),
            ('mlp.fc1', 4 * DIMS, DIMS),
            ('mlp.fc2', DIMS, 4 * DIMS),
        ):
            shapes[f'{block}{name}.weight'] = (out, width)
            shapes[f'{block}{name}.bias'] = (out,)
        for name in ('norm1', 'norm2'):
            shapes[f'{block}{name}.weight'] = (DIMS,)
            shapes[f'{block}{name}.bias'] = (DIMS,)
        if scales:
            shapes[f'{block}ls1.gamma'] = (DIMS,)
            shapes[f'{block}ls2.gamma'] = (DIMS,)
    return {key: torch.randn(shape) * 0.3 for key, shape in shapes.items()}


def encode(weights, x):
    """The encoder in plain torch, patch by patch and head by head."""
    kernel = weights['patch_embed.proj.weight']
    patch = kernel.shape[-1]
    rows, columns = (-(-size // patch) for size in x.shape[-2:])
    image = torch.zeros(len(x), 3, rows * patch, columns * patch)
    image[..., : x.shape[2], : x.shape[3]] = x
    tokens = torch.stack(
        [
            image[
                :,
                :,
                r * patch : (r + 1) * patch,
                c * patch : (c + 1) * patch,
            ].flatten(1)
            @ kernel.flatten(1).T
            + weights['patch_embed.proj.bias']
            for r in range(rows)
            for c in range(columns)
        ],
        dim=1,
    )
    positions = weights['pos_embed'][0]
    side = round((len(positions) - 1) ** 0.5)
    grid = positions[1:].reshape(side, side, DIMS)
    if (rows, columns) != (side, side):
        grid = F.interpolate(
            grid.permute(2, 0, 1)[None], (rows, columns), mode='bicubic'
        )[0].permute(1, 2, 0)
    tokens = tokens + grid.reshape(-1, DIMS)
    first = [(weights['cls_token'][0] + positions[0]).expand(len(x), 1, DIMS)]
    if 'register_tokens' in weights:
        first.append(weights['register_tokens'].expand(len(x), -1, DIMS))
    tokens = torch.cat([*first, tokens], dim=1)

    def norm(y, name):
        y = y - y.mean(-1, keepdim=True)
        y = y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return y * weights[f'{name}.weight'] + weights[f'{name}.bias']

    def linear(y, name):
        return y @ weights[f'{name}.weight'].T + weights[f'{name}.bias']

    for i in range(DEPTH):
        block = f'blocks.{i}.'
        qkv = linear(norm(tokens, f'{block}norm1'), f'{block}attn.qkv')
        q, k, v = qkv.split(DIMS, dim=-1)
        width = DIMS // HEADS
        heads = []
        for h in range(HEADS):
            part = slice(h * width, (h + 1) * width)
            logits = q[..., part] @ k[..., part].transpose(1, 2) / width**0.5
            heads.append(logits.softmax(-1) @ v[..., part])
        y = linear(torch.cat(heads, -1), f'{block}attn.proj')
        tokens = tokens + y * weights.get(f'{block}ls1.gamma', 1)
        y = linear(norm(tokens, f'{block}norm2'), f'{block}mlp.fc1')
        y = y * (1 + torch.erf(y / 2**0.5)) / 2
        y = linear(y, f'{block}mlp.fc2')
        tokens = tokens + y * weights.get(f'{block}ls2.gamma', 1)
    tokens = norm(tokens, 'norm')[:, -rows * columns :]
    return tokens.transpose(1, 2).reshape(len(x), DIMS, rows, columns)


def load(file, tmp_path, **kwargs):
    """Build a ViT whose ``init_cfg`` names a file with these contents."""
    path = tmp_path / 'encoder.pth'
    torch.save(file, path)
    vit = PlainViT(
        **{
            **dict(arch=TINY, patch_size=14, img_size=56),
            **kwargs,
            'init_cfg': dict(type='Pretrained', checkpoint=str(path)),
        }
    )
    vit.init_weights()
    return vit.eval()


@pytest.mark.parametrize('size', [(56, 56), (70, 40), (29, 90)])
@pytest.mark.parametrize(
    'patch_size, registers, scales',
    [(14, 0, True), (14, 4, True), (16, 0, False)],
)
def test_matches_an_independent_forward(
    tmp_path, size, patch_size, registers, scales
):
    weights = published_weights(patch_size, 4, registers, scales)
    vit = load(
        weights,
        tmp_path,
        patch_size=patch_size,
        img_size=4 * patch_size,
        num_registers=registers,
        layer_scale=1e-5 if scales else None,
    )
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        (out,) = vit(x)
    assert out.shape[-2:] == tuple(-(-n // patch_size) for n in size)
    torch.testing.assert_close(out, encode(weights, x), rtol=0, atol=1e-5)


def in_teacher(weights, name='teacher'):
    heads = {'dino_head.mlp.0.weight': torch.zeros(2)}
    encoder = {f'backbone.{key}': value for key, value in weights.items()}
    return {name: {**encoder, **heads}}


@pytest.mark.parametrize(
    'wrap',
    [
        in_teacher,
        lambda w: {f'teacher.backbone.{key}': w[key] for key in w},
        lambda w: dict(state_dict={f'module.{key}': w[key] for key in w}),
        lambda w: dict(
            in_teacher(w),
            **in_teacher({k: v + 1 for k, v in w.items()}, 'student'),
            iteration=7,
        ),
    ],
)
def test_finds_the_encoder_in_a_file(tmp_path, wrap):
    weights = published_weights()
    vit = load(wrap(weights), tmp_path)
    own = vit.state_dict()
    assert set(own) == set(weights) - {'mask_token'}
    assert all(torch.equal(own[key], weights[key]) for key in own)


def without(weights, key):
    return {k: v for k, v in weights.items() if k != key}


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda w: without(w, 'norm.bias'), r'missing: norm\.bias\. Set arch'),
        (
            lambda w: dict(w, register_tokens=torch.zeros(1, 4, DIMS)),
            'left over: register_tokens.*num_registers',
        ),
        (
            lambda w: dict(w, pos_embed=torch.zeros(1, 10, DIMS)),
            r'pos_embed \(1, 10, 16\) instead of \(1, 17, 16\).*img_size',
        ),
        (lambda w: {'conv1.weight': torch.zeros(1)}, r"\['conv1.weight'\]"),
        (
            lambda w: {**in_teacher(w, 'a'), **in_teacher(w, 'b')},
            'student and a teacher',
        ),
    ],
)
def test_weights_that_do_not_fit_raise(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load(change(published_weights()), tmp_path)


def test_a_checkpoint_of_a_detector_loads(tmp_path):
    detector = torch.nn.ModuleDict(dict(backbone=PlainViT(TINY, img_size=56)))
    detector.backbone.init_weights()
    path = str(tmp_path / 'detector.pth')
    torch.save(dict(state_dict=detector.state_dict()), path)
    other = torch.nn.ModuleDict(dict(backbone=PlainViT(TINY, img_size=56)))
    load_checkpoint(other, path, strict=True)
    for key, value in detector.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    missing, _ = other.load_state_dict({}, strict=False)
    assert len(missing) == len(other.state_dict())


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2])
@pytest.mark.parametrize('with_cp', [True, False])
def test_frozen_stages(frozen_stages, with_cp):
    vit = PlainViT(
        TINY, img_size=56, frozen_stages=frozen_stages, with_cp=with_cp
    )
    vit.init_weights()
    (out,) = vit.train()(torch.randn(1, 3, 56, 56))
    if frozen_stages == DEPTH:
        assert not out.requires_grad
        return
    out.square().sum().backward()
    for name, param in vit.named_parameters():
        if name.startswith('blocks.'):
            frozen = int(name.split('.')[1]) < frozen_stages
        else:
            frozen = frozen_stages >= 0 and not name.startswith('norm.')
        assert (param.grad is None) == frozen, name


def test_runs_in_bfloat16():
    vit = PlainViT(TINY, img_size=56).train()
    vit.init_weights()
    with torch.autocast('cpu', torch.bfloat16):
        (out,) = vit(torch.randn(1, 3, 60, 64))
    out.float().square().mean().backward()
    assert all(param.grad.isfinite().all() for param in vit.parameters())


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(arch='giant'), "arch is 'giant'"),
        (dict(img_size=225), 'img_size is 225'),
        (dict(frozen_stages=13), 'frozen_stages is 13'),
    ],
)
def test_bad_arguments_raise(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PlainViT(**kwargs)
