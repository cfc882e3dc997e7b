# Copyright (c) mmleuk authors. All rights reserved.
"""Files of predictions, described in docs/inference.md.

They are ordinary JSON, one image a line, and are written and read image by
image, so that memory does not grow with the number of images.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator, Union

import ijson
from msgspec import convert, to_builtins
from msgspec.structs import asdict

from mmleuk.structures import ImagePrediction, PredictionHeader

from .atomic_write import atomic_write

_PARSE_ERRORS = (ijson.JSONError, UnicodeDecodeError)


class PredictionWriter:
    """Writes predictions to a file, image by image.

    The file gets its name when it is complete. A run that fails leaves what
    it has written as ``<name>.partial``::

        with PredictionWriter('predictions.json', header) as writer:
            writer.write(image)

    Args:
        path (str | Path): The file. Its folder is made.
        header (PredictionHeader): Header of the predictions.
    """

    def __init__(
        self, path: Union[str, Path], header: PredictionHeader
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._separator = '\n'

    def __enter__(self) -> 'PredictionWriter':
        with ExitStack() as stack:
            # Names of files need not be Unicode: such letters become "?".
            self._stream = stack.enter_context(
                atomic_write(self.path, keep_partial=True, errors='replace')
            )
            head = _dump(self.header.to_dict())
            self._stream.write(f'{head[:-1]}, "images": [')
            self._stack = stack.pop_all()
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add an image.

        Raises:
            ValueError: If a number is NaN or infinite.
        """
        self._stream.write(self._separator + _dump(to_builtins(asdict(image))))
        self._separator = ',\n'

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._stream.write('\n]}\n')
        self._stack.__exit__(*error)


class PredictionReader:
    """Reads a file of predictions, image by image.

    Iterate over it for the images; it can be read more than once.

    Args:
        path (str | Path): The file.

    Raises:
        ValueError: If the file is not JSON, or of another format.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self.header = self._read_header()

    def _fail(self, where: str, problem: object) -> ValueError:
        return ValueError(f'{self.path}{where}: {problem}')

    def _read_header(self) -> PredictionHeader:
        """Read everything before the images."""
        builder = ijson.common.ObjectBuilder()
        with self.path.open('rb') as stream:
            try:
                for prefix, event, value in ijson.parse(
                    stream, use_float=True
                ):
                    if (prefix, event, value) == ('', 'map_key', 'images'):
                        break
                    builder.event(event, value)
                else:
                    raise self._fail(
                        '', 'has no "images", expected a file of predictions'
                    )
            except _PARSE_ERRORS as error:
                raise self._fail('', f'is no JSON ({error})') from error
        try:
            return PredictionHeader.from_dict(builder.value)
        except (TypeError, KeyError, ValueError) as error:
            raise self._fail(', header', error) from error

    def __iter__(self) -> Iterator[ImagePrediction]:
        """Read one image after the other.

        Raises:
            ValueError: If the file is cut short or an image is malformed.
        """
        number = 0
        with self.path.open('rb') as stream:
            try:
                for record in ijson.items(
                    stream, 'images.item', use_float=True
                ):
                    yield self._parse_image(number, record)
                    number += 1
            except _PARSE_ERRORS as error:
                raise self._fail(
                    f', image {number}', f'is no JSON ({error})'
                ) from error

    def _parse_image(self, number: int, record: Any) -> ImagePrediction:
        """Check one image against the record and the header."""
        where = f', image {number}'
        if isinstance(record, dict) and 'file' in record:
            where += f' ({record["file"]})'
        try:
            image = convert(record, ImagePrediction)
            self._check_names(image)
        except ValueError as error:
            raise self._fail(where, error) from error
        return image

    def _check_names(self, image: ImagePrediction) -> None:
        """Refuse types, attributes and values that the header lacks."""
        values = {
            attribute.name: attribute.values
            for attribute in self.header.schema or ()
        }
        for cell in image.cells:
            if cell.type not in self.header.types:
                raise ValueError(
                    f'a cell is of the type {cell.type!r}, expected one of '
                    f'{self.header.types}'
                )
            for name, attribute in cell.attributes.items():
                if attribute.value not in values.get(name, ()):
                    raise ValueError(
                        f'a cell has {name}={attribute.value!r}, expected '
                        f'one of {values.get(name, "no such attribute")}'
                    )
                if len(attribute.probs) != len(values[name]):
                    raise ValueError(
                        f'{name} of a cell has the probabilities '
                        f'{attribute.probs}, expected {len(values[name])}'
                    )


def _dump(record: dict) -> str:
    """Write standard JSON, which has no NaN."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False)
