"""Runs that were sealed apart and compacted look exactly as if they had been sealed together."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import compute_run_digest, compute_series_digests
from pytest_mlrun.store.layout import list_segments
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.segment import build_runs, open_segment, write_segment
from pytest_mlrun.store.series import write_series
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

names = st.sampled_from(["lr", "depth", "größe", "a.b/c", ""])
numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63, 0.5, -0.0, 1e300, True, False, None])
)
json_texts = (
    numbers.map(json.dumps) | st.sampled_from(['"x"', '"y"', '{"$f":"nan"}', "[1]", "no json"]) | st.text(max_size=3)
)
params = st.dictionaries(names, json_texts, max_size=3)
tags = st.dictionaries(names, st.sampled_from(["a", "ß", ""]), max_size=3)
metrics = st.dictionaries(names, st.floats(), max_size=3)
artifacts = st.lists(st.builds(Artifact, names, st.just("sha256:0"), st.integers(0, 9), names), max_size=2).map(tuple)
gates = st.lists(
    st.builds(
        Verdict, st.just("floor"), names, st.just("PASS"), calibrated=st.booleans(), estimate=st.none() | st.floats()
    ),
    max_size=2,
).map(tuple)
curves = st.dictionaries(names, st.lists(st.tuples(st.integers(0, 9), st.floats()), min_size=1, max_size=3), max_size=2)

Curves = dict[str, list[tuple[int, float]]]


@st.composite
def drawn_runs(draw: st.DrawFn) -> tuple[dict[str, object], Curves]:
    fields = {"params": params, "tags": tags, "metrics": metrics, "artifacts": artifacts, "gates": gates}
    return {name: draw(values) for name, values in fields.items()}, draw(curves)


def make_series(name: str, points: Sequence[tuple[int, float]]) -> Series:
    steps = np.array([step for step, _ in points], dtype=np.int64)
    values = np.array([value if value == value else np.nan for _, value in points], dtype=np.float64)  # noqa: PLR0124
    return Series(
        name, steps, steps * 1000, values, compute_series_digests(steps, steps * 1000, values, [len(steps)])[0]
    )


def make_run(number: int, content: dict[str, object], series: dict[str, Series]) -> RunRecord:
    digests = {name: series[name].digest for name in sorted(series)}
    ordered = {
        name: dict(sorted(value.items())) if isinstance(value, dict) else value for name, value in content.items()
    }
    record = RunRecord(
        run_id=f"{number:08x}-0000-7000-8000-000000000000",
        session_id="s",
        experiment="e",
        name=f"run-{number}",
        test="t",
        case="",
        attempt=1,
        parent_id=None if number % 2 else "p",
        status="finished" if number % 3 else "failed",
        outcome="passed",
        cause="",
        cause_detail="",
        error="",
        started_us=number * 7 % 5,
        ended_us=9,
        **{"params": {}, "metrics": {}, "tags": {}, "context": {}, "artifacts": (), "gates": (), **ordered},  # type: ignore[arg-type]
        series=digests,
    )
    return replace(record, digest=compute_run_digest(record))


def write_apart(store: Store, parts: Sequence[Sequence[tuple[RunRecord, dict[str, Series]]]]) -> None:
    for part in parts:
        name = new_id()
        runs = sorted(part, key=lambda pair: pair[0].run_id)
        points = [(run.run_id, series[metric]) for run, series in runs for metric in sorted(series)]
        written = write_series(store.path / "pts" / f"{name}.arrow", points)
        write_segment(
            store.path / "seg" / f"{name}.arrow",
            [run for run, _ in runs],
            replaces=(f"log:{name}",),
            series=(name,) if written else (),
        )


def describe(batches: Sequence[pa.RecordBatch]) -> tuple[object, ...]:
    table = pa.Table.from_batches(list(batches))
    content = json.loads(table.schema.metadata[b"mlrun"])
    facts = {name: content[name] for name in ("v", "complete", "stats")}
    columns = [(field.name, str(field.type), field.nullable, field.metadata) for field in table.schema]
    return facts, columns, [repr(table.column(name).to_pylist()) for name in table.schema.names]


def check_equal_to_together(parts: Sequence[Sequence[tuple[dict[str, object], Curves]]]) -> None:
    numbered = [(part, content, curve) for part, runs in enumerate(parts) for content, curve in runs]
    made: list[list[tuple[RunRecord, dict[str, Series]]]] = [[] for _ in parts]
    for at, (part, content, curve) in enumerate(numbered):
        series = {name: make_series(name, points) for name, points in curve.items()}
        made[part].append((make_run(at * 5 % len(numbered) if len(numbered) % 5 else at, content, series), series))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "store", create=True)
        write_apart(store, made)
        runs = sorted((run for part in made for run, _ in part), key=lambda run: run.run_id)

        done = store.compact()

        assert done is not None
        assert (done.after.segments, done.rewritten, done.quarantined) == (1, len(parts), ())
        segment = open_segment(store.path / "seg" / f"{list_segments(store.path)[0]}.arrow")
        assert segment.intact
        assert describe(segment.batches) == describe(build_runs(runs))
        assert [found for found in verify_store(store) if found.kind != "object"] == []
        reader = store.reader()
        for part_runs in made:
            for run, series in part_runs:
                for name, expected in series.items():
                    found = reader.series(run.run_id, name)
                    assert (found.steps.tolist(), repr(found.values.tolist())) == (
                        expected.steps.tolist(),
                        repr(expected.values.tolist()),
                    )


def wide(first: int, last: int, value: str) -> list[tuple[dict[str, object], Curves]]:
    return [({"params": {f"p{at:03}": value for at in range(first, last)}}, {})]


def mixed(*texts: str) -> list[tuple[dict[str, object], Curves]]:
    return [({"params": {"lr": text}}, {}) for text in texts]


@given(st.lists(st.lists(drawn_runs(), min_size=1, max_size=4), min_size=2, max_size=4))
@example([wide(0, 60, "1"), wide(30, 90, "0.5"), wide(0, 100, "1"), wide(50, 70, "9007199254740993")])
@example([wide(0, 70, "1"), wide(60, 130, "0.5"), wide(64, 70, '"x"')])
@example([mixed("1", "2"), mixed("0.5")])
@example([mixed("1", "9007199254740993"), mixed("0.5")])
@example([mixed("true"), mixed("1")])
@example([mixed("1", '"x"'), mixed("1"), mixed('{"$f":"nan"}')])
@settings(max_examples=40, deadline=None)
def test_compacted_runs_look_as_if_they_had_been_sealed_together(
    parts: list[list[tuple[dict[str, object], Curves]]],
) -> None:
    check_equal_to_together(parts)
