# Copyright (c) mmleuk authors. All rights reserved.
from importlib import import_module
from types import ModuleType


def import_optional(module: str, purpose: str, extra: str) -> ModuleType:
    """Import a package that only an extra of mmleuk installs.

    Args:
        module (str): The module.
        purpose (str): What needs it, to begin the message with.
        extra (str): The extra.

    Returns:
        module: The module.

    Raises:
        ImportError: If it is missing, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs {module} ({error}): pip install '
            f"'mmleuk[{extra}]' (or -e '.[{extra}]' in a clone)"
        ) from error
