# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass, field
from functools import cached_property
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

# The code of a missing attribute. Readers map what their formats use (4, or a
# code outside the schema) to this number.
MISSING = -1

# The classes whose cells carry no attributes, unless a data set names others.
CLASSES_WITHOUT_ATTRIBUTES = ('none',)


@dataclass(frozen=True)
class Attribute:
    """One morphological attribute of a cell.

    Args:
        name (str): Identifier in snake case, used in metric keys.
        values (tuple[str]): Names of the codes 0, 1, ... in order.
        title (str): Name shown to people, ``name`` if empty.
        json_key (str): Key in LLD's JSON layout, ``name`` if empty. No other
            key is read, except ``json_aliases``.
        json_aliases (tuple[str]): Other spellings of ``json_key``.
    """

    name: str
    values: Tuple[str, ...]
    title: str = ''
    json_key: str = ''
    # Not compared: older checkpoints state the same schema without it.
    json_aliases: Tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(
                f'an attribute has the name {self.name!r}, expected an '
                'identifier such as "cell_size"'
            )
        object.__setattr__(self, 'values', tuple(self.values))
        if len(self.values) < 2:
            raise ValueError(
                f'the attribute {self.name!r} has the values {self.values}, '
                'expected at least two'
            )
        object.__setattr__(self, 'title', self.title or self.name)
        object.__setattr__(self, 'json_key', self.json_key or self.name)
        object.__setattr__(self, 'json_aliases', tuple(self.json_aliases))

    @property
    def json_keys(self) -> Tuple[str, ...]:
        """tuple[str]: All keys that state it, ``json_key`` first."""
        return (self.json_key, *self.json_aliases)


