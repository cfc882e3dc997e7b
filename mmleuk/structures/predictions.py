# Copyright (c) mmleuk authors. All rights reserved.
"""What a detector found in images: records, and the file that holds them.

The file is ordinary JSON, one image a line, described in docs/inference.md.
It is written and read image by image, so that memory does not grow with the
number of images.
"""

import json
import math
import os
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Union

from .attribute_schema import AttributeSchema
from .type_profile import Evidence, TypeProfile

FORMAT = 'mmleuk-predictions'
VERSION = 1


def _check_probability(value: float, what: str) -> None:
    """Refuse what is no probability."""
    if value is None or not 0 <= value <= 1:
        raise ValueError(f'{what} is {value}, expected it in [0, 1]')


@dataclass(frozen=True)
class AttributePrediction:
    """One attribute of one cell.

    Args:
        value (str): Name of the likeliest value.
        probability (float): What the model says of that value, as it is.
        probs (tuple[float]): That of every value, in the schema's order.
        confidence (float, optional): Calibrated probability that ``value`` is
            right. None: the model is not calibrated.
    """

    value: str
    probability: float
    probs: Tuple[float, ...]
    confidence: Optional[float] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'probs', tuple(self.probs))
        _check_probability(self.probability, 'the probability of a value')
        if self.confidence is not None:
            _check_probability(self.confidence, 'the confidence of a value')

    def to_dict(self) -> dict:
        """Return it as the file has it.

        Returns:
            dict: The arguments.
        """
        return dict(vars(self), probs=list(self.probs))


@dataclass(frozen=True)
class CellPrediction:
    """One cell that was found.

    Args:
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels of the image.
        type (str): Name of the cell type.
        score (float): The detector's score, as it is.
        attributes (dict[str, AttributePrediction]): By name. Empty for a
            detector without attributes.
        confidence (float, optional): Calibrated probability that there is a
            cell of this type. None: the model is not calibrated.
        evidence (tuple[Evidence]): How the attributes speak for the type.

    Raises:
        ValueError: If the box has no area, or a probability is none.
    """

    bbox: Tuple[float, float, float, float]
    type: str
    score: float
    attributes: Dict[str, AttributePrediction] = field(default_factory=dict)
    confidence: Optional[float] = None
    evidence: Tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'bbox', tuple(self.bbox))
        object.__setattr__(self, 'evidence', tuple(self.evidence))
        if len(self.bbox) != 4 or not all(map(math.isfinite, self.bbox)):
            raise ValueError(
                f'a cell has the box {self.bbox}, expected four numbers'
            )
        x1, y1, x2, y2 = self.bbox
        if not (x1 < x2 and y1 < y2):
            raise ValueError(
                f'a cell has the box {self.bbox}, expected x1 < x2 and y1 < y2'
            )
        _check_probability(self.score, 'the score of a cell')
        if self.confidence is not None:
            _check_probability(self.confidence, 'the confidence of a cell')

    def to_dict(self) -> dict:
        """Return it as the file has it.

        Returns:
            dict: The arguments.
        """
        return dict(
            vars(self),
            bbox=list(self.bbox),
            attributes={
                name: attribute.to_dict()
                for name, attribute in self.attributes.items()
            },
            evidence=[item.to_dict() for item in self.evidence],
        )

    @classmethod
    def from_dict(cls, record: Mapping) -> 'CellPrediction':
        """Read what :meth:`to_dict` wrote.

        Args:
            record (Mapping): The arguments.

        Returns:
            CellPrediction: The cell.
        """
        record = dict(record)
        record['attributes'] = {
            name: AttributePrediction(**attribute)
            for name, attribute in record.get('attributes', {}).items()
        }
        record['evidence'] = tuple(
            Evidence.from_dict(item) for item in record.get('evidence', ())
        )
        return cls(**record)


