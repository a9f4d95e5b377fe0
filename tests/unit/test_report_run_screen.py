"""One screen says what a run was, how it ended and what it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

import pytest

from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.report.run_screen import render_run
from pytest_mlrun.report.table import text_width
from pytest_mlrun.rules.gates import judge_floor

MakeRun = Callable[..., RunRecord]
FACTS = {
    "code.commit": "3f2a91c0d4e5b6a798",
    "code.branch": "main",
    "code.dirty": True,
    "code.patch": "sha256:" + "5f3a91c0" * 8,
    "data.churn.digest": "sha256:" + "0b77c2de" * 8,
    "data.churn.source": "data/churn.csv",
    "data.churn.files": 1,
    "data.churn.bytes": 1_203_994,
    "env.python": "3.11.7",
    "env.lock": None,
    "env.distributions": 83,
    "rand.seed": 42,
    "rand.seed_source": "marker",
    "rand.hash_seed": "0",
    "rand.pinned": ["numpy", "random"],
    "who.user": "ada",
    "host.name": "trainer-7",
    "host.cores": 8,
    "host.memory_bytes": 33_500_000_000,
    "worker": "gw1",
    "ci.provider": "github",
    "ci.job": "nightly",
}


def _render(
    run: RunRecord,
    *,
    points: Mapping[str, Sequence[float]] | None = None,
    width: int | None = 120,
    verbose: bool = False,
) -> list[str]:
    return [text for text, _ in render_run(run, points or {}, width=width, now_us=run.ended_us, verbose=verbose)]


def _context(facts: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in facts.items()}


def test_the_first_lines_say_who_and_how_it_ended(make_run: MakeRun) -> None:
    run = make_run(
        "gbm",
        status="failed",
        outcome="failed",
        cause="nan",
        cause_detail="loss at step 9",
        error="E   ValueError: X contains NaN.\n",
        case="0.1-16",
        digest="sha256:ab",
    )

    lines = _render(run)

    assert lines[0] == "gbm"
    assert lines[1].startswith("failed: nan  ·  loss at step 9  ·  experiment churn  ·  started ")
    assert lines[1].endswith("  ·  took 1.5 s")
    assert lines[2:6] == [
        "error        ValueError: X contains NaN.",
        f"run          {run.run_id}",
        "digest       sha256:ab",
        "test         tests/test_sweep.py::test_sweep[0.1-16]",
    ]


def test_a_gate_failure_is_told_apart_from_a_training_that_broke(make_run: MakeRun) -> None:
    completed = _render(make_run(outcome="failed", cause="gate"))
    broken = _render(make_run(status="failed", outcome="failed", cause="gate"))

    assert completed[1].startswith("failed: gate  ·  finished  ·  ")
    assert broken[1].startswith("failed: gate  ·  experiment")


def test_the_pillars_stand_one_a_line(make_run: MakeRun) -> None:
    lines = _render(make_run(context=_context(FACTS)))

    assert "code         3f2a91c0d4  ·  main  ·  DIRTY, patch sha256:5f3a91c0…" in lines
    assert "data         churn  ·  sha256:0b77c2de…  ·  data/churn.csv  ·  1 file  ·  1.2 MB" in lines
    assert "environment  Python 3.11.7  ·  no lock file  ·  83 distributions" in lines
    assert "randomness   seed 42 (marker)  ·  hash seed 0  ·  pinned: numpy, random" in lines
    assert "machine      ada@trainer-7  ·  8 cores  ·  33.5 GB memory  ·  worker gw1" in lines
    assert "CI           github  ·  nightly" in lines


def test_what_is_not_known_is_said(make_run: MakeRun) -> None:
    lines = _render(make_run())

    assert [line.split(maxsplit=1) for line in lines[-5:]] == [
        ["code", "unknown"],
        ["data", "none named"],
        ["environment", "unknown"],
        ["randomness", "unknown"],
        ["machine", "unknown"],
    ]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"code.commit": "abc", "code.dirty": False}, "code         abc  ·  clean"),
        ({"code.commit": "abc"}, "code         abc  ·  unknown whether clean"),
        ({"code.vcs": "none", "code.tree": "sha256:0123456789"}, "code         no commit, tree sha256:01234567…"),
        ({"rand.hash_seed": None, "rand.seed": 1}, "randomness   seed 1  ·  hash seed not fixed"),
        ({"pinned": False, "rand.seed": 1}, "randomness   seed 1  ·  NOT PINNED: recorded outside pytest"),
    ],
)
def test_a_weak_pillar_is_named(make_run: MakeRun, facts: dict[str, object], line: str) -> None:
    assert line in _render(make_run(context=_context(facts)))


def test_a_series_has_its_curve_and_its_range(make_run: MakeRun) -> None:
    run = make_run(metrics={"auc": 0.9, "loss": math.nan}, series={"loss": "4:sha256:ab"})

    lines = _render(run, points={"loss": [3.0, 2.0, 1.0, math.nan]})

    assert "  auc   0.9" in lines
    assert "  loss  nan  4 points  █▅▁x  min 1  max 3  1 not finite" in lines


def test_a_series_whose_points_are_lost_keeps_its_last_value(make_run: MakeRun) -> None:
    lines = _render(make_run(metrics={"loss": 0.5}, series={"loss": "4:sha256:ab"}))

    assert "  loss  0.5  4 points" in lines


def test_gates_params_tags_and_artifacts_have_their_sections(make_run: MakeRun) -> None:
    run = make_run(
        params={"lr": "0.1", "model": '{"$callable":"m.fit"}'},
        tags={"stage": "sweep"},
        gates=(judge_floor("auc", 0.8, 0.83), judge_floor("f1", 0.8, 0.5)),
        artifacts=(
            Artifact("m.skops", "sha256:" + "ab" * 32, 4800, role="model"),
            Artifact("m.pickle", "sha256:" + "cd" * 32, 42, role="model", unsafe=True),
        ),
    )

    text = "\n".join(_render(run))

    assert "params\n  lr     0.1\n  model  fit\n" in text
    assert "tags\n  stage = sweep" in text
    assert (
        "gates\n  FAIL  auc floor | this model | auc 0.8 < 0.83\n  PASS  f1 floor | this model | f1 0.8 >= 0.5\n"
        in text
    )
    assert text.count("UNCALIBRATED") == 1
    assert "artifacts\n  m.skops   4.8 kB  sha256:abababab…  model\n" in text
    assert "  m.pickle    42 B  sha256:cdcdcdcd…  model  UNSAFE to load" in text


def test_an_estimator_is_shown_with_every_param_however_narrow_the_terminal(make_run: MakeRun) -> None:
    params = {f"param_{number}": number for number in range(20)}
    text = json.dumps({"$estimator": "sklearn.linear_model.Ridge", "params": params, "given": ["param_1"]})

    lines = _render(make_run(params={"model": text}), width=60)

    shown = " ".join(line.strip() for line in lines)
    assert "Ridge(" + ", ".join(f"param_{number}={number}" for number in range(20)) + ")" in shown
    assert [line for line in lines if text_width(line) > 60 and "param_" in line] == []


def test_verbose_adds_the_traceback_and_the_context(make_run: MakeRun) -> None:
    run = make_run(context={"code.vcs": '"git"'}, error="line one\nline two\n", outcome="failed")

    text = "\n".join(_render(run, verbose=True))

    assert 'context\n  code.vcs = "git"' in text
    assert "traceback\n  line one\n  line two" in text
    assert "traceback" not in "\n".join(_render(run))


def test_a_child_names_its_parent_and_a_running_run_has_no_digest(make_run: MakeRun) -> None:
    lines = _render(make_run(parent_id="p-1", status="running", outcome="", attempt=2))

    assert lines[0] == "run (attempt 2)"
    assert "digest       none: not finished" in lines
    assert "parent       p-1" in lines


def test_a_narrow_terminal_gets_more_lines_not_fewer_facts(make_run: MakeRun) -> None:
    run = make_run(context=_context(FACTS), gates=(judge_floor("auc", 0.8, 0.83),))

    lines = _render(run, width=60)

    assert all(text_width(line) <= 60 for line in lines if "sha256" not in line)
    assert "trainer-7" in " ".join(lines)
    assert "nightly" in " ".join(lines)
