"""Run records cross a process boundary unchanged."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.records.run import CAUSES, OUTCOMES, STATUSES, Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.records.wire import Plain, from_plain, to_plain

_TEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
_NUMBERS = st.none() | st.floats()
_ARTIFACTS = st.builds(
    Artifact, name=st.text(), digest=st.text(), size_bytes=st.integers(0, 2**62), unsafe=st.booleans()
)
_VERDICTS = st.builds(
    Verdict,
    gate=st.text(max_size=8),
    metric=st.text(max_size=8),
    decision=st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE"]),
    calibrated=st.booleans(),
    estimate=_NUMBERS,
    bound=_NUMBERS,
    low=_NUMBERS,
    m=st.none() | st.integers(1, 99),
    baseline_id=st.none() | st.text(max_size=8),
)
_RECORDS = st.builds(
    RunRecord,
    status=st.sampled_from(STATUSES),
    outcome=st.sampled_from(OUTCOMES),
    cause=st.sampled_from(CAUSES),
    attempt=st.integers(1, 9),
    v=st.integers(1, 9),
    parent_id=st.none() | st.text(max_size=8),
    started_us=st.integers(0, 2**62),
    ended_us=st.integers(0, 2**62),
    params=_TEXTS,
    tags=_TEXTS,
    context=_TEXTS,
    series=_TEXTS,
    metrics=st.dictionaries(st.text(max_size=8), st.floats(), max_size=3),
    artifacts=st.lists(_ARTIFACTS, max_size=2).map(tuple),
    gates=st.lists(_VERDICTS, max_size=2).map(tuple),
)


@given(record=_RECORDS)
@settings(max_examples=25, deadline=None)
def test_a_record_comes_back_bit_for_bit(record: RunRecord) -> None:
    plain = to_plain(record)

    returned = from_plain(plain)

    assert type(returned) is RunRecord
    assert _exact(to_plain(returned)) == _exact(plain)
    assert _without_floats(returned) == _without_floats(record)
    assert [_bits(value) for value in returned.metrics.values()] == [_bits(value) for value in record.metrics.values()]
    assert [_bits(v.estimate) for v in returned.gates] == [_bits(v.estimate) for v in record.gates]


@given(record=_RECORDS)
@settings(max_examples=25, deadline=None)
def test_only_exactly_plain_types_cross(record: RunRecord) -> None:
    found = _types(to_plain(record))

    assert found <= {str, int, float, bool, type(None), list, dict}


@given(record=_RECORDS)
@settings(max_examples=20, deadline=None)
def test_execnet_carries_what_crosses(record: RunRecord) -> None:
    execnet = pytest.importorskip("execnet")
    plain = to_plain(record)

    returned = execnet.loads(execnet.dumps(plain))

    assert _exact(returned) == _exact(plain)


def test_numbers_of_numpy_become_plain_numbers() -> None:
    record = from_plain(to_plain(_blank()))
    measured = replace(record, metrics={"auc": np.float64(0.25)}, name=str(np.str_("n")))

    plain = to_plain(measured)

    assert plain["metrics"] == {"auc": 0.25}
    assert _types(plain) <= {str, int, float, bool, type(None), list, dict}


def test_a_value_that_no_record_holds_is_refused() -> None:
    broken = replace(_blank(), params={"x": object()})  # type: ignore[dict-item]

    with pytest.raises(TypeError, match="object is not a value that a run record holds"):
        to_plain(broken)


def _blank() -> RunRecord:
    return RunRecord(
        run_id="r",
        session_id="s",
        experiment="e",
        name="n",
        test="t",
        case="",
        attempt=1,
        parent_id=None,
        status="finished",
        outcome="passed",
        cause="",
        cause_detail="",
        error="",
        started_us=0,
        ended_us=0,
        params={},
        metrics={},
        tags={},
        context={},
        artifacts=(),
        gates=(),
        series={},
    )


def _bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack(">d", value)


def _exact(plain: Plain) -> object:
    """Make NaN equal to the same NaN, and 0.0 different from -0.0 and 0."""
    if isinstance(plain, dict):
        return {key: _exact(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_exact(item) for item in plain]
    return (type(plain), _bits(plain)) if isinstance(plain, float) else (type(plain), plain)


def _without_floats(record: RunRecord) -> RunRecord:
    gates = tuple(replace(v, estimate=None, bound=None, low=None) for v in record.gates)
    return replace(record, metrics=dict.fromkeys(record.metrics, math.inf), gates=gates)


def _types(plain: Plain) -> set[type]:
    inner = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return {type(plain)}.union(*(_types(item) for item in inner))
