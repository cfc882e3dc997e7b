# Copyright (c) mmleuk authors. All rights reserved.
"""Look and attribute frequencies of each class.

The tables follow textbooks of haematology ("blasts have open chromatin and
prominent nucleoli"). The numbers are our choice, not measurements.
"""

from typing import Dict, Mapping, NamedTuple, Tuple

import numpy as np

from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES

# The class without attributes.
ARTEFACT = 'none'

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)

# Diameter of an erythrocyte, the ruler by which a cell's size is told.
ERYTHROCYTE_UM = 7.2

# Range of the diameter in micrometres by code of cell size. The gaps keep the
# sizes distinguishable.
CELL_DIAMETER_UM = ((8.2, 10.0), (11.6, 13.8), (15.6, 18.6))

# Share of the cell's area that the nucleus takes, by code of cytoplasm.
NUCLEAR_AREA = ((0.68, 0.78), (0.28, 0.43))


class Granules(NamedTuple):
    """Granules of the cytoplasm.

    Args:
        density (float): Granules per square micrometre.
        radius_um (tuple[float, float]): Range of their radius.
        colour (tuple[float, float, float]): Optical density in R, G, B.
        over_nucleus (float): Probability that one over the nucleus shows.
    """

    density: float
    radius_um: Tuple[float, float]
    colour: Tuple[float, float, float]
    over_nucleus: float = 0.0


class ClassMorphology(NamedTuple):
    """Attribute frequencies and drawing parameters of one class.

    Args:
        size (tuple[float, float, float]): Probability of small, medium,
            large.
        binary (tuple[float]): Probability of coarse chromatin, an irregular
            nucleus, prominent nucleoli, abundant cytoplasm, moderate
            basophilia and prominent vacuoles.
        regular_shapes (tuple[str]): Outlines of a regular nucleus.
        irregular_shapes (tuple[str]): Outlines of an irregular nucleus.
        cytoplasm (tuple[float, float, float]): Optical density in R, G, B of
            slightly basophilic cytoplasm.
        granules (tuple[Granules]): Kinds of granules.
        roughness (float): Unevenness of the cell's outline, as a share of
            its radius.
        auer_rods (float): Probability of Auer rods.
    """

    size: Tuple[float, float, float]
    binary: Tuple[float, float, float, float, float, float]
    regular_shapes: Tuple[str, ...]
    irregular_shapes: Tuple[str, ...]
    cytoplasm: Tuple[float, float, float]
    granules: Tuple[Granules, ...] = ()
    roughness: float = 0.03
    auer_rods: float = 0.0

    @property
    def frequencies(self) -> Tuple[Tuple[float, ...], ...]:
        """tuple[tuple[float]]: Probability of each value by attribute."""
        return (self.size,) + tuple((1 - p, p) for p in self.binary)


_LYMPHOID = (0.24, 0.17, 0.04)
_MYELOID = (0.16, 0.22, 0.08)
_MONOCYTIC = (0.28, 0.24, 0.04)

_AZUROPHIL = (0.42, 0.95, 0.28)
_FINE = Granules(1.7, (0.10, 0.17), (0.20, 0.42, 0.12))
_DUST = Granules(1.3, (0.08, 0.14), (0.22, 0.38, 0.08))
_SPARSE = Granules(0.15, (0.12, 0.20), _AZUROPHIL)

