"""What a test logs is what the store holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pytest_mlrun

if TYPE_CHECKING:
    from tests.conftest import Runs


def test_the_four_layers_of_a_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(experiment="churn", seed=42, tags={"team": "risk"})
        @pytest.mark.parametrize("depth", [3])
        @pytest.mark.parametrize("loss", ["log"])
        def test_sweep(mlrun, depth, loss):
            mlrun.log_params({"rounds": 10, "shrink": True})
            mlrun.log_metric("auc", 0.75)
            for step in range(3):
                mlrun.log_metrics({"train_loss": 1.0 - step / 10}, step=step)
            mlrun.set_tag("note", "first")
            mlrun.log_text("hello", "notes/hello.txt")
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert (run.experiment, run.name, run.case) == ("churn", "test_sweep[log-3]", "log-3")
    assert run.test == "test_the_four_layers_of_a_run.py::test_sweep"
    assert {name: json.loads(text) for name, text in run.params.items()} == {
        "depth": 3,
        "loss": "log",
        "rounds": 10,
        "shrink": True,
    }
    assert dict(run.metrics) == {"auc": 0.75, "train_loss": 0.8}
    assert dict(run.tags) == {"team": "risk", "note": "first"}
    assert "notes/hello.txt" in {artifact.name for artifact in run.artifacts}
    assert run.digest.startswith("sha256:")


def test_the_context_holds_who_when_where_and_how(
    pytester: pytest.Pytester, stored_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_SHA", "f" * 40)
    monkeypatch.setenv("MY_SECRET", "hunter2")
    pytester.makepyfile("def test_run(mlrun): pass")

    pytester.runpytest("--mlrun", "-o", "junit_suite_name=token=hunter2")

    (run,) = stored_runs()
    context = {name: json.loads(text) for name, text in run.context.items()}
    assert {"who.user", "host.name", "host.cpu", "host.cores", "host.memory_bytes", "process.argv"} <= set(context)
    assert {"env.python", "env.digest", "rand.seed", "rand.pinned", "code.vcs"} <= set(context)
    assert context["ci.commit"] == "f" * 40
    assert context["time.wall_s"] >= 0
    assert context["memory.peak_bytes"] > 1_000_000
    assert "hunter2" not in json.dumps(context)


def test_a_param_is_written_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_run(mlrun):
            mlrun.log_param("depth", 3)
            mlrun.log_param("depth", 3)
            mlrun.log_param("depth", 4)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*mlrun.log_param*depth*4*", "E*ParamError: param 'depth' is 3 and cannot become 4"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [("1", 1.0), ("True", 1.0), ("float('inf')", float("inf")), ("__import__('numpy').float32(0.5)", 0.5)],
)
def test_numbers_of_every_kind_are_metrics(
    pytester: pytest.Pytester, stored_runs: Runs, value: str, kept: float
) -> None:
    pytester.makepyfile(f"def test_run(mlrun): mlrun.log_metric('x', {value})")

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    assert stored_runs()[0].metrics["x"] == kept


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("mlrun.log_metric('x', 'high')", "metric 'x' is not a number: 'high' (str)"),
        ("mlrun.log_metric('x', None)", "metric 'x' is not a number: None (NoneType)"),
        ("mlrun.log_metric('x', 1.0, step=0.5)", "a metric's step must be a 64-bit integer, found 0.5"),
        ("mlrun.log_metric('', 1.0)", "*name*"),
        ("mlrun.log_artifact('nothing.txt')", "artifact 'nothing.txt': no such file"),
        ("mlrun.log_text('x', '../up.txt')", "*'../up.txt'*"),
        ("mlrun.log_table(3)", "not a table: int has no columns"),
        ("mlrun.log_table({'a': [1]}, 'table.xls')", "table 'table.xls' needs a suffix that says its format"),
        ("mlrun.log_figure(3)", "not a figure: int has no savefig"),
        ("mlrun.log_dict({'a': object()}, 'a.json')", "artifact 'a.json' has no JSON form: object is not JSON"),
        ("mlrun.log_model(x for x in ())", "model generator cannot be stored*"),
        ("mlrun.data['churn']", "data 'churn' is not known: there is no mlrun.toml"),
        ("mlrun.assert_floor('x')", "the gate on 'x' has no bound"),
        ("mlrun.assert_all()", "assert_all was given no gate"),
    ],
)
def test_misuse_gets_one_clear_error_and_no_line_of_ours(pytester: pytest.Pytester, call: str, message: str) -> None:
    pytester.makepyfile(f"def test_run(mlrun):\n    {call}\n")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    escaped = message.replace("[", "[[]")
    result.stdout.fnmatch_lines([f"E*Error: {escaped}"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")


def test_artifacts_people_make(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import numpy as np
        from pathlib import Path
        from sklearn.linear_model import LinearRegression

        def test_run(mlrun):
            import matplotlib
            matplotlib.use("Agg")
            from matplotlib.figure import Figure
            figure = Figure()
            figure.add_subplot().plot([1, 2])
            (mlrun.tmp_path / "folder").mkdir()
            (mlrun.tmp_path / "folder" / "a.csv").write_text("x")
            mlrun.log_figure(figure, "curve.png")
            mlrun.log_table({"a": np.arange(3), "b": ["x", "y", "z"]}, "rows.parquet")
            mlrun.log_table([{"a": 1}, {"a": 2}], "rows.csv")
            mlrun.log_dict({"a": np.float64(1.5), "b": np.arange(2)}, "facts.json")
            mlrun.log_artifact(mlrun.tmp_path / "folder", "outputs")
            mlrun.log_model(LinearRegression().fit([[0], [1]], [0, 1]))
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    store = pytest_mlrun.open_store(pytester.path / ".pytest_mlrun")
    (run,) = store.runs()
    artifacts = {artifact.name: artifact for artifact in run.artifacts}
    assert artifacts["curve.png"].media_type == "image/png"
    assert artifacts["rows.parquet"].role == "table"
    assert (artifacts["model.skops"].role, artifacts["model.skops"].unsafe) == ("model", False)
    assert store.read_artifact(run, "facts.json") == b'{\n  "a": 1.5,\n  "b": [\n    0,\n    1\n  ]\n}'
    assert store.read_artifact(run, "outputs/a.csv") == b"x"
    assert store.read_artifact(run, "curve.png").startswith(b"\x89PNG")


def test_evaluate_logs_the_metrics_and_keeps_the_rows(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_run(mlrun):
            scores = mlrun.evaluate(
                "val", [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], metrics=["roc_auc", "accuracy"], row_ids=[10, 11, 12, 13]
            )
            assert scores == {"roc_auc": 0.75, "accuracy": 0.5}
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    import pyarrow as pa

    store = pytest_mlrun.open_store(pytester.path / ".pytest_mlrun")
    (run,) = store.runs()
    predictions = pa.ipc.open_file(store.read_artifact(run, "predictions/val.arrow")).read_all()
    labels = pa.ipc.open_file(store.read_artifact(run, "labels/val.arrow")).read_all()
    assert dict(run.metrics) == {"val_roc_auc": 0.75, "val_accuracy": 0.5}
    assert predictions.to_pydict() == {"row_id": [10, 11, 12, 13], "y_out": [0.1, 0.6, 0.4, 0.9]}
    assert labels.to_pydict() == {"row_id": [10, 11, 12, 13], "y_true": [0, 0, 1, 1]}
    assert json.loads(store.read_artifact(run, "confusion/val.json"))["matrix"] == [[1, 1], [1, 1]]


def test_labels_are_stored_once_for_all_runs(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("shift", [0.0, 0.1])
        def test_run(mlrun, shift):
            mlrun.evaluate("val", [0, 0, 1, 1], [0.1 + shift, 0.6, 0.4, 0.9], metrics=["roc_auc"])
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    digests = [{a.role: a.digest for a in run.artifacts} for run in stored_runs()]
    assert digests[0]["labels"] == digests[1]["labels"]
    assert digests[0]["predictions"] != digests[1]["predictions"]


def test_a_row_in_two_splits_is_refused(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_clean(mlrun): mlrun.log_split(train=[1, 2, 3], val=[4, 5])
        def test_leak(mlrun): mlrun.log_split(train=[1, 2, 3], val=[3, 4])
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*splits overlap: 1 row is in both 'train' and 'val'", "E*rows: 3"])
    clean = stored_runs()[0]
    assert (clean.context["split.train.rows"], clean.context["split.val.rows"]) == ("3", "2")


def test_child_runs_have_a_parent_and_their_own_params(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import random

        def test_search(mlrun):
            before = random.random()
            for depth in (1, 2):
                with mlrun.child(depth=depth) as run:
                    assert random.random() == before
                    run.log_metric("auc", depth / 10)
            mlrun.log_metric("best", 0.2)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    runs = {run.name: run for run in stored_runs()}
    parent = runs["test_search"]
    children = [run for run in runs.values() if run.parent_id == parent.run_id]
    assert sorted((run.name, run.params["depth"], run.metrics["auc"], run.outcome) for run in children) == [
        ("test_search/depth=1", "1", 0.1, "passed"),
        ("test_search/depth=2", "2", 0.2, "passed"),
    ]


def test_a_failing_trial_fails_the_search_and_keeps_both(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_search(mlrun):
            with mlrun.child(depth=1) as run:
                run.log_metric("auc", 0.5)
                raise MemoryError
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(failed=1)

    assert sorted((run.name, run.status, run.cause) for run in stored_runs()) == [
        ("test_search", "failed", "oom"),
        ("test_search/depth=1", "failed", "oom"),
    ]


def test_replicates_have_seeds_of_their_own_that_never_change(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import random

        def test_seeds(mlrun):
            for run in mlrun.seeds(3):
                assert random.random() == random.Random(run.seed).random()
                run.log_metric("seed", run.seed)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)
    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    seeds = [run.metrics["seed"] for run in stored_runs() if run.parent_id]
    assert len(set(seeds[:3])) == 3
    assert seeds[:3] == seeds[3:]


def test_a_module_shares_one_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def model(mlrun_module):
            mlrun_module.log_metric("auc", 0.9)
            return 1

        def test_auc(model, mlrun_module): mlrun_module.assert_floor("auc", 0.8)
        def test_strict(model, mlrun_module): mlrun_module.assert_floor("auc", 0.95)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    (run,) = stored_runs()
    assert (run.name, run.outcome, run.cause) == ("test_a_module_shares_one_run", "failed", "gate")
    assert [gate.decision for gate in run.gates] == ["PASS", "FAIL"]


def test_the_series_of_a_run_comes_back_as_it_was_logged(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_run(mlrun):
            for step in (0, 5, 3):
                mlrun.log_metric("loss", step / 2, step=step)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    store = pytest_mlrun.open_store(pytester.path / ".pytest_mlrun")
    series = store.series(store.runs()[0].run_id, "loss")
    np.testing.assert_array_equal(series.steps, [0, 5, 3])
    np.testing.assert_array_equal(series.values, [0.0, 2.5, 1.5])


def test_recording_outside_pytest_is_marked_unpinned(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    with pytest_mlrun.record(experiment="notebook", params={"depth": 2}, seed=3) as run:
        run.log_metric("auc", 0.5)
        run.assert_floor("auc", 0.4)

    (record,) = pytest_mlrun.open_store().runs()
    assert (record.experiment, record.outcome, record.context["pinned"]) == ("notebook", "passed", "false")
    assert (record.params["depth"], record.metrics["auc"]) == ("2", 0.5)


def test_recording_outside_pytest_keeps_a_failure(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def fail() -> None:
        with pytest_mlrun.record(experiment="notebook") as run:
            run.log_metric("auc", 0.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    (record,) = pytest_mlrun.open_store().runs()
    assert (record.status, record.outcome, record.metrics["auc"]) == ("failed", "failed", 0.5)
    assert "ZeroDivisionError" in record.error


def test_a_finished_run_refuses_to_be_written_to(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with pytest_mlrun.record(experiment="notebook", name="late") as run:
        run.log_metric("auc", 0.5)

    with pytest.raises(pytest_mlrun.RunClosedError, match="run late has finished and cannot be written to"):
        run.log_metric("auc", 0.6)


def test_the_run_name_follows_the_template_of_its_experiment(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    (pytester.path / "mlrun.toml").write_text('[naming.run_names]\nchurn = "gbm-lr{learning_rate:g}"\n')
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(experiment="churn")
        @pytest.mark.parametrize("learning_rate", [0.05])
        def test_sweep(mlrun, learning_rate): pass

        def test_other(mlrun): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert [run.name for run in stored_runs()] == ["gbm-lr0.05", "test_other"]


def test_a_failing_neighbour_leaves_the_run_of_the_module_alone(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_shared(mlrun_module): pass
        def test_other(mlrun): raise RuntimeError
        def test_plain(): raise RuntimeError
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1, failed=2)

    assert sorted((run.name.partition("_")[2][:5], run.outcome) for run in stored_runs()) == [
        ("a_fai", "passed"),
        ("other", "failed"),
    ]


@pytest.mark.parametrize(("experiment", "name"), [("", "run"), ("two\nlines", "run"), ("churn", "two\nlines")])
def test_a_name_outside_pytest_is_one_line(tmp_path, monkeypatch, experiment: str, name: str) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        pytest_mlrun.NamingError, match=r"(?m)must be one line of 1 to 250 characters, found '(|two\\nlines)'$"
    ):
        pytest_mlrun.record(experiment=experiment, name=name).__enter__()

    assert not (tmp_path / ".pytest_mlrun").exists()


def test_one_metric_need_not_be_a_list(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile("def test_run(mlrun): mlrun.evaluate('val', [0, 1], [0, 1], metrics='accuracy')")

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    assert dict(stored_runs()[0].metrics) == {"val_accuracy": 1.0}
