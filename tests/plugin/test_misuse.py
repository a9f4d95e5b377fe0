"""A call with arguments of the wrong kind fails in the user's line, with one sentence and what to write instead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_mlrun
from pytest_mlrun.errors import ArtifactError, DataError, MetricError, MlrunError, NamingError, ParamError

Case = tuple[str, type[MlrunError], str]

CASES: tuple[Case, ...] = (
    ("log_metric([1], 2)", MetricError, "metric name [1] must be text"),
    ("log_metric(None, 2)", MetricError, "metric name None must be text"),
    ('log_metric("", 2)', MetricError, "metric name '' must have 1 to 250 characters, found 0"),
    ('log_metric("a", "x")', MetricError, "metric 'a' is not a number: 'x' (str)"),
    ('log_metric("a", [1, 2])', MetricError, "metric 'a' is not a number: [1, 2] (list)"),
    ('log_metric("a", None)', MetricError, "metric 'a' is not a number: None (NoneType)"),
    ('log_metric("a", 10**400)', MetricError, f"metric 'a' is not a number: 1{'0' * 59}… (int)"),
    ('log_metric("a", 10**5000)', MetricError, "metric 'a' is not a number: … (int)"),
    ('log_metric("a", 1, step="x")', MetricError, "a metric's step must be a 64-bit integer, found 'x'"),
    ('log_metric("a", 1.0, step=0.5)', MetricError, "a metric's step must be a 64-bit integer, found 0.5"),
    ('log_metrics([("a", 1)])', MetricError, "metrics must be a mapping of names, found [('a', 1)] (list)"),
    ("log_metrics(None)", MetricError, "metrics must be a mapping of names, found None (NoneType)"),
    ("log_metrics({3: 1.0})", MetricError, "metric name 3 must be text"),
    ('log_metrics({"a": "x"})', MetricError, "metric 'a' is not a number: 'x' (str)"),
    ("log_param(3, 1)", NamingError, "the name of a param must be text, found 3 (int)"),
    ("log_param([1], 1)", NamingError, "the name of a param must be text, found [1] (list)"),
    ('log_params("a")', ParamError, "params must be a mapping of names, found 'a' (str)"),
    ('log_params([("a", 1)])', ParamError, "params must be a mapping of names, found [('a', 1)] (list)"),
    ("set_tag(1, 2)", NamingError, "the name of a tag must be text, found 1 (int)"),
    ('set_tag([1], "x")', NamingError, "the name of a tag must be text, found [1] (list)"),
    ('set_tag("a", None)', NamingError, "the value of tag 'a' must be text, found None (NoneType)"),
    ('set_tag("a", ["b"])', NamingError, "the value of tag 'a' must be text, found ['b'] (list)"),
    ('set_tags([("a", "b")])', NamingError, "tags must be a mapping of names, found [('a', 'b')] (list)"),
    ("log_artifact(None)", ArtifactError, "log_artifact takes the path of a file, found None (NoneType)"),
    ("log_artifact(__file__, 3)", ArtifactError, "the name of an artifact must be text, found 3 (int)"),
    ('log_dict(3, "a.json")', ArtifactError, "log_dict takes a mapping or a list, found 3 (int)"),
    ('log_dict({"a": 1}, None)', ArtifactError, "the name of an artifact must be text, found None (NoneType)"),
    ('log_text(3, "a.txt")', ArtifactError, "log_text takes text, found 3 (int)"),
    ('log_text("a", 3)', ArtifactError, "the name of an artifact must be text, found 3 (int)"),
    ("log_table(3)", ArtifactError, "not a table: int has no columns"),
    ('log_table({"a": [1]}, 3)', ArtifactError, "the name of an artifact must be text, found 3 (int)"),
    ("log_figure(3)", ArtifactError, "not a figure: int has no savefig"),
    ("log_model(None)", ArtifactError, "log_model takes a fitted model, found None"),
    ("log_split()", DataError, "log_split was given no split"),
    ("log_split(train=3)", DataError, "split 'train' must list the identity of each row, found 3"),
    (
        'evaluate("val", [[0, 1], [1]], [0.1, 0.2], metrics=["rmse"])',
        MetricError,
        "y_true must have one entry a row, found rows of different lengths",
    ),
    (
        'evaluate("val", [0, 1], [[0.1], [0.2, 0.3]], metrics=["rmse"])',
        MetricError,
        "y_pred_or_score must have one entry a row, found rows of different lengths",
    ),
    ('evaluate("val", 3, 4, metrics=["rmse"])', MetricError, "y_true must have one entry a row, found 3 (int)"),
    ('evaluate("val", [0], [1], metrics=[3])', MetricError, "the name of a metric must be text, found 3 (int)"),
    ('evaluate("val", [0], [1], metrics=None)', MetricError, "metrics must be names, found None (NoneType)"),
    ('evaluate(None, [0], [1], metrics="mae")', MetricError, "the name of a split must be text, found None (NoneType)"),
    (
        'evaluate("val", [0, 1], [0, 1], metrics=["accuracy"], row_ids=3)',
        MetricError,
        "row_ids must have one entry a row, found 3 (int)",
    ),
    (
        'evaluate("val", [0, 1], [0, 1], metrics=["accuracy"], threshold="x")',
        MetricError,
        "threshold must be a number, found 'x' (str)",
    ),
    (
        'evaluate("val", [0, 1], [0, 1], metrics=["accuracy"], labels=3)',
        MetricError,
        "labels must be the classes, found 3 (int)",
    ),
    ('assert_floor("auc", "0.9")', MetricError, "the floor of 'auc' must be a finite number, found '0.9'"),
    ('assert_ceiling("auc", "0.9")', MetricError, "the ceiling of 'auc' must be a finite number, found '0.9'"),
    ('assert_floor("auc")', MetricError, "the gate on 'auc' has no bound"),
    ("assert_floor(3, 0.9)", MetricError, "the metric of a floor must be text, found 3 (int)"),
    ('assert_floor(["auc"], 0.9)', MetricError, "the metric of a floor must be text, found ['auc'] (list)"),
    ("assert_floor({3: 0.9})", MetricError, "the metric of a floor must be text, found 3 (int)"),
    ("assert_all(3)", MetricError, "not a gate: 3 (int)"),
    ('judge("auc")', MetricError, "not a gate: 'auc' (str)"),
    ('seeds("3").__next__()', ParamError, "the number of seeds must be a whole number from 1 on, found '3' (str)"),
    ("seeds(0).__next__()", ParamError, "the number of seeds must be a whole number from 1 on, found 0 (int)"),
    ("data[3]", DataError, "the name of a snapshot must be text, found 3 (int)"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest_mlrun.Run]:
    folder = tmp_path_factory.mktemp("misuse")
    with pytest_mlrun.record(experiment="misuse", store=folder / "store") as run:
        run.log_metric("auc", 0.95)
        yield run


@pytest.mark.parametrize(("call", "error", "headline"), CASES, ids=[case[0] for case in CASES])
def test_an_argument_of_the_wrong_kind_is_one_sentence(
    run: pytest_mlrun.Run, call: str, error: type[MlrunError], headline: str
) -> None:
    with pytest.raises(error) as caught:
        eval(f"run.{call}", {"run": run, "__file__": __file__})

    assert caught.value.headline == headline
    assert caught.value.next_step != ""


def test_every_such_call_fails_in_the_users_own_line(pytester: pytest.Pytester) -> None:
    tests = [f"def test_{at}(mlrun):\n    mlrun.{call}\n" for at, (call, _, _) in enumerate(CASES)]
    path = pytester.makepyfile("\n".join(tests))

    result = pytester.runpytest_inprocess("--mlrun", "--tb=short", "-p", "no:cacheprovider")

    result.assert_outcomes(failed=len(CASES))
    for at, (call, error, headline) in enumerate(CASES):
        result.stdout.fnmatch_lines([f"{path.name}:{at * 3 + 2}: in test_{at}"])
        assert f"    mlrun.{call}" in result.outlines
        assert f"E   pytest_mlrun.{error.__name__}: {headline}" in result.outlines
    ours = str(Path(pytest_mlrun.__file__).parent) + os.sep
    assert not [line for line in result.outlines if ours in line or "pytest_mlrun/" in line.replace(path.name, "")]


def test_an_unknown_or_missing_argument_of_log_metric_reads_as_that_of_the_method(run: pytest_mlrun.Run) -> None:
    with pytest.raises(TypeError, match=r"^Run\.log_metric\(\) missing 1 required positional argument: 'value'$"):
        eval('run.log_metric("auc")', {"run": run})


def test_a_metric_name_of_the_wrong_kind_is_refused_where_ranges_are_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlrun.toml").write_text("[metrics.auc]\nrange = [0, 1]\n")
    monkeypatch.chdir(tmp_path)

    with pytest_mlrun.record(experiment="ranged") as run, pytest.raises(MetricError, match="must be text"):
        eval("run.log_metric([1], 2)", {"run": run})
