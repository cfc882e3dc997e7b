# Copyright (c) mmleuk authors. All rights reserved.
"""Read a checkpoint and its config without executing either.

MMEngine stores the config in a checkpoint as Python text and executes it for
reading. People exchange checkpoints as data, so here the text may only
contain literals, and only registered classes may be named.
"""

import ast
import hashlib
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Iterator, Mapping, NoReturn, Set, Tuple, Union

import mmcv.ops
from mmdet.utils import register_all_modules
from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import Registry

# Adds our registries to those of MMEngine.
import mmleuk.registry  # noqa: F401
from mmleuk.engine.checkpoint_loaders import load_from_local

# Free text for people: brackets in it are no code.
_FREE_TEXT = ('title',)
_NAME = re.compile(r'[A-Za-z_]\w*')


def read_checkpoint(path: Union[str, Path]) -> dict:
    """Read a checkpoint of MMEngine's runner onto the CPU.

    Nothing in it is executed: torch only rebuilds tensors, plain Python
    objects and the classes of :func:`mmleuk.engine.load_checkpoints_safely`.

    Args:
        path (str | Path): The file.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If the file is broken, has other contents or no weights.
    """
    try:
        checkpoint = load_from_local(path, 'cpu')
    except UnpicklingError as error:
        raise ValueError(str(error)) from error
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(
            f"{path} has no 'state_dict', expected a checkpoint of MMEngine's "
            'runner'
        )
    return checkpoint


def hash_file(path: Union[str, Path]) -> str:
    """Compute the SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_config(checkpoint: Mapping, origin: str) -> Config:
    """Read the config that a checkpoint of the path ``origin`` holds.

    Pass the parts to build to :func:`check_names`.

    Raises:
        ValueError: If there is none, or it has other code than literals.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(
            f'{origin} holds no config, expected it under meta.cfg, where '
            "MMEngine's runner writes it. Give the config file, too"
        )
    return parse_config(text, origin)


def parse_config(text: str, origin: str) -> Config:
    """Parse a config of literals, as :meth:`mmengine.Config.dump` writes it.

    Args:
        text (str): Assignments of literals, including ``dict(key=value)``.
        origin (str): Origin of the text, for messages.

    Returns:
        Config: The config.

    Raises:
        ValueError: If the text has any other code.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f'{origin}: its config is no Python text ({error}). '
            'Give the config file, too'
        ) from error
    values = {}
    for statement in statements:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            _refuse(statement, origin)
        try:
            value = ast.literal_eval(_DictCalls().visit(statement.value))
        except (ValueError, TypeError, RecursionError, MemoryError):
            _refuse(statement, origin)
        values[statement.targets[0].id] = value
    return Config(values)


class _DictCalls(ast.NodeTransformer):
    """Turns ``dict(key=value)`` into ``{'key': value}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        is_plain = (
            isinstance(node.func, ast.Name)
            and node.func.id == 'dict'
            and not node.args
            and all(keyword.arg for keyword in node.keywords)
        )
        if not is_plain:
            return node
        return ast.Dict(
            keys=[ast.Constant(keyword.arg) for keyword in node.keywords],
            values=[keyword.value for keyword in node.keywords],
        )


def _refuse(statement: ast.stmt, origin: str) -> NoReturn:
    code = ast.unparse(statement)
    code = code if len(code) < 80 else f'{code[:77]}...'
    raise ValueError(
        f'{origin}: line {statement.lineno} of its config is {code!r}, '
        'expected only literals, as MMEngine writes them: it may run any '
        'code and was not run. If you trust who made it, give the config file'
    )


def check_names(config: Union[Config, Mapping], origin: str) -> None:
    """Refuse a config of literals that would execute what it names.

    MMEngine's registries import any ``type`` with a dotted path, such as
    ``subprocess.Popen``, and call it with the other keys;
    ``mmcv.ops.batched_nms`` evaluates a string. So each ``type`` must be
    registered or be an operator of mmcv, and no string may be a call.

    Args:
        config (Config | Mapping): The parts to build.
        origin (str): Origin of the config, for messages.

    Raises:
        ValueError: If a name is unknown or a string is code.
    """
    if isinstance(config, Config):
        config = config.to_dict()
    known, scopes = _registered_names()
    for path, key, text in _strings(config, ''):
        if key == 'type':
            is_safe = _is_known(text, known, scopes)
        elif key == '_scope_':
            is_safe = text in scopes
        else:
            is_safe = key in _FREE_TEXT or not _is_call(text)
        if not is_safe:
            raise ValueError(
                f'{origin}: {path} of its config is {text!r}, which no '
                'installed part of MMDetection or mmleuk registers, and was '
                'not run. If it is of a package of your own and you trust '
                'who made the checkpoint, give the config file'
            )


def _strings(value: Any, path: str) -> Iterator[Tuple[str, str, str]]:
    """Yield path, last key and text of every string in a config."""
    if isinstance(value, Mapping):
        parts = [(f'{path}.{key}', key, item) for key, item in value.items()]
    elif isinstance(value, (list, tuple, set)):
        parts = [(f'{path}[{i}]', '', item) for i, item in enumerate(value)]
    else:
        parts = []
    for inner_path, key, item in parts:
        if isinstance(item, str):
            yield inner_path.lstrip('.'), key, item
        else:
            yield from _strings(item, inner_path)


def _registered_names() -> Tuple[Set[str], Set[str]]:
    """Names (also after scope or package) and scopes of all registries."""
    register_all_modules(init_default_scope=False)
    roots = [
        value
        for value in vars(mmengine_registry).values()
        if isinstance(value, Registry)
    ]
    names = {name for name in dir(mmcv.ops) if not name.startswith('_')}
    scopes = set()
    while roots:
        node = roots.pop()
        node.import_from_location()
        scopes.add(node.scope)
        roots += node.children.values()
        for name, item in node.module_dict.items():
            names.update((name, f'{node.scope}.{name}'))
            package = getattr(item, '__module__', '').partition('.')[0]
            names.add(f'{package}.{getattr(item, "__name__", name)}')
    return names, scopes


def _is_known(text: str, known: Set[str], scopes: Set[str]) -> bool:
    """Tell whether a ``type`` is registered, by its name or by its path."""
    parts = text.split('.')
    if not all(map(_NAME.fullmatch, parts)):
        return False
    if len(parts) <= 2:
        return text in known
    # A config that imports its classes is dumped with their paths.
    return parts[0] in scopes and f'{parts[0]}.{parts[-1]}' in known


def _is_call(text: str) -> bool:
    """Tell whether a string is a Python expression that calls something."""
    try:
        tree = ast.parse(text.strip(), mode='eval')
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Call) for node in ast.walk(tree))
