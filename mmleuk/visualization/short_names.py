# Copyright (c) mmleuk authors. All rights reserved.
"""Short names of classes and of attribute values, for labels on pictures."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mmleuk.structures import Attribute, AttributeSchema

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

# The value of each of LLD's attributes that blasts are known by: a large cell,
# fine chromatin, an irregular nucleus, nucleoli, and scanty, basophilic or
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

    Args:
        classes (Sequence[str]): Class names.

    Returns:
        tuple[str]: The usual abbreviation of a blood cell; of another class
        the initials of several words, or the first letters of one.
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


def _initials(values: Sequence[str]) -> Tuple[str, ...]:
    """Shortest beginnings, of one length, that tell values apart."""
    longest = max(map(len, values))
    for length in range(1, longest + 1):
        short = [value[:length] for value in values]
        if len({name.lower() for name in short}) == len(values):
            return tuple(short)
    return tuple(values)


def value_codes(
    schema: AttributeSchema,
    marked_values: Optional[Mapping[str, Sequence[str]]] = None,
) -> Dict[str, Tuple[str, ...]]:
    """Give each value of each attribute a code of few letters.

    A code is the beginning of the value's name: in small letters, or in
    capitals where the value stands out. So "L O I" is a large cell with open
    chromatin and an irregular nucleus, "s c r" the opposite.

    Args:
        schema (:obj:`AttributeSchema`): The attributes.
        marked_values (Mapping[str, Sequence[str]], optional): The values that
            stand out, by attribute. Defaults to those that blasts are known
            by, of LLD's attributes.

    Returns:
        dict[str, tuple[str]]: Codes by name of the attribute, in the order of
        its values.

    Raises:
        ValueError: If a marked value is none of the schema's.
    """
    if marked_values is None:
        marked_values = MARKED_VALUES
    else:
        _check_marked(schema, marked_values)
    return {
        attribute.name: tuple(
            code.upper()
            if value in marked_values.get(attribute.name, ())
            else code.lower()
            for value, code in zip(
                attribute.values, _initials(attribute.values)
            )
        )
        for attribute in schema
    }


def _check_marked(
    schema: AttributeSchema, marked_values: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a marked value that is none of the schema's."""
    known: Dict[str, Attribute] = {a.name: a for a in schema}
    for name, values in marked_values.items():
        if name not in known or not set(values) <= set(known[name].values):
            raise ValueError(
                f'marked_values has {name!r}: {tuple(values)}, expected '
                'attributes and values of '
                f'{ {a.name: a.values for a in schema} }'
            )
