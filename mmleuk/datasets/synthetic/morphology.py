# Copyright (c) mmleuk authors. All rights reserved.
"""What each class of cell looks like and how often it has each attribute.

The tables follow what textbooks of haematology say in words ("blasts have
open chromatin and prominent nucleoli"); the numbers are choices of ours, not
measurements. They serve the demo, the tests and the documentation.
"""

from dataclasses import dataclass
from typing import Dict, Mapping, Tuple

import numpy as np

from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES

# The class without attributes and the code that the release gives it.
ARTEFACT = 'none'
NOT_APPLICABLE = 4

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)

# Diameter of an erythrocyte, the ruler by which a cell's size is judged.
ERYTHROCYTE_UM = 7.2

# Range of the diameter in micrometres by code of cell size. The gaps keep the
# three readable beside the erythrocytes of the same field.
CELL_DIAMETER_UM = ((8.2, 10.0), (11.6, 13.8), (15.6, 18.6))

# Share of the cell's area that the nucleus takes, by code of cytoplasm.
NUCLEAR_AREA = ((0.68, 0.78), (0.28, 0.43))


@dataclass(frozen=True)
class Granules:
    """Granules of the cytoplasm.

    Args:
        density (float): Granules per square micrometre.
        radius_um (tuple[float, float]): Range of their radius.
        colour (tuple[float, float, float]): Optical density in R, G, B.
        over_nucleus (float): Chance that a granule over the nucleus shows.
    """

    density: float
    radius_um: Tuple[float, float]
    colour: Tuple[float, float, float]
    over_nucleus: float = 0.0


@dataclass(frozen=True)
class ClassMorphology:
    """Attribute frequencies and drawing parameters of one class.

    Args:
        size (tuple[float, float, float]): Chance of small, medium, large.
        coarse (float): Chance of coarse chromatin.
        irregular (float): Chance of an irregular nuclear outline.
        nucleolus (float): Chance of prominent nucleoli.
        abundant (float): Chance of abundant cytoplasm.
        basophilia (float): Chance of moderate basophilia.
        vacuoles (float): Chance of prominent vacuoles.
        regular_shapes (tuple[str]): Outlines of a regular nucleus.
        irregular_shapes (tuple[str]): Outlines of an irregular nucleus.
        cytoplasm (tuple[float, float, float]): Optical density in R, G, B of
            slightly basophilic cytoplasm.
        granules (tuple[Granules]): Kinds of granules. Default: ().
        roughness (float): Unevenness of the cell's outline, as a share of
            its radius. Default: 0.03.
        auer_rods (float): Chance of Auer rods. Default: 0.
    """

    size: Tuple[float, float, float]
    coarse: float
    irregular: float
    nucleolus: float
    abundant: float
    basophilia: float
    vacuoles: float
    regular_shapes: Tuple[str, ...]
    irregular_shapes: Tuple[str, ...]
    cytoplasm: Tuple[float, float, float]
    granules: Tuple[Granules, ...] = ()
    roughness: float = 0.03
    auer_rods: float = 0.0

    @property
    def frequencies(self) -> Tuple[Tuple[float, ...], ...]:
        """tuple[tuple[float]]: Chance of each value of each attribute."""
        binary = (
            self.coarse,
            self.irregular,
            self.nucleolus,
            self.abundant,
            self.basophilia,
            self.vacuoles,
        )
        return (self.size,) + tuple((1 - p, p) for p in binary)


_LYMPHOID = (0.24, 0.17, 0.04)
_MYELOID = (0.16, 0.22, 0.08)
_MONOCYTIC = (0.28, 0.24, 0.04)

_AZUROPHIL = (0.42, 0.95, 0.28)
_FINE = Granules(1.7, (0.10, 0.17), (0.20, 0.42, 0.12))
_DUST = Granules(1.3, (0.08, 0.14), (0.22, 0.38, 0.08))
_SPARSE = Granules(0.15, (0.12, 0.20), _AZUROPHIL)

