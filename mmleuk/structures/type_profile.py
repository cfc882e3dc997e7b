# Copyright (c) mmleuk authors. All rights reserved.
from typing import Annotated, Dict, Iterable, Mapping, Sequence, Tuple

import numpy as np
from msgspec import Meta, Struct

from .attribute_schema import MISSING, AttributeSchema

# Added to each count: a value that was never seen is rare, not impossible
# (Laplace's rule of succession).
_PRIOR_COUNT = 1.0


Count = Annotated[int, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    """How one attribute value of a cell supports the cell's type.

    Args:
        attribute (str): Name of the attribute.
        value (str): Name of the value.
        likelihood_ratio (float): Share of the value among cells of the type
            over that among cells of all other types, each type with the same
            weight. Above 1 the value supports the type, below 1 it
            contradicts it.
        share_of_type (float): Share of the value among the training cells of
            the type.
        share_of_others (float): Mean of that share over the other types.
        num_cells (int): Training cells of the type whose attribute is known.
        surprising (bool): Whether so few training cells of the type have the
            value that a reader should look at the cell again.
    """

    attribute: str
    value: str
    likelihood_ratio: Annotated[float, Meta(gt=0)]
    share_of_type: Probability
    share_of_others: Probability
    num_cells: Count
    surprising: bool


class TypeProfile:
    """Counts of cells by type and attribute value.

    Counted on training data, they explain a prediction by a likelihood ratio
    for each attribute on its own. Attributes of a cell depend on each other,
    so that the ratios must not be multiplied, and they describe the labels of
    the training data, not blood.

    Args:
        types (Sequence[str]): Cell types.
        schema (AttributeSchema): The attributes.
        counts (Mapping[str, Sequence]): For each attribute a table (types,
            values of the attribute) of training cells.
        surprising_share (float): A value is surprising for a type of which
            at most this share has it.
        min_cells (int): Minimum number of training cells of a type with the
            attribute known to call a value surprising: 0 of 60 cells just
            exclude a share of 5 % at 95 % confidence (the rule of three).

    Raises:
        ValueError: If a table is missing or has the wrong shape.
    """

    def __init__(
        self,
        types: Sequence[str],
        schema: AttributeSchema,
        counts: Mapping[str, Sequence],
        surprising_share: float = 0.05,
        min_cells: int = 60,
    ) -> None:
        self.types = tuple(types)
        self.schema = schema
        self.surprising_share = surprising_share
        self.min_cells = min_cells
        self.counts: Dict[str, np.ndarray] = {}
        for attribute in schema:
            if attribute.name not in counts:
                raise ValueError(
                    f'a type profile has no counts of {attribute.name}, '
                    f'expected those of {", ".join(schema.names)}'
                )
            table = np.asarray(counts[attribute.name])
            expected = (len(self.types), len(attribute.values))
            if table.shape != expected:
                raise ValueError(
                    f'the counts of {attribute.name} have the shape '
                    f'{table.shape}, expected (types, values) = {expected}'
                )
            if not np.issubdtype(table.dtype, np.integer) or (table < 0).any():
                raise ValueError(
                    f'the counts of {attribute.name} are {table.tolist()}, '
                    'expected integers from 0'
                )
            self.counts[attribute.name] = table.astype(np.int64)

    @classmethod
    def count(
        cls,
        types: Sequence[str],
        schema: AttributeSchema,
        cells: Iterable[Tuple[int, Sequence[int]]] = (),
        **kwargs,
    ) -> 'TypeProfile':
        """Count cells.

        Args:
            types (Sequence[str]): Cell types.
            schema (AttributeSchema): The attributes.
            cells (Iterable[tuple[int, Sequence[int]]]): Type and attribute
                codes of each cell, -1 where a code is missing.
            **kwargs: Other arguments of the class.
        """
        counts = {
            attribute.name: np.zeros((len(types), len(attribute.values)), int)
            for attribute in schema
        }
        for label, codes in cells:
            for table, code in zip(counts.values(), codes):
                if code != MISSING:
                    table[label, code] += 1
        return cls(types, schema, counts, **kwargs)

    def add(self, cell_type: str, values: Mapping[str, str]) -> None:
        """Count one more cell.

        Args:
            cell_type (str): Name of the type.
            values (Mapping[str, str]): Name of the value by that of the
                attribute; missing ones are not counted.
        """
        row = self.types.index(cell_type)
        for attribute in self.schema:
            if attribute.name in values:
                column = attribute.values.index(values[attribute.name])
                self.counts[attribute.name][row, column] += 1

    @property
    def num_cells(self) -> int:
        """int: Cells of which at least one attribute is known, at least."""
        return max(int(table.sum()) for table in self.counts.values())

    def majority_codes(self, labels: np.ndarray) -> np.ndarray:
        """Look up the most frequent values of the types of cells.

        What they score on cells tells how much of an attribute's score is
        due to the type alone.

        Args:
            labels (np.ndarray): Types of the cells, int64, shape (n, ).

        Returns:
            np.ndarray: Codes, int64, shape (n, num_attributes): the lower one
            of two that are equally frequent; that of all types where no cell
            of the type has a known one, and ``MISSING`` where no cell has.
        """
        columns = []
        for table in self.counts.values():
            majority = np.full(len(table), MISSING)
            if table.any():
                majority[:] = table.sum(axis=0).argmax()
                counted = table.any(axis=1)
                majority[counted] = table[counted].argmax(axis=1)
            columns.append(majority[labels])
        return np.stack(columns, axis=1)

    def explain(
        self, cell_type: str, values: Mapping[str, str]
    ) -> Tuple[Evidence, ...]:
        """Compare the attributes of a cell with the cells of its type.

        Args:
            cell_type (str): Name of the type.
            values (Mapping[str, str]): Name of the value by that of the
                attribute.

        Returns:
            tuple[Evidence]: One for each attribute that is known of training
            cells of this and of another type, in the order of the schema.

        Raises:
            ValueError: If the type or a value is unknown.
        """
        if cell_type not in self.types:
            raise ValueError(
                f'got the type {cell_type!r}, expected one of {self.types}'
            )
        row = self.types.index(cell_type)
        evidence = []
        for attribute in self.schema:
            if attribute.name not in values:
                continue
            value = values[attribute.name]
            if value not in attribute.values:
                raise ValueError(
                    f'got {attribute.name}={value!r}, expected one of '
                    f'{attribute.values}'
                )
            table = self.counts[attribute.name]
            totals, hits = table.sum(1), table.T[attribute.values.index(value)]
            is_other = (totals > 0) & (np.arange(len(totals)) != row)
            if not totals[row] or not is_other.any():
                continue
            smooth = (hits + _PRIOR_COUNT) / (
                totals + _PRIOR_COUNT * len(attribute.values)
            )
            shares = hits / np.maximum(totals, 1)
            share = float(shares[row])
            is_rare = share <= self.surprising_share
            evidence.append(
                Evidence(
                    attribute=attribute.name,
                    value=value,
                    likelihood_ratio=float(
                        smooth[row] / smooth[is_other].mean()
                    ),
                    share_of_type=share,
                    share_of_others=float(shares[is_other].mean()),
                    num_cells=int(totals[row]),
                    surprising=bool(is_rare and totals[row] >= self.min_cells),
                )
            )
        return tuple(evidence)

    def to_dict(self) -> dict:
        """Return the arguments as plain objects, for JSON and checkpoints."""
        return dict(
            types=list(self.types),
            attributes=self.schema.to_list(),
            counts={
                name: table.tolist() for name, table in self.counts.items()
            },
            surprising_share=self.surprising_share,
            min_cells=self.min_cells,
        )

    @classmethod
    def from_dict(cls, record: Mapping) -> 'TypeProfile':
        """Read what :meth:`to_dict` returned."""
        return cls(
            record['types'],
            AttributeSchema(record['attributes']),
            record['counts'],
            record['surprising_share'],
            record['min_cells'],
        )
