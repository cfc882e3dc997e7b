# Copyright (c) mmleuk authors. All rights reserved.
"""Short names of classes and of attribute values, for labels on pictures."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mmleuk.structures import AttributeSchema

# As laboratories write them.
_CLASS_ABBREVIATIONS = {
    'none': 'none',
    'myeloblast': 'MyBl',
    'lymphoblast': 'LyBl',
    'monoblast': 'MoBl',
    'neutrophil': 'Neut',
    'lymphocyte': 'Lym',
    'atypical lymphocyte': 'aLym',
    'promonocyte': 'ProMo',
    'monocyte': 'Mono',
    'myelocyte': 'Myelo',
    'abnormal promyelocyte': 'aPro',
    'metamyelocyte': 'Meta',
    'eosinophil': 'Eos',
    'basophil': 'Baso',
    'erythrocyte': 'RBC',
    'red blood cell': 'RBC',
    'white blood cell': 'WBC',
    'platelet': 'PLT',
}

# The values of LLD's attributes that are typical of blasts: a large cell, fine
# chromatin, an irregular nucleus, nucleoli, and scanty, basophilic or
# vacuolated cytoplasm.
MARKED_VALUES = {
    'cell_size': ('large',),
    'nuclear_chromatin': ('open',),
    'nuclear_shape': ('irregular',),
    'nucleolus': ('prominent',),
    'cytoplasm': ('scanty',),
    'cytoplasmic_basophilia': ('moderate',),
    'cytoplasmic_vacuoles': ('prominent',),
}


def abbreviate_classes(classes: Sequence[str]) -> Tuple[str, ...]:
    """Shorten class names, each to a name of its own.

    Blood cells get their usual abbreviation, other classes the initials of
    their words, or the first letters of a single word.
    """
    short: List[str] = []
    for name in classes:
        words = name.replace('-', ' ').replace('_', ' ').split()
        if name in _CLASS_ABBREVIATIONS:
            candidate = _CLASS_ABBREVIATIONS[name]
        elif len(words) > 1:
            candidate = ''.join(word[0] for word in words).upper()
        else:
            candidate = name[:4].capitalize()
        # Two classes of one abbreviation: the longer name says which is which.
        short.append(name if candidate in short else candidate)
    return tuple(short)


def _initials(values: Sequence[str]) -> List[str]:
    """Shortest prefixes of one length that differ in any case."""
    for length in range(1, max(map(len, values))):
        short = [value[:length] for value in values]
        if len({name.lower() for name in short}) == len(values):
            return short
    return list(values)


def value_codes(
    schema: AttributeSchema,
    marked_values: Optional[Mapping[str, Sequence[str]]] = None,
) -> Dict[str, Tuple[str, ...]]:
    """Give each value of each attribute a code of few letters.

    A code is a prefix of the value's name: in small letters, or in capitals
    for marked values. So "L O I" is a large cell with open chromatin and an
    irregular nucleus, "s c r" the opposite.

    Args:
        schema (:obj:`AttributeSchema`): The attributes.
        marked_values (Mapping[str, Sequence[str]], optional): The marked
            values by attribute. None: those of LLD that are typical of
            blasts.

    Returns:
        dict[str, tuple[str]]: Codes by name of the attribute, in the order of
        its values.

    Raises:
        ValueError: If a marked value is none of the schema's.
    """
    known = {attribute.name: attribute.values for attribute in schema}
    for name, values in (marked_values or {}).items():
        if not set(values) <= set(known.get(name, ())):
            raise ValueError(
                f'marked_values has {name!r}: {tuple(values)}, expected '
                f'attributes and values of {known}'
            )
    marked = MARKED_VALUES if marked_values is None else marked_values
    return {
        attribute.name: tuple(
            code.upper()
            if value in marked.get(attribute.name, ())
            else code.lower()
            for value, code in zip(
                attribute.values, _initials(attribute.values)
            )
        )
        for attribute in schema
    }