class AttributeSchema:
    """The attributes a dataset annotates and a model predicts, in order.

    The schema is configuration: a dataset holds it in
    ``metainfo['attributes']``, a head in its ``attributes`` argument, both as
    a list of dicts of :class:`Attribute`.

    Args:
        attributes (Sequence[dict | Attribute]): The attributes in the order
            of the columns of every code array.
        classes_without_attributes (Sequence[str]): Normalised names of the
            classes whose cells carry no attributes, whatever their codes say.
        missing_codes (Sequence[int]): Codes by which the files state that an
            attribute is missing, besides those of their format.

    Raises:
        TypeError: If ``missing_codes`` is no list of whole numbers.
        ValueError: If a name or a key of the JSON layout occurs twice, there
            is no attribute, or a missing code is that of a value.
    """

    def __init__(
        self,
        attributes: Sequence,
        classes_without_attributes: Sequence[str] = CLASSES_WITHOUT_ATTRIBUTES,
        missing_codes: Sequence[int] = (),
    ) -> None:
        self.classes_without_attributes = frozenset(classes_without_attributes)
        self.missing_codes = self._check_missing_codes(missing_codes)
        self.attributes = tuple(
            item if isinstance(item, Attribute) else Attribute(**item)
            for item in attributes
        )
        if not self.attributes:
            raise ValueError('a schema needs at least one attribute, got none')
        if len(set(self.names)) != len(self.names):
            raise ValueError(
                f'attribute names must differ, got {list(self.names)}'
            )
        keys = [key for item in self for key in item.json_keys]
        if len(set(keys)) != len(keys):
            raise ValueError(
                f'keys of the JSON layout must differ, got {keys}. Set '
                '`json_key` and `json_aliases` of each attribute'
            )
        values = {
            item.name: item.values[code]
            for item in self
            for code in self.missing_codes
            if 0 <= code < len(item.values)
        }
        if values:
            raise ValueError(
                f'missing_codes is {list(self.missing_codes)}, expected no '
                f'code of a value, got those of {values}'
            )

    @staticmethod
    def _check_missing_codes(codes: Sequence[int]) -> Tuple[int, ...]:
        """Refuse what is no list of whole numbers."""
        if not isinstance(codes, (list, tuple)) or not all(
            type(code) is int for code in codes
        ):
            raise TypeError(
                f'missing_codes is {codes!r}, expected a list of whole '
                'numbers such as [99]'
            )
        return tuple(codes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __getitem__(self, index: int) -> Attribute:
        return self.attributes[index]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, AttributeSchema)
            and self.attributes == other.attributes
        )

    def __hash__(self) -> int:
        return hash(self.sizes)

    def __repr__(self) -> str:
        sizes = ', '.join(f'{a.name}: {len(a.values)}' for a in self)
        return f'{self.__class__.__name__}({sizes})'

    @property
    def names(self) -> Tuple[str, ...]:
        """tuple[str]: Identifiers, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    @property
    def names_and_values(self) -> Tuple[Tuple[str, Tuple[str, ...]], ...]:
        """tuple[tuple]: What codes mean, without titles and JSON keys."""
        return tuple((item.name, item.values) for item in self.attributes)

    @property
    def titles(self) -> Tuple[str, ...]:
        """tuple[str]: Names for people, in order."""
        return tuple(attribute.title for attribute in self.attributes)

    @cached_property
    def sizes(self) -> Tuple[int, ...]:
        """tuple[int]: Number of values of each attribute."""
        return tuple(len(attribute.values) for attribute in self.attributes)

    @property
    def num_values(self) -> int:
        """int: Sum of :attr:`sizes`, the width of a row of probabilities."""
        return sum(self.sizes)

    def to_list(self) -> List[dict]:
        """Return the arguments of each attribute as plain objects."""
        return [
            dict(
                vars(attribute),
                values=list(attribute.values),
                json_aliases=list(attribute.json_aliases),
            )
            for attribute in self
        ]

    def clean(
        self, codes: Iterable[Optional[int]], category: str = ''
    ) -> Tuple[int, ...]:
        """Mask every code that names no value of its attribute.

        Args:
            codes (Iterable[int | None]): One raw code per attribute. None, 4
                ("not applicable" in LLD) and every other number outside
                ``[0, size)`` count as missing.
            category (str): Normalised class name of the cell. All codes are
                masked if it is in ``classes_without_attributes``.

        Returns:
            tuple[int]: One code per attribute, ``MISSING`` where masked.

        Raises:
            ValueError: If the number of codes is not that of the attributes.
        """
        codes = tuple(codes)
        if len(codes) != len(self):
            raise ValueError(
                f'got {len(codes)} attribute codes {codes}, expected '
                f'{len(self)}: {", ".join(self.names)}'
            )
        if category in self.classes_without_attributes:
            return (MISSING,) * len(self)
        return tuple(
            int(code) if code is not None and 0 <= code < size else MISSING
            for code, size in zip(codes, self.sizes)
        )

    def describe(self, codes: Sequence[int]) -> Mapping[str, Optional[str]]:
        """Name the values of one cell.

        Args:
            codes (Sequence[int]): One code per attribute.

        Returns:
            dict[str, str | None]: Value name by attribute name, None where
            the code is missing.
        """
        codes = self.clean(np.asarray(codes).tolist())
        return {
            attribute.name: None if code == MISSING else attribute.values[code]
            for attribute, code in zip(self.attributes, codes)
        }


# The seven attributes of the Large Leukemia Dataset, in the order of its text
# labels. The release spells `nuclear_chromatio`.
LLD_ATTRIBUTES: List[Dict[str, Any]] = [
    dict(
        name='cell_size',
        title='Cell Size',
        values=('small', 'medium', 'large'),
    ),
    dict(
        name='nuclear_chromatin',
        title='Nuclear Chromatin',
        json_key='nuclear_chromatio',
        json_aliases=('nuclear_chromatin',),
        values=('open', 'coarse'),
    ),
    dict(
        name='nuclear_shape',
        title='Nuclear Shape',
        values=('regular', 'irregular'),
    ),
    dict(
        name='nucleolus',
        title='Nucleolus',
        values=('inconspicuous', 'prominent'),
    ),
    dict(name='cytoplasm', title='Cytoplasm', values=('scanty', 'abundant')),
    dict(
        name='cytoplasmic_basophilia',
        title='Cytoplasmic Basophilia',
        values=('slight', 'moderate'),
    ),
    dict(
        name='cytoplasmic_vacuoles',
        title='Cytoplasmic Vacuoles',
        values=('absent', 'prominent'),
    ),
]

LLD_SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
