# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter
from typing import Dict, Iterable, List, Mapping, Optional, Tuple, Union

from mmleuk.structures import Attribute, AttributeSchema
from mmleuk.structures.record import normalise_name

from .errors import AnnotationError
from .issue_log import IssueLog

# What a labelling tool shows, and states, for an attribute that nobody has
# judged yet; tools that need a default would else state a value unasked.
NOT_STATED = 'not stated'

# The attribute, or choice, that makes a cell neither positive nor negative.
IGNORED = 'ignored'

# An attribute of the source: the schema's name for it, or the same with a map
# of its values, or None to leave it out.
AttributeMap = Mapping[str, Union[str, Mapping, None]]

_TRUE = ('true', '1', 'yes', IGNORED)
_FALSE = ('', 'false', '0', 'no', NOT_STATED)


class AttributeNames:
    """Turns attributes that are stated in words into the codes of a schema.

    Attributes go by their name, title or JSON key and values by their name or
    code, whatever the casing, ``_`` and blanks alike. The attribute
    ``ignored`` makes a cell ignored.

    Args:
        schema (AttributeSchema): The attributes.
        attribute_map (Mapping, optional): By name of an attribute in the
            source: the schema's name of it; or ``{'to': name, 'values':
            {value: value of the schema, or None where it is missing}}``; or
            None to leave the attribute out. Defaults to None, all names are
            the schema's.

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
        self._first_unknown: Optional[Tuple[str, str]] = None
        self._columns: Dict[str, Optional[int]] = {}
        self._codes: Dict[str, Dict[str, Optional[int]]] = {}
        for column, attribute in enumerate(schema):
            codes = self._codes_of(attribute)
            for name in (
                attribute.json_key,
                attribute.title,
                attribute.name,
            ):
                self._columns[normalise_name(name)] = column
                self._codes[normalise_name(name)] = codes
        self._apply(attribute_map or {})

    @staticmethod
    def _codes_of(attribute: Attribute) -> Dict[str, Optional[int]]:
        """List the ways to state a value of an attribute."""
        codes: Dict[str, Optional[int]] = dict.fromkeys(('', NOT_STATED))
        for code in range(len(attribute.values)):
            codes[str(code)] = code
        for code, value in enumerate(attribute.values):
            codes[normalise_name(value)] = code
        return codes

    def _apply(self, attribute_map: AttributeMap) -> None:
        """Add what the source names otherwise than the schema."""
        known = dict(self._columns), dict(self._codes)
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
            if known[0].get(name) is None or not isinstance(values, Mapping):
                raise ValueError(
                    f'the attribute map turns {stated!r} into {target!r}, '
                    f'expected one of {", ".join(self.schema.names)} and, '
                    'if values are given, an object of them'
                )
            codes = dict(known[1][name])
            for value, own in values.items():
                if own is not None and normalise_name(str(own)) not in codes:
                    raise ValueError(
                        f'the attribute map turns {value!r} of {stated!r} '
                        f'into {own!r}, expected one of '
                        f'{self.schema[known[0][name]].values} or null'
                    )
                codes[normalise_name(str(value))] = (
                    None
                    if own is None
                    else known[1][name][normalise_name(str(own))]
                )
            self._columns[key], self._codes[key] = known[0][name], codes

    def read(
        self,
        stated: Iterable[Tuple[str, object]],
        source: str,
        record: str,
        issues: IssueLog,
    ) -> Tuple[Tuple[Optional[int], ...], bool]:
        """Read the attributes of one cell.

        Values that the schema does not have are collected until
        :meth:`check`.

        Args:
            stated (Iterable[tuple[str, object]]): Names and values.
            source (str): The annotation file, for messages.
            record (str): The record in it, for messages.
            issues (IssueLog): Where attributes stated twice are counted.

        Returns:
            tuple: One code per attribute of the schema, None where it is not
            stated; and whether the cell is ignored.

        Raises:
            AnnotationError: If the flag ``ignored`` is neither true nor
                false.
        """
        codes: List[set] = [set() for _ in self.schema]
        ignored = False
        for name, value in stated:
            key = normalise_name(name)
            text = normalise_name('' if value is None else str(value))
            if key == IGNORED and key not in self._columns:
                if text not in _TRUE + _FALSE:
                    raise AnnotationError(
                        source,
                        record,
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
                self._first_unknown = self._first_unknown or (source, record)
            else:
                codes[self._columns[key]].add(self._codes[key][text])
        stated_codes = [column - {None} for column in codes]
        if any(len(column) > 1 for column in stated_codes):
            issues.add(
                'attributes stated twice, differently, masked',
                f'{source}, {record}',
            )
        return tuple(
            column.pop() if len(column) == 1 else None
            for column in stated_codes
        ), ignored

    def check(self) -> None:
        """Refuse values that the schema does not have, all at once.

        Raises:
            AnnotationError: If there are any, naming the first place.
        """
        if self._first_unknown is None:
            return
        listed = ', '.join(
            f'{what} ({number} cells)'
            for what, number in sorted(self._unknown.items())
        )
        expected = '; '.join(
            f'{attribute.title}: {", ".join(attribute.values)}'
            for attribute in self.schema
        )
        source, record = self._first_unknown
        raise AnnotationError(
            source,
            record,
            f'got attribute values that the schema does not have: {listed}, '
            f'expected {expected}',
            'Correct them, or say by an attribute map (--attribute-map) '
            'which value, or null, each one stands for',
        )
