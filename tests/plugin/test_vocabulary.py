"""The team's vocabulary holds: before anything trains where that can be known, else where the wrong name is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

VOCABULARY = """
[naming]
allowed = ["learning_rate", "depth"]
refused = { lr = "learning_rate", auc = "val_roc_auc" }
required_params = ["learning_rate"]
required_tags = ["split"]
required_artifacts = ["feature_list.json"]
closed_metrics = true

[naming.tags]
split = ["temporal", "random"]
team = ["fraud"]

[metrics."*_roc_auc"]
goal = "max"
range = [0, 1]
"""
COMPLETE = """
    mlrun.log_param("learning_rate", 0.1)
    mlrun.set_tag("split", "temporal")
    mlrun.log_dict({"features": []}, "feature_list.json")
"""


@pytest.fixture
def vocabulary(pytester: pytest.Pytester) -> None:
    (pytester.path / "mlrun.toml").write_text(VOCABULARY)


@pytest.mark.usefixtures("vocabulary")
def test_a_wrong_name_that_is_known_before_training_keeps_it_from_starting(pytester: pytest.Pytester) -> None:
    wrong = {
        "@pytest.mark.parametrize('lr', [0.1])": "param 'lr' is refused: say 'learning_rate'",
        "@pytest.mark.parametrize('dpeth', [3])": "param 'dpeth' is not in the vocabulary; did you mean 'depth'?",
        "@pytest.mark.mlrun(tags={'split': 'temporl'})": "tag 'split' cannot be 'temporl'; did you mean 'temporal'?",
        "@pytest.mark.mlrun(tags={'taem': 'fraud'})": "tag 'taem' is not in the vocabulary; did you mean 'team'?",
        "@pytest.mark.mlrun(floors={'auc': 0.8})": "metric 'auc' is refused: say 'val_roc_auc'",
        "@pytest.mark.mlrun(floors={'val_auc': 0.8})": "metric 'val_auc' is not in the vocabulary",
        "@pytest.mark.mlrun(floors={'val_roc_auc': 85})": "the floor of 'val_roc_auc' is 85, outside its range 0 to 1",
    }
    tests = (
        f"{mark}\ndef test_{number}(mlrun, request): pathlib.Path('trained').touch()\n"
        for number, mark in enumerate(wrong)
    )
    # The params arrive by a fixture of their name: what the function takes is the same for all.
    fixtures = "".join(f"@pytest.fixture(autouse=True)\ndef {name}(request): pass\n" for name in ("lr", "dpeth"))
    pytester.makepyfile("import pathlib, pytest\n" + fixtures + "\n".join(tests))

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=len(wrong))
    result.stdout.fnmatch_lines([text.replace("?", "[?]") + "*" for text in wrong.values()])
    assert not (pytester.path / "trained").exists()


@pytest.mark.usefixtures("vocabulary")
def test_a_wrong_name_or_value_fails_the_test_where_it_is_logged(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    wrong = {
        "mlrun.log_param('lr', 0.1)": "NamingError: param 'lr' is refused: say 'learning_rate'",
        "mlrun.set_tag('split', 'Random')": "NamingError: tag 'split' cannot be 'Random'; did you mean 'random'?",
        "mlrun.log_metric('auc', 0.9)": "NamingError: metric 'auc' is refused: say 'val_roc_auc'",
        "mlrun.log_metrics({'roc_auc': 0.9})": "NamingError: metric 'roc_auc' is not in the vocabulary",
        "mlrun.log_metric('val_roc_auc', 1.2)": "MetricError: metric 'val_roc_auc' is 1.2, outside its range 0 to 1",
        "mlrun.log_metric('val_roc_auc', -1, 3)": "MetricError: metric 'val_roc_auc' is -1, outside its range 0 to 1",
    }
    tests = (f"def test_{number}(mlrun):{COMPLETE}    {line}\n" for number, line in enumerate(wrong))
    pytester.makepyfile("\n".join(tests))

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=len(wrong))
    for line, text in wrong.items():
        result.stdout.fnmatch_lines([f">       {line}", f"E*{text.replace('?', '[?]')}*"])
    assert [dict(run.metrics) for run in stored_runs()] == [{}] * len(wrong)


@pytest.mark.usefixtures("vocabulary")
def test_what_every_run_must_have_is_asked_at_its_end(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        f"""
        def test_complete(mlrun):
            {COMPLETE.strip().replace(chr(10), chr(10) + " " * 8)}

        def test_without_anything(mlrun): mlrun.log_metric("val_roc_auc", 0.8)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "required params are missing: learning_rate",
            "  required tags are missing: split",
            "  required artifacts are missing: feature_list.json",
            "  where: ?naming? required_params in mlrun.toml",
        ]
    )
    assert [dict(run.metrics) for run in stored_runs()] == [{}, {"val_roc_auc": 0.8}]


