# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from typing import Dict, Iterable, List, Mapping, Optional, Tuple, Union

from mmleuk.structures import AttributeSchema
from mmleuk.structures.record import normalise_name

from .errors import AnnotationError
from .issue_log import IssueLog

# What a labelling tool shows, and states, for an attribute that nobody has
# chosen yet. Some tools would state their first value instead.
NOT_STATED = 'not stated'

# The attribute, or choice, that makes a cell ignored.
IGNORED = 'ignored'

# An attribute of the source: the schema's name for it, or the same with a map
# of its values, or None to leave it out.
AttributeMap = Mapping[str, Union[str, Mapping, None]]

_TRUE = ('true', '1', 'yes', IGNORED)
_FALSE = ('', 'false', '0', 'no', NOT_STATED)


class AttributeNames:
    """Turns attributes that are stated in words into the codes of a schema.

    An attribute is known by its name, title or JSON key and a value by its
    name or code. Case, ``_`` and blanks make no difference.

    Args:
        schema (AttributeSchema): The attributes.
        attribute_map (Mapping, optional): By name of an attribute in the
            source: the schema's name of it; or ``{'to': name, 'values':
            {value: value of the schema, or None where it is missing}}``; or
            None to leave the attribute out.

    Attributes:
        unread (Counter): Attributes stated that the schema does not have.

    Raises:
        ValueError: If the map names what the schema does not have.
    """

    def __init__(
        self,
        schema: AttributeSchema,
        attribute_map: Optional[AttributeMap] = None,
    ) -> None:
        self.schema = schema
        self.unread: Counter = Counter()
        self._unknown: Counter = Counter()
        self._first_unknown = ''
        # Index of the attribute and codes of its values, by stated name.
        self._columns: Dict[str, Optional[int]] = {}
        self._codes: Dict[str, Dict[str, Optional[int]]] = {}
        for column, attribute in enumerate(schema):
            codes: Dict[str, Optional[int]] = dict.fromkeys(('', NOT_STATED))
            codes.update(
                {str(code): code for code in range(len(attribute.values))}
            )
            codes.update(
                {
                    normalise_name(value): code
                    for code, value in enumerate(attribute.values)
                }
            )
            for name in (attribute.json_key, attribute.title, attribute.name):
                self._columns[normalise_name(name)] = column
                self._codes[normalise_name(name)] = codes
        self._apply(attribute_map or {})

    def _apply(self, attribute_map: AttributeMap) -> None:
        """Add the names of the source."""
        columns, codes_of = dict(self._columns), dict(self._codes)
        for stated, target in attribute_map.items():
            key = normalise_name(stated)
            if target is None:
                self._columns[key] = None
                continue
            values: Mapping = {}
            if isinstance(target, Mapping):
                if set(target) - {'to', 'values'} or 'to' not in target:
                    raise ValueError(
                        f'the attribute map has {dict(target)!r} for '
                        f'{stated!r}, expected "to" and perhaps "values"'
                    )
                values, target = target.get('values', {}), target['to']
            name = normalise_name(str(target))
            if name not in columns or not isinstance(values, Mapping):
                raise ValueError(
                    f'the attribute map turns {stated!r} into {target!r}, '
                    f'expected one of {", ".join(self.schema.names)} and, '
                    'if values are given, an object of them'
                )
            codes = dict(codes_of[name])
            for value, own in values.items():
                own_name = '' if own is None else normalise_name(str(own))
                if own_name not in codes_of[name]:
                    raise ValueError(
                        f'the attribute map turns {value!r} of {stated!r} '
                        f'into {own!r}, expected one of '
                        f'{self.schema[columns[name]].values} or null'
                    )
                codes[normalise_name(str(value))] = codes_of[name][own_name]
            self._columns[key], self._codes[key] = columns[name], codes

    def read(
        self,
        stated: Iterable[Tuple[str, object]],
        place: str,
        issues: IssueLog,
    ) -> Tuple[Tuple[Optional[int], ...], bool]:
        """Read the attributes of one cell.

        Values that the schema does not have are collected for :meth:`check`.

        Args:
            stated (Iterable[tuple[str, object]]): Names and values.
            place (str): File and record, for messages.
            issues (IssueLog): Where attributes stated twice are counted.

        Returns:
            tuple: One code per attribute of the schema, None where it is not
            stated; and whether the cell is ignored.

        Raises:
            AnnotationError: If ``ignored`` is neither true nor false.
        """
        codes: List[set] = [set() for _ in self.schema]
        ignored = False
        for name, value in stated:
            key = normalise_name(name)
            text = normalise_name('' if value is None else str(value))
            if key == IGNORED and key not in self._columns:
                if text not in _TRUE + _FALSE:
                    raise AnnotationError(
                        place,
                        '',
                        f'the attribute {name!r} is {value!r}, expected true '
                        'or false',
                        'Correct it',
                    )
                ignored |= text in _TRUE
            elif key not in self._columns:
                self.unread[f'attribute {name[:80]!r}'] += 1
            elif self._columns[key] is None:
                self.unread[f'attribute {name[:80]!r} (by the map)'] += 1
            elif text not in self._codes[key]:
                self._unknown[f'{name[:80]}={str(value)[:80]!r}'] += 1
                self._first_unknown = self._first_unknown or place
            else:
                codes[self._columns[key]].add(self._codes[key][text])
        stated_codes = [column - {None} for column in codes]
        if any(len(column) > 1 for column in stated_codes):
            issues.add('attributes stated twice, differently, masked', place)
        return tuple(
            column.pop() if len(column) == 1 else None
            for column in stated_codes
        ), ignored

    def check(self) -> None:
        """Refuse all values that were read and the schema does not have.

        Raises:
            AnnotationError: If there are any, with the first place.
        """
        if not self._first_unknown:
            return
        listed = ', '.join(
            f'{what} ({number} cells)'
            for what, number in sorted(self._unknown.items())
        )
        expected = '; '.join(
            f'{attribute.title}: {", ".join(attribute.values)}'
            for attribute in self.schema
        )
        raise AnnotationError(
            self._first_unknown,
            '',
            f'got attribute values that the schema does not have: {listed}, '
            f'expected {expected}',
            'Correct them, or state by an attribute map (--attribute-map) '
            'which value, or null, each one stands for',
        )