@dataclass(frozen=True)
class ImagePrediction:
    """One image and the cells found in it.

    Args:
        file (str): The image, relative to the header's ``image_root`` if
            there is one.
        width (int): In pixels, 0 for an image that could not be read.
        height (int): In pixels, likewise.
        cells (tuple[CellPrediction]): The cells.
        patient, field, magnification, subset, diagnosis (str, optional): What
            is known of the image.
        focus (float, optional): Its sharpness.
        error (str, optional): Why it could not be read.
    """

    file: str
    width: int
    height: int
    cells: Tuple[CellPrediction, ...] = ()
    patient: Optional[str] = None
    field: Optional[str] = None
    magnification: Optional[str] = None
    subset: Optional[str] = None
    diagnosis: Optional[str] = None
    focus: Optional[float] = None
    error: Optional[str] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'cells', tuple(self.cells))

    def to_dict(self) -> dict:
        """Return it as the file has it.

        Returns:
            dict: The arguments.
        """
        return dict(vars(self), cells=[cell.to_dict() for cell in self.cells])

    @classmethod
    def from_dict(cls, record: Mapping) -> 'ImagePrediction':
        """Read what :meth:`to_dict` wrote.

        Args:
            record (Mapping): The arguments.

        Returns:
            ImagePrediction: The image.
        """
        cells = tuple(map(CellPrediction.from_dict, record.get('cells', ())))
        return cls(**{**record, 'cells': cells})


@dataclass(frozen=True)
class PredictionHeader:
    """What holds for all images of a file of predictions.

    Args:
        types (tuple[str]): Cell types that the model knows.
        schema (AttributeSchema, optional): Attributes that it names. None for
            a detector without attributes.
        model (dict): config, checkpoint (names), sha256 of the checkpoint,
            dataset (what it was trained on), score_thr; None where unknown.
        software (dict): Versions by package.
        created (str): Date and time in ISO 8601.
        image_root (str, optional): Folder of the images.
        calibration (dict, optional): The calibration of the model as its
            checkpoint holds it. None: not calibrated.
        type_profile (TypeProfile, optional): Of the training data.
    """

    types: Tuple[str, ...]
    schema: Optional[AttributeSchema]
    model: dict
    software: dict
    created: str
    image_root: Optional[str] = None
    calibration: Optional[dict] = None
    type_profile: Optional[TypeProfile] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'types', tuple(self.types))

    def to_dict(self) -> dict:
        """Return it as the file has it.

        Returns:
            dict: ``format``, ``version`` and the arguments, the schema as
            ``attributes``.
        """
        record = dict(vars(self), format=FORMAT, version=VERSION)
        schema = record.pop('schema')
        record.update(
            types=list(self.types),
            attributes=[] if schema is None else schema.to_list(),
        )
        if self.type_profile is not None:
            record.update(type_profile=self.type_profile.to_dict())
        return record

    @classmethod
    def from_dict(cls, record: Mapping) -> 'PredictionHeader':
        """Read what :meth:`to_dict` wrote.

        Args:
            record (Mapping): As the file has it.

        Returns:
            PredictionHeader: The header.

        Raises:
            ValueError: If it is of another format or version.
        """
        record = dict(record)
        kind = record.pop('format', None), record.pop('version', None)
        if kind != (FORMAT, VERSION):
            raise ValueError(
                f'got format and version {kind}, expected '
                f'{(FORMAT, VERSION)}: write it with LLDInferencer or '
                'tools/image_demo.py of this version'
            )
        attributes = record.pop('attributes')
        profile = record.get('type_profile')
        if profile is not None:
            record['type_profile'] = TypeProfile.from_dict(profile)
        return cls(
            schema=AttributeSchema(attributes) if attributes else None,
            **record,
        )