def test_a_search_has_the_params_that_its_trials_have(pytester: pytest.Pytester) -> None:
    (pytester.path / "mlrun.toml").write_text('[naming]\nrequired_params = ["depth"]\n')
    pytester.makepyfile(
        """
        def test_search(mlrun):
            for depth in (2, 3):
                with mlrun.child(depth=depth): pass

        def test_aimless(mlrun):
            with mlrun.child(width=1): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["required params are missing: depth"])


def test_a_shared_run_is_asked_when_its_module_ends(pytester: pytest.Pytester) -> None:
    (pytester.path / "mlrun.toml").write_text('[naming]\nrequired_tags = ["split"]\n')
    pytester.makepyfile("def test_one(mlrun_module): pass\ndef test_two(mlrun_module): pass\n")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["required tags are missing: split"])


def test_evaluate_keeps_to_the_vocabulary(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    (pytester.path / "mlrun.toml").write_text("[naming]\nclosed_metrics = true\n[metrics.val_roc_auc]\n")
    pytester.makepyfile(
        """
        def test_known(mlrun): mlrun.evaluate("val", [0, 1], [0.2, 0.9], metrics=["roc_auc"])
        def test_unknown(mlrun): mlrun.evaluate("valid", [0, 1], [0.2, 0.9], metrics=["roc_auc"])
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*metric 'valid_roc_auc' is not in the vocabulary; did you mean 'val_roc_auc'?"])


def test_rows_that_leak_between_two_calls_are_refused(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_leak(mlrun):
            mlrun.log_split(train=["a", "b"])
            mlrun.log_split(val=["b", "c"])

        def test_same(mlrun):
            mlrun.log_split(train=[1, 2])
            mlrun.log_split(train=[2, 1], val=[3])

        def test_fold(mlrun):
            mlrun.log_split(train=[1, 2])
            mlrun.log_split(train=[1, 3])
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*splits overlap: 1 row is in both 'train' and 'val'",
            'E*rows: "b"',
            "E*split 'train' was logged already, with other rows",
            "E*with mlrun.child(fold=0) as run*",
        ]
    )
    assert [run.context.get("split.val.rows") for run in stored_runs()] == [None, "1", None]


@pytest.mark.parametrize(
    "values", ["np.arange", "lambda n: pd.Index([f'c{i}' for i in range(n)])"], ids=["numbers", "texts"]
)
def test_splits_of_many_rows_are_digested(pytester: pytest.Pytester, stored_runs: Runs, values: str) -> None:
    pytester.makepyfile(
        f"""
        import numpy as np, pandas as pd

        def test_run(mlrun):
            ids = ({values})(100_000)
            mlrun.log_split(train=ids[:80_000], val=ids[80_000:])
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert (run.context["split.train.rows"], run.context["split.val.rows"]) == ("80000", "20000")
    assert run.context["split.train.digest"].startswith('"sha256:')
    assert run.context["split.train.digest"] != run.context["split.val.digest"]
