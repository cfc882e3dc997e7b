# Copyright (c) mmleuk authors. All rights reserved.
"""Results of a benchmark in a file that is kept with the project.

A record is a JSON Lines file with one run a line, sorted by the settings of
the runs.
"""

import json
from pathlib import Path
from typing import Dict, List, Sequence

from mmleuk.io.atomic_write import write_text

# Keys of the outcome of a run; the others state its settings.
OUTCOME = ('minutes', 'scores', 'revision')


def identify(result: dict) -> str:
    """Settings of a run as text, equal for results of the same run."""
    return json.dumps(
        {k: v for k, v in result.items() if k not in OUTCOME}, sort_keys=True
    )


def read_record(path: Path) -> List[dict]:
    """Read the results of a record, none if there is no such file."""
    if not path.exists():
        return []
    results = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            result = json.loads(line)
        except json.JSONDecodeError as error:
            result = error
        if not isinstance(result, dict) or 'scores' not in result:
            raise ValueError(
                f'{path}, line {number}: got {line[:60]!r}, expected the '
                'result of a run as a JSON object with "scores"; correct '
                'or remove the line, and run the benchmark again'
            )
        results.append(result)
    return results


def update_record(path: Path, results: Sequence[dict]) -> List[dict]:
    """Add results to a record, in place of those of the same runs.

    Args:
        path (Path): The file. It is made if there is none.
        results (Sequence[dict]): The results.

    Returns:
        list[dict]: All results of the record.

    Raises:
        ValueError: If a line of the record is no result.
    """
    merged: Dict[str, dict] = {
        identify(result): result for result in [*read_record(path), *results]
    }
    ordered = [merged[key] for key in sorted(merged)]
    write_text(
        path, ''.join(f'{json.dumps(r, sort_keys=True)}\n' for r in ordered)
    )
    return ordered