MORPHOLOGY: Mapping[str, ClassMorphology] = {
    'myeloblast': ClassMorphology(
        size=(0.05, 0.50, 0.45),
        coarse=0.08,
        irregular=0.30,
        nucleolus=0.85,
        abundant=0.20,
        basophilia=0.70,
        vacuoles=0.14,
        regular_shapes=('round', 'oval'),
        irregular_shapes=('dented', 'cleft'),
        cytoplasm=_MYELOID,
        granules=(_SPARSE,),
        auer_rods=0.15,
    ),
    'lymphoblast': ClassMorphology(
        size=(0.45, 0.50, 0.05),
        coarse=0.25,
        irregular=0.35,
        nucleolus=0.45,
        abundant=0.06,
        basophilia=0.50,
        vacuoles=0.16,
        regular_shapes=('round',),
        irregular_shapes=('cleft', 'folded'),
        cytoplasm=_LYMPHOID,
    ),
    'neutrophil': ClassMorphology(
        size=(0.10, 0.80, 0.10),
        coarse=0.94,
        irregular=0.95,
        nucleolus=0.02,
        abundant=0.95,
        basophilia=0.04,
        vacuoles=0.16,
        regular_shapes=('oval',),
        irregular_shapes=('lobes3', 'lobes4', 'band'),
        cytoplasm=_MYELOID,
        granules=(_FINE,),
    ),
    'atypical lymphocyte': ClassMorphology(
        size=(0.06, 0.44, 0.50),
        coarse=0.55,
        irregular=0.60,
        nucleolus=0.25,
        abundant=0.85,
        basophilia=0.70,
        vacuoles=0.22,
        regular_shapes=('oval',),
        irregular_shapes=('dented', 'folded'),
        cytoplasm=_LYMPHOID,
        roughness=0.11,
    ),
    'promonocyte': ClassMorphology(
        size=(0.02, 0.38, 0.60),
        coarse=0.20,
        irregular=0.80,
        nucleolus=0.45,
        abundant=0.70,
        basophilia=0.60,
        vacuoles=0.32,
        regular_shapes=('oval',),
        irregular_shapes=('folded', 'kidney'),
        cytoplasm=_MONOCYTIC,
        granules=(_DUST,),
        roughness=0.05,
    ),
    'monoblast': ClassMorphology(
        size=(0.02, 0.28, 0.70),
        coarse=0.07,
        irregular=0.25,
        nucleolus=0.85,
        abundant=0.62,
        basophilia=0.75,
        vacuoles=0.26,
        regular_shapes=('round',),
        irregular_shapes=('folded', 'dented'),
        cytoplasm=_MONOCYTIC,
        roughness=0.06,
    ),
    'lymphocyte': ClassMorphology(
        size=(0.80, 0.18, 0.02),
        coarse=0.92,
        irregular=0.12,
        nucleolus=0.04,
        abundant=0.20,
        basophilia=0.30,
        vacuoles=0.07,
        regular_shapes=('round',),
        irregular_shapes=('dented', 'cleft'),
        cytoplasm=_LYMPHOID,
    ),
    'myelocyte': ClassMorphology(
        size=(0.05, 0.62, 0.33),
        coarse=0.65,
        irregular=0.12,
        nucleolus=0.12,
        abundant=0.80,
        basophilia=0.35,
        vacuoles=0.11,
        regular_shapes=('oval', 'round'),
        irregular_shapes=('dented',),
        cytoplasm=_MYELOID,
        granules=(Granules(1.1, (0.14, 0.24), (0.32, 0.62, 0.18)),),
    ),
    'abnormal promyelocyte': ClassMorphology(
        size=(0.02, 0.42, 0.56),
        coarse=0.22,
        irregular=0.62,
        nucleolus=0.55,
        abundant=0.75,
        basophilia=0.50,
        vacuoles=0.16,
        regular_shapes=('oval',),
        irregular_shapes=('lobes2', 'folded'),
        cytoplasm=_MYELOID,
        granules=(Granules(2.2, (0.18, 0.30), _AZUROPHIL, 0.25),),
        roughness=0.05,
        auer_rods=0.45,
    ),
    'monocyte': ClassMorphology(
        size=(0.03, 0.47, 0.50),
        coarse=0.50,
        irregular=0.86,
        nucleolus=0.05,
        abundant=0.92,
        basophilia=0.25,
        vacuoles=0.5,
        regular_shapes=('oval',),
        irregular_shapes=('kidney', 'horseshoe', 'folded'),
        cytoplasm=_MONOCYTIC,
        granules=(_DUST,),
        roughness=0.08,
    ),
    'metamyelocyte': ClassMorphology(
        size=(0.10, 0.75, 0.15),
        coarse=0.80,
        irregular=0.78,
        nucleolus=0.04,
        abundant=0.90,
        basophilia=0.12,
        vacuoles=0.1,
        regular_shapes=('oval',),
        irregular_shapes=('kidney',),
        cytoplasm=_MYELOID,
        granules=(_FINE,),
    ),
    'eosinophil': ClassMorphology(
        size=(0.08, 0.77, 0.15),
        coarse=0.90,
        irregular=0.88,
        nucleolus=0.02,
        abundant=0.95,
        basophilia=0.10,
        vacuoles=0.16,
        regular_shapes=('oval',),
        irregular_shapes=('lobes2',),
        cytoplasm=(0.18, 0.34, 0.22),
        granules=(Granules(2.9, (0.26, 0.42), (0.17, 0.58, 0.50)),),
    ),
    'basophil': ClassMorphology(
        size=(0.22, 0.73, 0.05),
        coarse=0.82,
        irregular=0.70,
        nucleolus=0.03,
        abundant=0.72,
        basophilia=0.15,
        vacuoles=0.12,
        regular_shapes=('oval',),
        irregular_shapes=('lobes2', 'lobes3'),
        cytoplasm=_MYELOID,
        granules=(Granules(0.95, (0.22, 0.55), (0.98, 1.65, 0.48), 0.4),),
    ),
}

