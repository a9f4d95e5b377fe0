"""Repeat the frequent names of the maps as typed columns: 90 times faster to query, derived, never in a digest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import pyarrow as pa

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.schema import load_float

Layer = Literal["p", "m", "t"]
LAYERS: Final[Mapping[Layer, str]] = {"p": "params", "m": "metrics", "t": "tags"}
"""Prefix of a typed column, and the map it repeats."""

MOST_COLUMNS: Final = 64
EXACT: Final = 2**53
"""Whole numbers up to here survive as doubles."""
_FLOATS: Final = ("nan", "inf", "-inf")


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """One typed column: the values of one name of one layer.

    Attributes:
        layer: ``p``, ``m`` or ``t``.
        name: Name of the param, metric or tag.
        field: The Arrow field; JSON texts carry ``json`` in its metadata.
    """

    layer: Layer
    name: str
    field: pa.Field

    def read(self, records: Sequence[RunRecord]) -> list[object]:
        """Collect the column's values.

        Args:
            records: The runs.

        Returns:
            One value a run, or None.
        """
        texts = [getattr(record, LAYERS[self.layer]).get(self.name) for record in records]
        if self.layer != "p" or (self.field.metadata or {}).get(b"json"):
            return texts
        return [None if text is None else parse_value(text) for text in texts]


def _count_names(field: str, records: Sequence[RunRecord]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(getattr(record, field).keys())
    return counts


def plan_columns(records: Sequence[RunRecord]) -> list[TypedColumn]:
    """Choose the typed columns of a segment: the most frequent names of each layer.

    Args:
        records: The runs.

    Returns:
        The columns, by layer and name.
    """
    return [column for layer in LAYERS for column in _plan_layer(layer, records)]


def complete_layers(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Say which layers have a typed column for every name.

    Args:
        records: The runs.

    Returns:
        Prefixes.
    """
    return tuple(layer for layer, field in LAYERS.items() if len(_count_names(field, records)) <= MOST_COLUMNS)


def _plan_layer(layer: Layer, records: Sequence[RunRecord]) -> list[TypedColumn]:
    counts = _count_names(LAYERS[layer], records)
    names = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MOST_COLUMNS])
    if layer == "m":
        return [TypedColumn(layer, name, pa.field(f"m.{name}", pa.float64())) for name in names]
    if layer == "t":
        return [TypedColumn(layer, name, pa.field(f"t.{name}", pa.string())) for name in names]
    return [
        TypedColumn(layer, name, param_field(name, [parse_value(r.params[name]) for r in records if name in r.params]))
        for name in names
    ]


def param_field(name: str, values: Sequence[object]) -> pa.Field:
    """Choose the type of a param's column.

    Args:
        name: The param.
        values: What its JSON texts mean.

    Returns:
        The Arrow field; JSON texts carry ``json`` in its metadata.
    """
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        kind = pa.bool_()
    elif kinds == {str}:
        kind = pa.string()
    elif kinds == {int} and all(-(2**63) <= cast("int", value) < 2**63 for value in values):
        kind = pa.int64()
    elif kinds <= {int, float} and all(
        isinstance(value, float) or abs(cast("int", value)) <= EXACT for value in values
    ):
        kind = pa.float64()
    else:
        return pa.field(f"p.{name}", pa.string(), metadata={b"json": b"1"})
    return pa.field(f"p.{name}", kind)


def parse_value(text: str) -> object:
    """Decode the JSON text of a param.

    Args:
        text: JSON; ``{"$f":"nan"}`` stands for a float that JSON lacks.

    Returns:
        The value; a tuple, which equals no value, if the text is not JSON: a log must be sealed whatever is in it.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return (text,)
    if isinstance(value, dict) and set(value) == {"$f"} and value["$f"] in _FLOATS:
        return load_float(value)
    return value
