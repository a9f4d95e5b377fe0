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
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.store.columns import Bools, bool_values, check_bounds, equal_text, number_values, valid_mask
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
_ATTRIBUTES: Final = tuple(name for name, kind in RUN_FIELDS.items() if kind in {"text", "text?", "int", "time"})


def match_rows(segment: Segment, batch: pa.RecordBatch, comparison: Comparison) -> Bools:
    """Find the rows that satisfy one comparison.

    Args:
        segment: The segment.
        batch: One of its batches.
        comparison: The comparison.

    Returns:
        One truth value a row.

    Raises:
        QueryError: There is no such attribute.
    """
    if comparison.kind == "attribute":
        if comparison.field in _ATTRIBUTES:
            return _match_column(batch.column(comparison.field), comparison)
        if "." in comparison.field:
            return _match_values(_map_values(batch, "context", comparison.field, parse=True), comparison)
        raise QueryError(
            f"a run has no attribute {comparison.field!r}",
            details=("attributes: " + ", ".join(_ATTRIBUTES),),
            next_step="write a metric's name as it is, a param as params.<name>, a tag as tags.<name>",
        )
    layer = _LAYER[comparison.kind]
    at = batch.schema.get_field_index(f"{layer}.{comparison.field}")
    if at >= 0:
        return _match_column(
            batch.column(at), comparison, is_json=bool((batch.schema.field(at).metadata or {}).get(b"json"))
        )
    if layer in segment.facts.complete:
        return np.zeros(batch.num_rows, dtype=np.bool_)
    return _match_values(_map_values(batch, LAYERS[layer], comparison.field, parse=layer == "p"), comparison)


def metric_values(segment: Segment, batch: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    """Read a metric of every row.

    Args:
        segment: The segment.
        batch: One of its batches.
        name: The metric.

    Returns:
        One value a row; NaN where the run has none.
    """
    at = batch.schema.get_field_index(f"m.{name}")
    if at >= 0:
        column = batch.column(at)
        return np.where(valid_mask(column), number_values(column), np.nan)
    if "m" in segment.facts.complete:
        return np.full(batch.num_rows, np.nan)
    values = _map_values(batch, "metrics", name, parse=False)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _map_values(batch: pa.RecordBatch, field: str, name: str, *, parse: bool) -> list[object]:
    column = batch.column(field)
    check_bounds(column)
    found = [dict(row).get(name) for row in column.to_pylist()]
    return [None if text is None else comparable_value(parse_value(text)) for text in found] if parse else found


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
