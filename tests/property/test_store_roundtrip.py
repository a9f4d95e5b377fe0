"""Whatever is logged comes back the same from every place that a run can be read."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import tempfile
from dataclasses import fields, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.records.run import CAUSES, OUTCOMES, Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import canonical_text
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)  # lone surrogates and NUL included
any_float = st.floats(allow_nan=True, allow_infinity=True)
any_time = st.integers(min_value=0, max_value=2**52)
json_scalar = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), any_text
)
json_texts = st.one_of(json_scalar, st.lists(json_scalar, max_size=2)).map(json.dumps) | st.sampled_from(
    ['{"$f":"nan"}', '{"$f":"x"}', "no json"]
)
params = st.dictionaries(any_text, json_texts, max_size=4)
tags = st.dictionaries(any_text, any_text, max_size=3)
artifacts = st.builds(Artifact, any_text, any_text, st.integers(0, 2**62), any_text, any_text, st.booleans(), any_time)
verdicts = st.builds(
    Verdict,
    gate=any_text,
    metric=any_text,
    decision=st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE"]),
    calibrated=st.booleans(),
    estimate=st.none() | any_float,
    bound=st.none() | any_float | st.integers(-5, 5),
    m=st.none() | st.integers(0, 9),
    n=st.none() | st.integers(0, 2**40),
    baseline_id=st.none() | any_text,
    reason=any_text,
)
points = st.lists(st.tuples(st.integers(0, 2), any_float, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=12)
ends = st.builds(
    RunEnd,
    status=st.sampled_from(["finished", "failed", "killed"]),
    outcome=st.sampled_from(OUTCOMES),
    cause=st.sampled_from(CAUSES),
    cause_detail=any_text,
    error=any_text,
    ended_us=any_time,
)


@st.composite
def starts(draw: st.DrawFn, number: int) -> RunStart:
    return RunStart(
        f"{number:08x}-0000-7000-8000-000000000000",
        session_id=draw(any_text),
        experiment=draw(any_text),
        name=draw(any_text),
        test=draw(any_text),
        case=draw(any_text),
        attempt=draw(st.integers(1, 9)),
        parent_id=draw(st.none() | any_text),
        started_us=draw(any_time),
        params=draw(params),
        tags=draw(tags),
        context=draw(params),
    )


def clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def rewritten(record: RunRecord) -> str:
    """Compute the digest from the specification alone, sharing nothing with the package."""

    def write(value: object) -> object:  # noqa: PLR0911 - one line a rule of the specification
        if value is None:
            return ["n"]
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            return "7ff8000000000000" if math.isnan(value) else struct.pack(">d", value).hex()
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            return [[name, write(value[name])] for name in sorted(value, key=lambda name: str(name).encode())]
        if isinstance(value, tuple):
            return [write(item) for item in value]
        return [[name, write(getattr(value, name))] for name in sorted(field.name for field in fields(value))]  # type: ignore[arg-type]

    written = [pair for pair in write(record) if pair[0] != "digest"]  # type: ignore[attr-defined]
    text = json.dumps(["mlrun-run-1", written], ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def same(one: RunRecord, other: RunRecord) -> bool:
    return canonical_text(one) == canonical_text(other) and one.digest == other.digest


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_run_is_the_same_live_sealed_and_recovered(data: st.DataObject) -> None:
    start, end = data.draw(starts(1)), data.draw(ends)
    logged = data.draw(points)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), create=True)
        writer = store.writer(session_id="s")
        writer.start(start)
        writer.start(replace(start, run_id=f"{2:08x}-0000-7000-8000-000000000000"))
        more_params, more_tags = data.draw(params), data.draw(tags)
        writer.params(start.run_id, more_params)
        writer.tags(start.run_id, more_tags)
        for artifact in (found := data.draw(st.lists(artifacts, max_size=2))):
            writer.artifact(start.run_id, artifact)
        for verdict in (judged := data.draw(st.lists(verdicts, max_size=2))):
            writer.gate(start.run_id, verdict)
        channels = writer.channels(start.run_id, names := ("loss", "auc \U0001f600", "\ud800"))
        for at, value, step in logged:
            writer.append(channels[at], value, step)

        finished = writer.finish(start.run_id, end)
        live = next(run for run in store.reader().runs() if run.run_id == start.run_id)
        writer.close()  # the second run has not finished: the log stays
        recovered = next(run for run in store.recover() if run.run_id == start.run_id)
        sealed = next(run for run in store.reader().runs() if run.run_id == start.run_id)

        assert same(finished, live)
        assert same(finished, recovered)
        assert same(finished, sealed)
        assert finished.digest == rewritten(finished)
        assert finished.params == {clean(k): clean(v) for k, v in {**start.params, **more_params}.items()}
        assert finished.tags == {clean(k): clean(v) for k, v in {**start.tags, **more_tags}.items()}
        assert [item.name for item in finished.artifacts] == [clean(item.name) for item in found]
        assert repr([gate.bound for gate in finished.gates]) == repr(
            [None if gate.bound is None else float(gate.bound) for gate in judged]
        )
        assert (finished.status, finished.error) == (end.status, clean(end.error))
        assert finished.ended_us >= finished.started_us
        for at, name in enumerate(names):
            of_name = [(value, step) for channel, value, step in logged if channel == at]
            stepped = [(repr(value), step) for value, step in of_name if step is not None]
            assert repr(finished.metrics.get(clean(name))) == (repr(of_name[-1][0]) if of_name else "None")
            if of_name:
                series = store.reader().series(start.run_id, clean(name))
                assert list(zip(map(repr, series.values.tolist()), series.steps.tolist(), strict=True)) == stepped
        assert [finding for finding in verify_store(store) if finding.kind != "object"] == []
