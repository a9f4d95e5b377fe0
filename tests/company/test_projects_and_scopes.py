"""Conftests, scopes and several projects in one session: each run belongs where its test stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

LOADED = """
    from pathlib import Path

    import pytest

    pytestmark = pytest.mark.mlrun(data="rows", floors={"rows": 1})

    @pytest.mark.parametrize("depth", [2])
    def test_fit(mlrun, depth):
        mlrun.log_metric("rows", len(Path(mlrun.data["rows"]).read_text().split()))
"""


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=pytest.mark.slow)], ids=["alone", "xdist"])
def test_each_test_follows_the_nearest_project(
    pytester: pytest.Pytester, stored_runs: Runs, arguments: list[str]
) -> None:
    for name, rows in (("churn", "a b"), ("pricing", "a b c")):
        pytester.mkdir(name)
        folder = pytester.path / name
        (folder / "rows.txt").write_text(rows)
        (folder / "mlrun.toml").write_text(f'[data.rows]\npath = "rows.txt"\n[naming]\nrun_name = "{name}-{{depth}}"\n')
        (folder / "tests").mkdir()
        (folder / "tests" / f"test_{name}.py").write_text("\n".join(line[4:] for line in LOADED.splitlines()))
        assert pytester.run("pytest-mlrun", "data", "lock", "--project", name).ret == 0

    pytester.runpytest_subprocess("--mlrun", *arguments).assert_outcomes(passed=2)

    assert sorted((run.name, run.test, run.metrics["rows"]) for run in stored_runs()) == [
        ("churn-2", "tests/test_churn.py::test_fit", 2.0),
        ("pricing-2", "tests/test_pricing.py::test_fit", 3.0),
    ]


@pytest.mark.usefixtures("only_ours")
def test_a_broken_project_stops_its_own_tests_only(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    for name, content in (("good", ""), ("broken", "[naming")):
        (pytester.mkdir(name) / "mlrun.toml").write_text(content)
        (pytester.path / name / f"test_{name}.py").write_text("def test_fit(mlrun): pass\n")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["mlrun.toml is not TOML: *"])
    assert [run.test for run in stored_runs()] == ["test_good.py::test_fit"]


@pytest.mark.usefixtures("only_ours")
def test_fixtures_of_nearer_conftests_win_and_their_params_are_recorded(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(params=["outer"])
        def data(request): return request.param

        @pytest.fixture(autouse=True)
        def team(request):
            if "mlrun" in request.fixturenames:
                request.getfixturevalue("mlrun").set_tag("team", "risk")
        """
    )
    folder = pytester.mkdir("inner")
    (folder / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(params=['inner'])\ndef data(request): return request.param\n"
    )
    for path in (folder / "test_inner.py", pytester.path / "test_outer.py"):
        path.write_text("def test_fit(mlrun, data): pass\ndef test_plain(): pass\n")

    pytester.runpytest("--mlrun").assert_outcomes(passed=4)

    assert sorted((run.test, run.params["data"], run.tags["team"]) for run in stored_runs()) == [
        ("inner/test_inner.py::test_fit", '"inner"', "risk"),
        ("test_outer.py::test_fit", '"outer"', "risk"),
    ]


@pytest.mark.usefixtures("only_ours")
def test_a_run_of_a_package_conftest_can_be_tagged_from_an_autouse_fixture_that_takes_it(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def everything_is_an_experiment(mlrun): mlrun.set_tag("by", "conftest")
        """
    )
    pytester.makepyfile("def test_one(): pass\ndef test_two(): pass\n")

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert [run.tags["by"] for run in stored_runs()] == ["conftest", "conftest"]


@pytest.mark.slow
def test_fixtures_and_replicates_draw_the_same_wherever_and_in_whatever_order_they_run(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    body = """
        import random
        import numpy as np
        import pytest

        @pytest.fixture(scope="session")
        def shared(): return random.random()

        @pytest.fixture(params=["a", "b"])
        def rows(request): return np.random.rand()

        def test_first(mlrun): mlrun.log_metric("draw", random.random())

        def test_second(mlrun, rows, shared):
            mlrun.log_metrics({"rows": rows, "shared": shared, "draw": random.random()})
            for run in mlrun.seeds(2):
                run.log_metrics({"draw": random.random(), "own": run.rng.random()})
    """
    pytester.makepyfile(test_one=body)
    folder = pytester.mkdir("deeper")
    (folder / "test_one_moved.py").write_text("\n".join(line[8:] for line in body.splitlines()))

    pytester.runpytest("--mlrun", "--mlrun-seed", "7", "test_one.py").assert_outcomes(passed=3)
    pytester.runpytest("--mlrun", "--mlrun-seed", "7", "deeper", "-k", "b").assert_outcomes(passed=1, deselected=2)
    randomly = pytester.runpytest_subprocess("--mlrun", "--mlrun-seed", "7", "test_one.py", "-p", "randomly")
    randomly.assert_outcomes(passed=3)

    runs = [run for run in stored_runs() if run.params.get("rows") == '"b"']
    draws = [dict(run.metrics) for run in runs if run.parent_id is None]
    replicates = [(run.params["replicate"], dict(run.metrics)) for run in runs if run.parent_id is not None]
    assert len(draws) == 3
    assert draws[0] == draws[1] == draws[2]
    assert sorted(replicates, key=str)[:3] == [min(replicates, key=str)] * 3
    assert len({metrics["draw"] for _, metrics in replicates}) == 2
    assert len({run.metrics["rows"] for run in stored_runs() if "rows" in run.metrics}) == 2


@pytest.mark.slow
def test_a_shared_run_is_one_run_under_xdist_too(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    for name in ("one", "two"):
        pytester.makepyfile(
            **{
                f"test_{name}": """
                import pytest

                @pytest.fixture(scope="module")
                def model(mlrun_module):
                    mlrun_module.log_metric("auc", 0.9)
                    return "trained"

                @pytest.mark.parametrize("slice", ["young", "old"])
                def test_slice(model, mlrun_module, slice): mlrun_module.assert_floor("auc", 0.8)

                class TestMore:
                    def test_again(self, model): assert model == "trained"
                """
            }
        )

    pytester.runpytest_subprocess("--mlrun", "-n", "2", "--dist", "loadfile").assert_outcomes(passed=6)

    assert sorted((run.name, run.outcome, run.metrics["auc"]) for run in stored_runs()) == [
        ("test_one", "passed", 0.9),
        ("test_two", "passed", 0.9),
    ]


@pytest.mark.usefixtures("only_ours")
def test_a_run_of_the_test_and_the_run_of_its_module_are_two(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(experiment="churn")

        @pytest.fixture(scope="module")
        def model(mlrun_module): mlrun_module.log_metric("auc", 0.9)

        def test_distilled(mlrun, mlrun_module, model):
            mlrun.log_metric("auc", mlrun_module.metrics["auc"] - 0.1)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    assert sorted((run.name, round(run.metrics["auc"], 6)) for run in stored_runs()) == [
        ("test_a_run_of_the_test_and_the_run_of_its_module_are_two", 0.9),
        ("test_distilled", 0.8),
    ]
