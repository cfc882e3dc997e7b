# Copyright (c) mmleuk authors. All rights reserved.
"""Records of the cells that a detector found in images.

:mod:`mmleuk.io.predictions` reads and writes files of them.
"""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any, Dict, Literal, Mapping, Optional, Tuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from .attribute_schema import Attribute, AttributeSchema
from .type_profile import Count, Evidence, Probability, TypeProfile

FORMAT = 'mmleuk-predictions'
VERSION = 1
_DIALECT = 'https://json-schema.org/draft/2020-12/schema'

Confidence = Annotated[
    Optional[Probability],
    Meta(
        description='Calibrated probability; null where the model is not '
        'calibrated.'
    ),
]
_Temperature = Annotated[float, Meta(gt=0)]
_Names = Annotated[
    Tuple[str, ...],
    Meta(min_length=1, extra_json_schema=dict(uniqueItems=True)),
]


def _check_probability(value: Optional[float], what: str) -> None:
    """Refuse a number outside [0, 1]."""
    if value is None or not 0 <= value <= 1:
        raise ValueError(f'{what} is {value}, expected it in [0, 1]')


class AttributePrediction(Struct, frozen=True, forbid_unknown_fields=True):
    """One attribute of one cell.

    Args:
        value (str): Name of the most probable value.
        probability (float): Its probability as the model gives it.
        probs (tuple[float]): Probability of each value, in the order of the
            schema.
        confidence (float, optional): Calibrated probability that ``value`` is
            right. None: the model is not calibrated.
    """

    value: str
    probability: Probability
    probs: Annotated[
        Tuple[Probability, ...], Meta(extra_json_schema=dict(minItems=2))
    ]
    confidence: Confidence = None

    def __post_init__(self) -> None:
        force_setattr(self, 'probs', tuple(self.probs))
        _check_probability(self.probability, 'the probability of a value')
        if self.confidence is not None:
            _check_probability(self.confidence, 'the confidence of a value')


class CellPrediction(Struct, frozen=True, forbid_unknown_fields=True):
    """One detected cell.

    Args:
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels of the image.
        type (str): Name of the cell type.
        score (float): The detector's score.
        attributes (dict[str, AttributePrediction]): By name. Empty for a
            detector without attributes.
        confidence (float, optional): Calibrated probability that there is a
            cell of this type. None: the model is not calibrated.
        evidence (tuple[Evidence]): How the attributes support the type.

    Raises:
        ValueError: If the box has no area, or a probability is not in [0, 1].
    """

    bbox: Annotated[
        Tuple[float, float, float, float],
        Meta(description='x1, y1, x2, y2 in pixels of the image.'),
    ]
    type: str
    score: Probability
    attributes: Dict[str, AttributePrediction] = {}
    confidence: Confidence = None
    evidence: Tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, 'bbox', tuple(self.bbox))
        force_setattr(self, 'evidence', tuple(self.evidence))
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

    @property
    def values(self) -> Dict[str, str]:
        """dict[str, str]: Name of the value by that of the attribute."""
        return {name: item.value for name, item in self.attributes.items()}


class ImagePrediction(Struct, frozen=True, forbid_unknown_fields=True):
    """One image and the cells found in it.

    Args:
        file (str): The image, relative to the header's ``image_root`` if
            there is one.
        width (int): In pixels, 0 for an image that could not be read.
        height (int): In pixels, likewise.
        cells (tuple[CellPrediction]): The cells.
        patient, field, magnification, subset, diagnosis (str, optional):
            Parsed from the name of the image.
        focus (float, optional): Its sharpness.
        error (str, optional): Why it could not be read.
    """

    file: str
    width: Count
    height: Count
    cells: Tuple[CellPrediction, ...] = ()
    patient: Optional[str] = None
    field: Optional[str] = None
    magnification: Optional[str] = None
    subset: Optional[str] = None
    diagnosis: Optional[str] = None
    focus: Optional[Annotated[float, Meta(ge=0)]] = None
    error: Optional[str] = None

    def __post_init__(self) -> None:
        force_setattr(self, 'cells', tuple(self.cells))


