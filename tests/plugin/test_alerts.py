"""A gate that begins to fail is told once, and not again every night."""

from __future__ import annotations

import json

import pytest

CONFTEST = """
import json

def pytest_mlrun_gate_failed(config, run, verdict, episode):
    line = {"case": run.case, "metric": verdict.metric, "key": episode.key, "previous": episode.previous}
    with open(config.rootpath / "alerts.jsonl", "a") as file:
        file.write(json.dumps(line) + "\\n")
"""
TEST = """
import numpy as np
import pytest

@pytest.mark.mlrun(experiment="night", floors={"val_accuracy": 0.9, "by_hand": 0.5})
@pytest.mark.parametrize("market", ["de", "es"])
def test_market(mlrun, market):
    wrong = WRONG if market == "es" else 0
    truth = np.arange(50) % 2
    mlrun.evaluate("val", truth, np.where(np.arange(50) < wrong, 1 - truth, truth), metrics=["accuracy"])
    mlrun.log_metric("by_hand", 0.4 if wrong else 0.6)
"""


def night(pytester: pytest.Pytester, *, wrong: int, options: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Train once, and return the alerts so far."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TEST.replace("WRONG", str(wrong)))
    pytester.runpytest("--mlrun", *options).assert_outcomes(passed=1 + (not wrong), failed=int(bool(wrong)))
    file = pytester.path / "alerts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_gate_that_fails_night_after_night_is_told_once(pytester: pytest.Pytester) -> None:
    first = night(pytester, wrong=20)

    second = night(pytester, wrong=20)

    assert [(line["case"], line["metric"]) for line in first] == [("es", "val_accuracy"), ("es", "by_hand")]
    assert first[0]["previous"] == ""
    assert second == first


@pytest.mark.slow
def test_a_gate_that_held_or_judged_another_model_opens_another_episode(pytester: pytest.Pytester) -> None:
    night(pytester, wrong=20)
    night(pytester, wrong=0)

    again = night(pytester, wrong=20)
    other = night(pytester, wrong=30)

    assert [line["metric"] for line in again[2:]] == ["val_accuracy", "by_hand"]
    assert again[2]["key"] == again[0]["key"]
    assert again[2]["previous"]
    # What was logged by hand has neither rows nor a model: its episode goes on.
    assert [line["metric"] for line in other[4:]] == ["val_accuracy"]
    assert other[4]["key"] != again[0]["key"]


@pytest.mark.slow
def test_workers_leave_the_alert_to_their_controller(pytester: pytest.Pytester) -> None:
    first = night(pytester, wrong=20, options=("-p", "xdist", "-n", "2"))
    second = night(pytester, wrong=20, options=("-p", "xdist", "-n", "2"))

    assert [line["metric"] for line in first] == ["val_accuracy", "by_hand"]
    assert second == first


def test_a_hook_that_raises_fails_the_session_and_no_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_mlrun_gate_failed(run): raise OSError('no network')")
    pytester.makepyfile(test_it=TEST.replace("WRONG", "20").replace(', "by_hand": 0.5', ""))

    result = pytester.runpytest("--mlrun", "-k", "es")

    result.stdout.fnmatch_lines(["pytest_mlrun_gate_failed raised OSError: no network", "*correct the hook"])
