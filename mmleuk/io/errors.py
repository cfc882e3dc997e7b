# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

from .faults import Fault


class AnnotationError(ValueError):
    """An annotation file states what no reader may guess at.

    Args:
        source (str): The annotation file.
        record (str): The record in it, such as ``'annotation 3 (id 17)'``.
        problem (str): What was got and what was expected.
        mend (str): How to mend it.
        fault (Fault, optional): Its kind in the list of faults. Defaults to
            None.
    """

    def __init__(
        self,
        source: str,
        record: str,
        problem: str,
        mend: str,
        fault: Optional[Fault] = None,
    ) -> None:
        self.fault = fault
        record = f', {record}' if record else ''
        super().__init__(f'{source}{record}: {problem}. {mend}.')
