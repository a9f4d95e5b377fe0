"""Decide for every row of a segment whether it satisfies a constraint, on columns rather than rows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.comparable import comparable_value
from pytest_mlrun.records.query import STATE, Comparison
from pytest_mlrun.store.columns import (
    Bools,
    bool_values,
    check_bounds,
    equal_text,
    map_entries,
    number_values,
    valid_mask,
)
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.schema import RUN_FIELDS
from pytest_mlrun.store.segment import Segment
from pytest_mlrun.store.shred import LAYERS, Layer, parse_value

_COMPARE: Final[Mapping[str, Callable[..., object]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LAYER: Final[Mapping[str, Layer]] = {"param": "p", "metric": "m", "tag": "t"}
ATTRIBUTES: Final = tuple(name for name, kind in RUN_FIELDS.items() if kind in {"text", "text?", "int", "time"})
"""Fields of a run that a comparison may name."""


def match_rows(segment: Segment, part: Part, comparison: Comparison) -> Bools:
    """Find the rows that satisfy one comparison.

    Args:
        segment: The segment.
        part: Rows of it.
        comparison: The comparison.

    Returns:
        One truth value a row.

    Raises:
        QueryError: There is no such attribute.
    """
    if comparison.kind == "attribute":
        if comparison.field in ATTRIBUTES:
            return _match_column(part.column(comparison.field), comparison)
        if comparison.field == STATE:
            return _match_state(part, str(comparison.value))
        check_attribute(comparison)
        return _match_map(part, "context", comparison, parse=True)
    layer = _LAYER[comparison.kind]
    at = part.find(f"{layer}.{comparison.field}")
    if at >= 0:
        field = part.schema.field(at)
        return _match_column(part.column(field.name), comparison, is_json=bool((field.metadata or {}).get(b"json")))
    if layer in segment.facts.complete:
        return np.zeros(part.num_rows, dtype=np.bool_)
    return _match_map(part, LAYERS[layer], comparison, parse=layer == "p")


def check_attribute(comparison: Comparison) -> None:
    """Refuse a comparison with what no run has.

    Args:
        comparison: The comparison.

    Raises:
        QueryError: There is no such attribute.
    """
    known = comparison.field in ATTRIBUTES or comparison.field == STATE or "." in comparison.field
    if comparison.kind == "attribute" and not known:
        raise QueryError(
            f"a run has no attribute {comparison.field!r}",
            details=("attributes: " + ", ".join(ATTRIBUTES),),
            next_step="write a metric's name as it is, a param as params.<name>, a tag as tags.<name>",
        )


def metric_values(segment: Segment, part: Part, name: str) -> tuple[npt.NDArray[np.float64], Bools]:
    """Read a metric of every row.

    Args:
        segment: The segment.
        part: Rows of it.
        name: The metric.

    Returns:
        One value a row, NaN where the run has none; and which runs have one, NaN or not.
    """
    at = part.find(f"m.{name}")
    if at >= 0:
        column = part.column(f"m.{name}")
        values, valid = cast("npt.NDArray[np.float64]", number_values(column)), valid_mask(column)
        return (np.where(valid, values, np.nan) if column.null_count else values), valid
    values, valid = np.full(part.num_rows, np.nan), np.zeros(part.num_rows, dtype=np.bool_)
    if "m" not in segment.facts.complete:
        rows, items = map_entries(part.column("metrics"), name)
        values[rows], valid[rows] = number_values(items), True
    return values, valid


def _match_state(part: Part, state: str) -> Bools:
    status = part.column("status")
    return equal_text(status, state) | equal_text(status, f"{state}?") | equal_text(part.column("outcome"), state)


def _match_map(part: Part, field: str, comparison: Comparison, *, parse: bool) -> Bools:
    rows, items = map_entries(part.column(field), comparison.field)
    found: list[object] = items.to_pylist()
    if parse:
        found = [comparable_value(parse_value(cast("str", text))) for text in found]
    matched = np.zeros(part.num_rows, dtype=np.bool_)
    matched[rows] = _match_values(found, comparison)
    return matched


def _match_column(column: pa.Array, comparison: Comparison, *, is_json: bool = False) -> Bools:
    wanted = comparison.value
    kind = column.type
    if pa.types.is_string(kind):
        if isinstance(wanted, str) and comparison.operator in {"==", "!="} and not is_json:
            same = equal_text(column, wanted)
            return same if comparison.operator == "==" else valid_mask(column) & ~same
        check_bounds(column)
        texts = column.to_pylist()
        if is_json:
            texts = [None if text is None else comparable_value(parse_value(text)) for text in texts]
        return _match_values(texts, comparison)
    if pa.types.is_boolean(kind):
        return _match_typed(bool_values(column), valid_mask(column), comparison, fits=isinstance(wanted, bool))
    fits = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    return _match_typed(number_values(column), valid_mask(column), comparison, fits=fits)


def _match_typed(values: npt.NDArray[np.generic], valid: Bools, comparison: Comparison, *, fits: bool) -> Bools:
    if values.dtype == np.float64:
        valid = valid & ~np.isnan(values)
    if not fits:
        return valid if comparison.operator == "!=" else np.zeros(len(values), dtype=np.bool_)
    return valid & cast("Bools", _COMPARE[comparison.operator](values, comparison.value))


def _match_values(values: list[object], comparison: Comparison) -> Bools:
    return np.fromiter((holds(value, comparison) for value in values), dtype=np.bool_, count=len(values))


def holds(value: object, comparison: Comparison) -> bool:
    """Decide whether one value satisfies a comparison.

    Args:
        value: As stored, or None where the run has none.
        comparison: The comparison.

    Returns:
        Whether it does; nothing and NaN satisfy none.
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN satisfies nothing
        return False
    wanted = comparison.value
    if comparison.kind == "tag" and not isinstance(wanted, str):
        value = _read_tag(cast("str", value))
    fits = type(value) is type(wanted) if isinstance(wanted, str | bool) else _is_number(value)
    if not fits:
        return comparison.operator == "!="
    return bool(_COMPARE[comparison.operator](value, wanted))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_tag(text: str) -> object:
    try:
        return {"true": True, "false": False}[text]
    except KeyError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
