# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

from .faults import Fault


class AnnotationError(ValueError):
    """Annotations that can not be understood.

    Args:
        source (str): The annotation file.
        record (str): The record in it, such as ``'annotation 3 (id 17)'``.
        problem (str): What was got and what was expected.
        fix (str): What to do about it.
        fault (Fault, optional): The kind of fault.
    """

    def __init__(
        self,
        source: str,
        record: str,
        problem: str,
        fix: str,
        fault: Optional[Fault] = None,
    ) -> None:
        self.fault = fault
        record = f', {record}' if record else ''
        super().__init__(f'{source}{record}: {problem}. {fix}.')
