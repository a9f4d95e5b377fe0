"""The benchmarks of queries, short runs and hashing: what is filled, what the reports say. Nothing here is timed."""
# ruff: noqa: E402 - the folder of the benchmarks may not be on the import path yet

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed wheel stays the one that is tested

from benchmarks import hashing, query, short_runs
from benchmarks.fill import CURVE_STEPS, METRICS, describe_run, fill_series, run_id
from benchmarks.searches import LIMIT, NAMES, OURS, best_of, load_search
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store


def test_ids_of_filled_runs_differ_and_sort_by_number() -> None:
    ids = [run_id(number) for number in (0, 1, 2, 65_535, 65_536, 999_999)]

    assert ids == sorted(set(ids))
    assert len({text[-8:] for text in ids}) == len(ids)


def test_a_filled_store_is_intact_and_gives_the_right_answer(tmp_path: Path) -> None:
    search = load_search(OURS)

    search.fill(tmp_path / "store", 200)

    assert search.open(tmp_path / "store")() == best_of(map(describe_run, range(200)))
    assert list(verify_store(Store.open(tmp_path / "store"))) == []


def test_filled_series_are_intact(tmp_path: Path) -> None:
    fill_series(tmp_path / "store", 2 * METRICS * CURVE_STEPS)

    assert list(verify_store(Store.open(tmp_path / "store"))) == []
    assert len(Reader(tmp_path / "store").series(run_id(1), "m3")) == CURVE_STEPS


def test_the_best_are_those_that_satisfy_the_constraint() -> None:
    runs = [describe_run(number) for number in range(500)]

    best = best_of(runs)

    assert len(best) == LIMIT
    values = [runs[number].metrics["m0"] for number in best]
    assert values == sorted(values, reverse=True)
    assert all(runs[number].metrics["m1"] >= 0.5 for number in best)
    assert not any(
        run.metrics["m0"] > values[-1] and run.metrics["m1"] >= 0.5 for run in runs if run.number not in best
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_searched_tracker_is_described_without_being_imported(name: str) -> None:
    assert load_search(name).title


def timing(name: str, runs: int, *, cold_ms: float, warm_ms: float) -> query.Timing:
    return query.Timing(runs, name, name, cold_ms=[cold_ms], first_ms=[1.0], warm_ms=[warm_ms])


def test_the_goals_of_queries_are_judged_by_medians() -> None:
    lines = query.judge([
        timing(OURS, 1_000_000, cold_ms=401, warm_ms=25),
        timing(OURS, 10_000, cold_ms=100, warm_ms=9),
        timing("trackio", 10_000, cold_ms=299, warm_ms=9),
        timing("mlflow", 10_000, cold_ms=900, warm_ms=9),
        timing("history", 50_000_000, cold_ms=100, warm_ms=5.1),
    ])  # fmt: skip

    assert lines == [
        "- NOT MET: 1,000,000 runs, cold process, at most 400 ms: 401 ms",
        "- met: 1,000,000 runs, warm, at most 25 ms: 25.0 ms",
        "- met: 10,000 runs, cold process, at most 250 ms: 100 ms",
        "- NOT MET: one series among 50,000,000 points, warm, at most 5 ms: 5.10 ms",
        "- NOT MET: 10,000 runs, cold process, at least 3 x the fastest peer: 2.99 x (trackio)",
    ]


def test_a_tracker_that_failed_stays_in_the_table_and_says_so() -> None:
    text = query.render([query.Timing(10, "mlflow", "MLflow", status="not installed")])

    assert "| MLflow |             10 | not installed |" in text


def test_the_goals_of_short_runs_are_judged_by_medians() -> None:
    ours = short_runs.Timing(OURS, "ours", run_ms=[1.0, 1.1, 9.0], crowd_ms=[1.6])
    other = short_runs.Timing("trackio", "Trackio", run_ms=[5.5], crowd_ms=[9.0])

    assert short_runs.judge([ours, other], 0.1) == [
        "- met: a durable run, at most one fdatasync (0.100 ms) and 1 ms: 1.10 ms",
        "- met: at least 5 x faster than the fastest peer with a local query: 5.00 x (Trackio)",
        "- NOT MET: 8 processes at once, at most 1.5 ms a run: 1.60 ms",
    ]


def test_the_goals_of_hashing_are_judged_by_medians() -> None:
    times = {"large: sha256sum, one a core": [80.0], "large: ours": [100.0], "many, unchanged: ours": [100.0]}

    assert hashing.judge(times, 10_000) == [
        "- NOT MET: large files at least 0.9 x as fast as one sha256sum a core: 0.800 x",
        "- met: 10,000 unchanged files again, at most 100 ms: 100 ms",
    ]


def test_files_to_hash_have_the_size_asked_for_and_differ(tmp_path: Path) -> None:
    folder = hashing.make_files(tmp_path / "data", 3, 5_000)

    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert [len(content) for content in contents] == [5_000] * 3
    assert len(set(contents)) == 3
