"""Runs that leave fingerprints are compared step by step: ``pytest-mlrun diff`` says where they part, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun import open_store
from pytest_mlrun.cli import main
from pytest_mlrun.recorder.fingerprints import read_trace

Differ = Callable[..., "tuple[int, str]"]

SLOW = pytest.mark.slow
TRAINING = """
import os
import numpy as np, pytest

CASE = os.environ["CASE"]

@pytest.mark.mlrun(experiment="net", seed=5)
def test_net(mlrun):
    data = np.random.default_rng(0)
    X, w = data.normal(size=(120, 4)), np.zeros(4)
    y = X @ np.arange(4.0)
    if CASE == "cell":
        X[0, 2] += 1e-3
    step = 0
    for epoch in range(4):
        if CASE == "draw" and epoch == 2:
            np.random.rand()
        order = (mlrun.rng if CASE.startswith("own") else np.random).permutation(120)
        for at in range(0, 120, 10):
            rows = order[at:at + 10]
            mlrun.fingerprint("batch", {"X": X[rows], "y": y[rows]}, step)
            gradient = X[rows].T @ (X[rows] @ w - y[rows]) / 10 + (1e-12 if CASE == "kernel" and step >= 11 else 0)
            w = w - (0.0505 if CASE == "rate" and step >= 20 else 0.05) * gradient
            mlrun.fingerprint("weights", w, step)
            mlrun.log_metric("loss", float(np.mean((X[rows] @ w - y[rows]) ** 2)), step=step)
            step += 1
        if CASE == "own draw" and epoch == 0:
            mlrun.rng.random()
"""
TREES = """
import os
import lightgbm, numpy as np, pytest, pytest_mlrun

CASE = os.environ["CASE"]

@pytest.mark.mlrun(experiment="trees", seed=3)
def test_trees(mlrun):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(float)
    if CASE == "label":
        y[7] = 1 - y[7]
    rate = lightgbm.reset_parameter(learning_rate=lambda at: 0.11 if CASE == "rate" and at >= 5 else 0.1)
    params = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": mlrun.seed, "num_leaves": 7}
    callbacks = [pytest_mlrun.lightgbm.callback(mlrun, fingerprints=True), rate]
    lightgbm.train(params, lightgbm.Dataset(X, y), num_boost_round=9, callbacks=callbacks)
