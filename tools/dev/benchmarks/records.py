# Copyright (c) mmleuk authors. All rights reserved.
"""Results of a benchmark in one file, to be kept with the project.

Working directories come and go; the numbers in a document stay and should be
there to be looked up and drawn anew. A record is a JSON Lines file, one run a
line, in the order of what the runs are.
"""

import json
import os
from pathlib import Path
from typing import Dict, List, Sequence

# What a run gave, in contrast to which run it was.
OUTCOME = ('minutes', 'scores', 'revision')


def identify(result: dict) -> str:
    """Tell which run a result is of.

    Args:
        result (dict): The result.

    Returns:
        str: The same for results of the same run, whatever they are.
    """
    return json.dumps(
        {k: v for k, v in result.items() if k not in OUTCOME}, sort_keys=True
    )


def read_record(path: Path) -> List[dict]:
    """Read a record.

    Args:
        path (Path): The file.

    Returns:
        list[dict]: Its results; none if there is no such file.

    Raises:
        ValueError: If a line is no result.
    """
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
                'result of a run as a JSON object with "scores"; mend the '
                'line or remove it, and run the benchmark for what it was'
            )
        results.append(result)
    return results


def update_record(path: Path, results: Sequence[dict]) -> List[dict]:
    """Add results to a record.

    Args:
        path (Path): The file. It is made if need be.
        results (Sequence[dict]): The results. They take the place of what the
            record has of the same runs.

    Returns:
        list[dict]: All that the record holds.

    Raises:
        ValueError: If a line of the record is no result.
    """
    merged: Dict[str, dict] = {
        identify(result): result for result in [*read_record(path), *results]
    }
    ordered = [merged[key] for key in sorted(merged)]
    path.parent.mkdir(parents=True, exist_ok=True)
    # In one step: an interruption must not cut off what took hours.
    partial = path.with_name(f'{path.name}.partial')
    partial.write_text(
        ''.join(f'{json.dumps(r, sort_keys=True)}\n' for r in ordered)
    )
    os.replace(partial, path)
    return ordered