@dataclass(frozen=True)
class PredictionHeader:
    """Header of a file of predictions.

    Args:
        types (tuple[str]): Cell types that the model knows.
        schema (AttributeSchema, optional): Attributes that it predicts. None
            for a detector without attributes.
        model (dict): config, checkpoint (names), sha256 of the checkpoint,
            dataset (its training data), score_thr; None if unknown.
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
        """Return the header as the file holds it, with format and version."""
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
        """Read what :meth:`to_dict` returned; unknown keys are ignored.

        Raises:
            ValueError: If it is of another format or version.
        """
        kind = record.get('format'), record.get('version')
        if kind != (FORMAT, VERSION):
            raise ValueError(
                f'got format and version {kind}, expected '
                f'{(FORMAT, VERSION)}: write it with LLDInferencer or '
                'tools/image_demo.py of this version'
            )
        names = {item.name for item in fields(cls)}
        known = {key: record[key] for key in record if key in names}
        attributes, profile = record['attributes'], record.get('type_profile')
        known['schema'] = AttributeSchema(attributes) if attributes else None
        if profile is not None:
            known['type_profile'] = TypeProfile.from_dict(profile)
        return cls(**known)


class _Tiling(Struct):
    """Layout of ``model.tiling``."""

    size: Annotated[int, Meta(ge=1)]
    overlap: Count
    region: Optional[Tuple[int, int, int, int]]
    iou_thr: Probability
    ios_thr: Probability


class _Model(Struct):
    """Layout of ``model``."""

    config: Optional[str]
    checkpoint: Optional[str]
    sha256: Optional[Annotated[str, Meta(pattern='^[0-9a-f]{64}$')]]
    dataset: Optional[str]
    score_thr: Probability
    cell_iou_thr: Optional[Probability]
    tiling: Optional[_Tiling]


class _Calibration(Struct):
    """Layout of ``calibration``."""

    fitted_on: str
    num_cells: Count
    type_temperature: Optional[_Temperature]
    attribute_temperatures: Dict[str, _Temperature]


class _TypeProfile(Struct):
    """Layout of ``type_profile``."""

    types: _Names
    attributes: Tuple[Attribute, ...]
    counts: Annotated[
        Dict[str, Tuple[Tuple[Count, ...], ...]],
        Meta(description='By attribute: one row a type, one column a value.'),
    ]
    surprising_share: Probability
    min_cells: Count


class _PredictionFile(Struct):
    """What a detector found in images. See docs/inference.md."""

    format: Literal['mmleuk-predictions']
    version: Literal[1]
    created: Annotated[str, Meta(extra_json_schema={'format': 'date-time'})]
    software: Annotated[
        Dict[str, str], Meta(extra_json_schema=dict(required=['mmleuk']))
    ]
    model: _Model
    image_root: Optional[str]
    types: _Names
    attributes: Tuple[Attribute, ...]
    calibration: Optional[_Calibration]
    type_profile: Optional[_TypeProfile]
    images: Tuple[
        Annotated[
            ImagePrediction,
            Meta(
                extra_json_schema={
                    'if': {'properties': {'error': {'type': 'string'}}},
                    'then': {'properties': {'cells': {'maxItems': 0}}},
                }
            ),
        ],
        ...,
    ]


def predictions_schema() -> Dict[str, Any]:
    """Describe files of predictions as mmleuk writes them.

    Returns:
        dict: JSON Schema 2020-12. All keys are required and no others are
        allowed; the reader is more tolerant.
    """
    schema = msgspec.json.schema(_PredictionFile)
    for layout in schema['$defs'].values():
        layout['description'] = layout['description'].partition('\n')[0]
        layout['required'] = list(layout['properties'])
        layout['additionalProperties'] = False
        for item in layout['properties'].values():
            item.pop('default', None)
    schema['$defs']['Attribute']['properties']['values']['minItems'] = 2
    return {'$schema': _DIALECT, **schema}