# Forms of the class without attributes, with how often each is met.
ARTEFACT_FORMS: Mapping[str, float] = {
    'smudge': 0.45,
    'bare nucleus': 0.20,
    'crushed': 0.20,
    'precipitate': 0.15,
}

# Classes met in the blood of a patient, by diagnosis. Each row is scaled to 1.
CLASS_MIX: Mapping[str, Mapping[str, float]] = {
    'ALL': {
        'none': 0.18,
        'lymphoblast': 0.48,
        'lymphocyte': 0.12,
        'neutrophil': 0.10,
        'atypical lymphocyte': 0.06,
        'monocyte': 0.04,
        'eosinophil': 0.02,
    },
    'AML': {
        'none': 0.16,
        'myeloblast': 0.28,
        'monoblast': 0.17,
        'promonocyte': 0.13,
        'monocyte': 0.10,
        'neutrophil': 0.08,
        'lymphocyte': 0.05,
        'myelocyte': 0.03,
    },
    'APML': {
        'none': 0.16,
        'abnormal promyelocyte': 0.48,
        'myeloblast': 0.10,
        'neutrophil': 0.10,
        'lymphocyte': 0.08,
        'myelocyte': 0.05,
        'monocyte': 0.03,
    },
    'CLL': {
        'none': 0.22,
        'lymphocyte': 0.40,
        'atypical lymphocyte': 0.22,
        'neutrophil': 0.08,
        'monocyte': 0.04,
        'eosinophil': 0.04,
    },
    'CML': {
        'none': 0.12,
        'neutrophil': 0.20,
        'myelocyte': 0.19,
        'metamyelocyte': 0.16,
        'basophil': 0.12,
        'eosinophil': 0.11,
        'myeloblast': 0.06,
        'monocyte': 0.04,
    },
}


def sample_class(rng: np.random.Generator, mix: Mapping[str, float]) -> str:
    """Draw a class from a mix.

    Args:
        rng (np.random.Generator): Source of chance.
        mix (Mapping[str, float]): Weight by class name.

    Returns:
        str: Name of the class.
    """
    names = list(mix)
    weights = np.array([mix[name] for name in names], float)
    return names[rng.choice(len(names), p=weights / weights.sum())]


def sample_codes(rng: np.random.Generator, class_name: str) -> Tuple[int, ...]:
    """Draw the seven attribute codes of a cell of a class.

    The attributes are independent of each other once the class is known.

    Args:
        rng (np.random.Generator): Source of chance.
        class_name (str): One of the 14 classes.

    Returns:
        tuple[int]: Seven codes, all 4 ("not applicable") for "none".

    Raises:
        ValueError: If there is no such class.
    """
    check_class(class_name)
    if class_name == ARTEFACT:
        return (NOT_APPLICABLE,) * len(SCHEMA)
    return tuple(
        int(rng.choice(len(chances), p=chances))
        for chances in MORPHOLOGY[class_name].frequencies
    )


def patient_mix(rng: np.random.Generator, diagnosis: str) -> Dict[str, float]:
    """Draw one patient's own class mix around that of the diagnosis.

    Args:
        rng (np.random.Generator): Source of chance.
        diagnosis (str): A key of :data:`CLASS_MIX`.

    Returns:
        dict[str, float]: Share by class name.
    """
    mix = CLASS_MIX[diagnosis]
    total = sum(mix.values())
    shares = rng.dirichlet([25 * share / total for share in mix.values()])
    return dict(zip(mix, shares.tolist()))


def check_class(class_name: str) -> None:
    """Refuse a name that is not one of the 14 classes.

    Raises:
        ValueError: If there is no such class.
    """
    if class_name not in LLD_CLASSES:
        raise ValueError(
            f'got the class {class_name!r}, expected one of '
            f'{", ".join(LLD_CLASSES)}'
        )