# Rows: sizes and binary attributes; shapes of a regular and an irregular
# nucleus; cytoplasm and the rest.
# fmt: off
MORPHOLOGY: Mapping[str, ClassMorphology] = {
    'myeloblast': ClassMorphology(
        (0.05, 0.50, 0.45), (0.08, 0.30, 0.85, 0.20, 0.70, 0.14),
        ('round', 'oval'), ('dented', 'cleft'),
        _MYELOID, granules=(_SPARSE,), auer_rods=0.15),
    'lymphoblast': ClassMorphology(
        (0.45, 0.50, 0.05), (0.25, 0.35, 0.45, 0.06, 0.50, 0.16),
        ('round',), ('cleft', 'folded'),
        _LYMPHOID),
    'neutrophil': ClassMorphology(
        (0.10, 0.80, 0.10), (0.94, 0.95, 0.02, 0.95, 0.04, 0.16),
        ('oval',), ('lobes3', 'lobes4', 'band'),
        _MYELOID, granules=(_FINE,)),
    'atypical lymphocyte': ClassMorphology(
        (0.06, 0.44, 0.50), (0.55, 0.60, 0.25, 0.85, 0.70, 0.22),
        ('oval',), ('dented', 'folded'),
        _LYMPHOID, roughness=0.11),
    'promonocyte': ClassMorphology(
        (0.02, 0.38, 0.60), (0.20, 0.80, 0.45, 0.70, 0.60, 0.32),
        ('oval',), ('folded', 'kidney'),
        _MONOCYTIC, granules=(_DUST,), roughness=0.05),
    'monoblast': ClassMorphology(
        (0.02, 0.28, 0.70), (0.07, 0.25, 0.85, 0.62, 0.75, 0.26),
        ('round',), ('folded', 'dented'),
        _MONOCYTIC, roughness=0.06),
    'lymphocyte': ClassMorphology(
        (0.80, 0.18, 0.02), (0.92, 0.12, 0.04, 0.20, 0.30, 0.07),
        ('round',), ('dented', 'cleft'),
        _LYMPHOID),
    'myelocyte': ClassMorphology(
        (0.05, 0.62, 0.33), (0.65, 0.12, 0.12, 0.80, 0.35, 0.11),
        ('oval', 'round'), ('dented',),
        _MYELOID, granules=(Granules(1.1, (0.14, 0.24), (0.32, 0.62, 0.18)),)),
    'abnormal promyelocyte': ClassMorphology(
        (0.02, 0.42, 0.56), (0.22, 0.62, 0.55, 0.75, 0.50, 0.16),
        ('oval',), ('lobes2', 'folded'),
        _MYELOID, granules=(Granules(2.2, (0.18, 0.30), _AZUROPHIL, 0.25),),
        roughness=0.05, auer_rods=0.45),
    'monocyte': ClassMorphology(
        (0.03, 0.47, 0.50), (0.50, 0.86, 0.05, 0.92, 0.25, 0.5),
        ('oval',), ('kidney', 'horseshoe', 'folded'),
        _MONOCYTIC, granules=(_DUST,), roughness=0.08),
    'metamyelocyte': ClassMorphology(
        (0.10, 0.75, 0.15), (0.80, 0.78, 0.04, 0.90, 0.12, 0.1),
        ('oval',), ('kidney',),
        _MYELOID, granules=(_FINE,)),
    'eosinophil': ClassMorphology(
        (0.08, 0.77, 0.15), (0.90, 0.88, 0.02, 0.95, 0.10, 0.16),
        ('oval',), ('lobes2',),
        (0.18, 0.34, 0.22),
        granules=(Granules(2.9, (0.26, 0.42), (0.17, 0.58, 0.50)),)),
    'basophil': ClassMorphology(
        (0.22, 0.73, 0.05), (0.82, 0.70, 0.03, 0.72, 0.15, 0.12),
        ('oval',), ('lobes2', 'lobes3'),
        _MYELOID,
        granules=(Granules(0.95, (0.22, 0.55), (0.98, 1.65, 0.48), 0.4),)),
}
# fmt: on

# Forms of the class without attributes and their frequencies.
ARTEFACT_FORMS: Mapping[str, float] = {
    'smudge': 0.45,
    'bare nucleus': 0.20,
    'crushed': 0.20,
    'precipitate': 0.15,
}

# Weights of the classes in the blood of a patient, by diagnosis.
# fmt: off
CLASS_MIX: Mapping[str, Mapping[str, float]] = {
    'ALL': {
        'none': 0.18, 'lymphoblast': 0.48, 'lymphocyte': 0.12,
        'neutrophil': 0.10, 'atypical lymphocyte': 0.06, 'monocyte': 0.04,
        'eosinophil': 0.02},
    'AML': {
        'none': 0.16, 'myeloblast': 0.28, 'monoblast': 0.17,
        'promonocyte': 0.13, 'monocyte': 0.10, 'neutrophil': 0.08,
        'lymphocyte': 0.05, 'myelocyte': 0.03},
    'APML': {
        'none': 0.16, 'abnormal promyelocyte': 0.48, 'myeloblast': 0.10,
        'neutrophil': 0.10, 'lymphocyte': 0.08, 'myelocyte': 0.05,
        'monocyte': 0.03},
    'CLL': {
        'none': 0.22, 'lymphocyte': 0.40, 'atypical lymphocyte': 0.22,
        'neutrophil': 0.08, 'monocyte': 0.04, 'eosinophil': 0.04},
    'CML': {
        'none': 0.12, 'neutrophil': 0.20, 'myelocyte': 0.19,
        'metamyelocyte': 0.16, 'basophil': 0.12, 'eosinophil': 0.11,
        'myeloblast': 0.06, 'monocyte': 0.04},
}
# fmt: on


def sample_class(rng: np.random.Generator, mix: Mapping[str, float]) -> str:
    """Draw a class name from weights by class name."""
    names = list(mix)
    weights = np.array([mix[name] for name in names], float)
    return names[rng.choice(len(names), p=weights / weights.sum())]


def sample_codes(rng: np.random.Generator, class_name: str) -> Tuple[int, ...]:
    """Draw the seven attribute codes of a cell of a class.

    Given the class, the attributes are independent of each other.

    Args:
        rng (np.random.Generator): Random generator.
        class_name (str): One of the 14 classes.

    Returns:
        tuple[int]: Seven codes, all -1 (missing) for "none".

    Raises:
        ValueError: If there is no such class.
    """
    check_class(class_name)
    if class_name == ARTEFACT:
        return (MISSING,) * len(SCHEMA)
    return tuple(
        int(rng.choice(len(probabilities), p=probabilities))
        for probabilities in MORPHOLOGY[class_name].frequencies
    )


def patient_mix(rng: np.random.Generator, diagnosis: str) -> Dict[str, float]:
    """Draw the share of each class in a patient of a diagnosis."""
    mix = CLASS_MIX[diagnosis]
    total = sum(mix.values())
    shares = rng.dirichlet([25 * share / total for share in mix.values()])
    return dict(zip(mix, shares.tolist()))


def check_class(class_name: str) -> None:
    """Raise ValueError if a name is none of the 14 classes."""
    if class_name not in LLD_CLASSES:
        raise ValueError(
            f'got the class {class_name!r}, expected one of '
            f'{", ".join(LLD_CLASSES)}'
        )
