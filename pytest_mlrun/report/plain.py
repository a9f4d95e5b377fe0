"""Write a run record as JSON on one line, at full precision."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.wire import Plain, to_plain


def json_line(run: RunRecord, *, extra: Mapping[str, Plain] | None = None) -> str:
    """Return a run as one JSON object whose keys are the fields of ``RunRecord``.

    Params and context are JSON values; floats that JSON lacks are ``{"$f": "nan" | "inf" | "-inf"}``.

    Args:
        run: The run.
        extra: Further keys, put first.
    """
    plain = to_plain(run)
    for field in ("params", "context"):
        plain[field] = {name: json.loads(text) for name, text in getattr(run, field).items()}
    return plain_json({**(extra or {}), **plain})


def plain_event(event: Annotation) -> dict[str, Plain]:
    """Return what was said about a run as plain values, one key a field."""
    return {
        "annotation_id": event.annotation_id,
        "run_id": event.run_id,
        "time_us": event.time_us,
        "who": event.who,
        "note": event.note,
        "tags": dict(event.tags),
        "v": event.v,
        "digest": event.digest,
    }


def event_line(event: Annotation) -> str:
    """Return what was said about a run as one JSON object."""
    return plain_json(plain_event(event))


def plain_json(plain: Plain) -> str:
    """Return plain values as JSON on one line; floats that JSON lacks are ``{"$f": …}``.

    Args:
        plain: Any plain value.
    """
    # ASCII only: a pipe with another encoding can carry it, and every JSON reader turns it back.
    return json.dumps(_finite(plain), allow_nan=False)


def _finite(plain: Plain) -> Plain:
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"$f": str(plain)}
    if isinstance(plain, dict):
        return {key: _finite(value) for key, value in plain.items()}
    return [_finite(item) for item in plain] if isinstance(plain, list) else plain