"""


@pytest.fixture
def differ(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Differ:
    """Return a function that records a case beside the plain one, and what diff says of both as JSON."""

    def differ(case: str, training: str = TRAINING) -> tuple[int, str]:
        pytester.makepyfile(training)
        for each in ("own" if case.startswith("own") else "plain", case):
            monkeypatch.setenv("CASE", each)
            pytester.runpytest("-q", "--mlrun").assert_outcomes(passed=1)
        name = open_store().runs()[0].name
        capsys.readouterr()
        code = main(["diff", f"{name}~1", name, "--json"])
        return code, capsys.readouterr().out

    return differ


@pytest.mark.parametrize(
    ("case", "step", "channels", "size", "likely"),
    [
        ("draw", 24, ["batch", "generators", "weights", "loss"], None, "randomness"),
        pytest.param("own draw", 12, ["batch", "generators", "weights", "loss"], None, "randomness", marks=SLOW),
        pytest.param("rate", 20, ["weights", "loss"], None, "arithmetic", marks=SLOW),
        pytest.param("cell", None, ["batch", "weights", "loss"], 1e-3, "data", marks=SLOW),
        pytest.param("kernel", 11, ["weights", "loss"], 1e-13, "arithmetic", marks=SLOW),
    ],
)
def test_the_injected_difference_is_found_at_its_step_and_named(  # one argument a column of the table
    differ: Differ, case: str, step: int | None, channels: list[str], size: float | None, likely: str
) -> None:
    code, out = differ(case)

    line = json.loads(out.splitlines()[-1])
    assert code == 1
    assert (line["pillar"], line["channels"], line["likely"]) == ("fingerprints", channels, likely)
    assert line["part_at"] == step or (step is None and 0 <= line["part_at"] < 12)
    assert size is None or line["size"] == pytest.approx(size, rel=0.4)
    assert line["sentence"].startswith(f"same until step {line['part_at'] - 1}; then: {channels[0]} (by ")


@pytest.mark.slow
@pytest.mark.parametrize("training", [TRAINING, TREES], ids=["net", "trees"])
def test_a_repeat_agrees_in_every_fingerprint(
    differ: Differ, capsys: pytest.CaptureFixture[str], training: str
) -> None:
    code, out = differ("repeat", training)

    assert (code, out) == (0, "")
    name = open_store().runs()[0].name
    assert main(["diff", f"{name}~1", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("environment, randomness, code, fingerprints are equal")


@pytest.mark.slow
@pytest.mark.parametrize(("case", "step"), [("label", 0), ("rate", 5)])
def test_the_first_tree_that_differs_is_found_where_no_metric_tells(differ: Differ, case: str, step: int) -> None:
    code, out = differ(case, TREES)

    (line,) = [json.loads(text) for text in out.splitlines()]
    assert code == 1
    assert (line["part_at"], line["channels"], line["likely"]) == (step, ["trees"], "unclear")
    assert line["size"] > 0


@pytest.mark.slow
def test_a_person_reads_where_runs_part_and_what_it_points_to(
    differ: Differ, capsys: pytest.CaptureFixture[str]
) -> None:
    differ("kernel")

    main(["diff", "test_net~1", "test_net"])

    lines = capsys.readouterr().out.splitlines()
    at = lines.index("where they part")
    assert lines[at + 1].startswith("  same until step 10; then: weights (by ")
    assert lines[at + 1].endswith("loss → arithmetic: code, settings or environment, for data and draws agree")
    assert lines[-1].startswith("no difference in ")


@pytest.mark.slow
def test_a_killed_training_keeps_its_fingerprints_in_batches(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, signal
        import numpy.random
        def test_killed(mlrun):
            for step in range(300):
                mlrun.fingerprint("weights", [float(step)], step)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    pytester.runpytest_subprocess("--mlrun", "-p", "no:cacheprovider")

    assert main(["runs"]) == 0  # seals what the dead process left
    reader = open_store()
    (run,) = reader.runs()
    trace = read_trace(run, reader)
    # Three marks a step, two of them of generators: the first batch was full with step 170.
    assert run.status == "orphaned"
    assert sorted(trace.fingerprints["weights"]) == list(range(171))
    assert trace.fingerprints["weights"][9].sketch != trace.fingerprints["weights"][10].sketch


@pytest.mark.slow
def test_a_long_training_keeps_every_step_first_and_then_ever_fewer(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_long(mlrun):
            for step in [0, 999, 1000, 1001, 1002, 4000, 4001, 4008]:
                mlrun.fingerprint("weights", [float(step)], step)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    reader = open_store()
    (run,) = reader.runs()
    assert list(read_trace(run, reader).fingerprints["weights"]) == [0, 999, 1000, 1002, 4000, 4008]


def test_mistakes_are_said_in_one_sentence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        r"""
        import pytest
        from pytest_mlrun import ArtifactError, MetricError, NamingError

        def test_it(mlrun):
            with pytest.raises(ArtifactError, match=r"^fingerprint 'w' takes arrays of numbers or texts, found <"):
                mlrun.fingerprint("w", object(), 1)
            with pytest.raises(NamingError, match=r"^the name of a fingerprint must be text, found '' \(str\)"):
                mlrun.fingerprint("", [1.0], 1)
            for step in (1.5, True, -1, "1"):
                with pytest.raises(MetricError, match=r"^the step of fingerprint 'w' must be a whole number"):
                    mlrun.fingerprint("w", [1.0], step)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)


@pytest.mark.slow
def test_fingerprints_that_cannot_be_read_are_left_out_and_said(
    differ: Differ, capsys: pytest.CaptureFixture[str]
) -> None:
    differ("rate")
    run = open_store().runs()[-1]
    digest = next(artifact.digest for artifact in run.artifacts if artifact.role == "fingerprints")[7:]
    (Path(".pytest_mlrun") / "objects" / digest[:2] / digest[2:]).unlink()
    capsys.readouterr()

    code = main(["diff", "test_net~1", "test_net"])

    captured = capsys.readouterr()
    assert code == 1
    assert "where they part" not in captured.out
    assert f"warning: fingerprints of {run.short_id} are not compared: " in captured.err