class PredictionWriter:
    """Writes predictions to a file, image by image.

    The file comes to be under its name when all are written, so that one cut
    short does not pass for a whole::

        with PredictionWriter('predictions.json', header) as writer:
            writer.write(image)

    Args:
        path (str | Path): The file. Its folder is made.
        header (PredictionHeader): What holds for all images.
    """

    def __init__(
        self, path: Union[str, Path], header: PredictionHeader
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._partial = self.path.with_name(f'{self.path.name}.partial')
        self._stream = None
        self._num_images = 0

    def __enter__(self) -> 'PredictionWriter':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._partial.open('w', encoding='utf-8')
        head = _dump(self.header.to_dict())
        self._stream.write(f'{head[:-1]}, "images": [')
        return self

    def write(self, image: ImagePrediction) -> None:
        """Add an image.

        Args:
            image (ImagePrediction): The image.
        """
        comma = ',' if self._num_images else ''
        self._stream.write(f'{comma}\n{_dump(image.to_dict())}')
        self._num_images += 1

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            self._stream.write('\n]}\n')
        self._stream.close()
        if error is None:
            os.replace(self._partial, self.path)


def _dump(record: dict) -> str:
    """Write JSON that every parser reads: NaN is none.

    Names of files need not be Unicode: what is none becomes "?".
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return text.encode('utf-8', 'replace').decode('utf-8')


class PredictionReader:
    """Reads a file of predictions, image by image.

    Args:
        path (str | Path): The file.

    Raises:
        ImportError: If ijson is missing.
        ValueError: If the file is no JSON, or of another format.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        try:
            import ijson
        except ImportError as error:
            raise ImportError(
                'reading predictions needs ijson: pip install "mmleuk[report]"'
            ) from error
        self._ijson = ijson
        self.path = Path(path)
        self.header = self._read_header()

    def _fail(self, where: str, problem: object) -> ValueError:
        return ValueError(f'{self.path}{where}: {problem}')

    def _read_header(self) -> PredictionHeader:
        """Read all that stands before the images."""
        known = {'format', 'version', 'attributes'}
        known |= {item.name for item in fields(PredictionHeader)}
        header: dict = {}
        has_images = False
        with self.path.open('rb') as stream:
            try:
                # Builds every other value; the images are left where they are.
                events = self._ijson.basic_parse(stream, use_float=True)
                header, has_images = _read_until(events, 'images')
            except (self._ijson.JSONError, UnicodeDecodeError) as error:
                raise self._fail('', f'is no JSON ({error})') from error
        if not has_images:
            raise self._fail(
                '', 'has no "images", expected a file of predictions'
            )
        header = {key: header[key] for key in header if key in known}
        try:
            return PredictionHeader.from_dict(header)
        except (TypeError, KeyError, ValueError) as error:
            raise self._fail(', header', error) from error

    def __iter__(self) -> Iterator[ImagePrediction]:
        """Read the images.

        Yields:
            ImagePrediction: One image after the other.

        Raises:
            ValueError: If the file is cut short or an image is not as
                expected.
        """
        with self.path.open('rb') as stream:
            records = self._ijson.items(stream, 'images.item', use_float=True)
            number = -1
            while True:
                number += 1
                try:
                    record = next(records, None)
                except (self._ijson.JSONError, UnicodeDecodeError) as error:
                    raise self._fail(
                        f', image {number}', f'is no JSON ({error})'
                    ) from error
                if record is None:
                    return
                yield self._parse_image(number, record)

    def _parse_image(self, number: int, record: Any) -> ImagePrediction:
        where = f', image {number}'
        try:
            where += f' ({record["file"]})'
            image = ImagePrediction.from_dict(record)
            self._check_names(image)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
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


def _read_until(events: Iterator, last_key: str) -> Tuple[dict, bool]:
    """Build the values of an object up to one of its keys.

    Args:
        events (Iterator): Events of ``ijson.basic_parse``.
        last_key (str): The key at which to stop.

    Returns:
        tuple[dict, bool]: The values before it, and whether it is there.
    """
    import ijson

    header: dict = {}
    if next(events, None) != ('start_map', None):
        raise ijson.JSONError('the file does not hold an object')
    key = None
    builder = ijson.common.ObjectBuilder()
    depth = 0
    for event, value in events:
        if depth == 0 and event == 'map_key':
            if value == last_key:
                return header, True
            key, builder = value, ijson.common.ObjectBuilder()
            continue
        if depth == 0 and event == 'end_map':
            break
        if isinstance(value, Decimal):
            value = float(value)
        builder.event(event, value)
        depth += event.startswith('start_')
        depth -= event.startswith('end_')
        if depth == 0:
            header[key] = builder.value
    return header, False
