"""What nobody can have meant is told while tests are collected, and everything else is left alone."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("mark", ["mlrn", "MLRUN", "mlruns", "ml_run"])
@pytest.mark.filterwarnings("default::pytest.PytestUnknownMarkWarning")
def test_a_mark_that_is_nearly_ours_is_refused(pytester: pytest.Pytester, mark: str) -> None:
    pytester.makepyfile(f"import pytest\n\n@pytest.mark.{mark}(seed=1)\ndef test_gbm(mlrun): pass\n")

    result = pytester.runpytest()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"test_gbm: unknown marker '{mark}'; did you mean 'mlrun'?"])


def test_marks_of_others_are_theirs(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nmarkers =\n    run: ours\n    slow(why): ours\n    mlruns(where): where MLflow keeps its runs\n"
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.run
        @pytest.mark.slow
        @pytest.mark.mlruns("here")
        @pytest.mark.parametrize("depth", [1])
        def test_gbm(mlrun, depth): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("scope", "taken", "cure"),
    [
        ("session", "mlrun", "give model the scope function, or train once for a module: *mlrun_module"),
        ("module", "mlrun", "give model the scope function, or train once for a module: *mlrun_module"),
        ("class", "mlrun_data", "give model the scope function"),
        ("package", "mlrun_module", "give model the scope module"),
    ],
)
def test_a_fixture_that_outlives_its_run_is_refused(
    pytester: pytest.Pytester, scope: str, taken: str, cure: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def model({taken}): pass

        @pytest.fixture
        def predictions(model): pass

        def test_gbm(predictions): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    owner = "module" if taken == "mlrun_module" else "test"
    result.stdout.fnmatch_lines(
        [f"model: a {scope}-scoped fixture cannot take {taken}, which belongs to one {owner}", f"  next:  {cure}"]
    )


@pytest.mark.parametrize(
    ("scope", "taken"), [("function", "mlrun"), ("class", "mlrun_module"), ("module", "mlrun_module")]
)
def test_a_fixture_that_lives_no_longer_may_take_the_run(pytester: pytest.Pytester, scope: str, taken: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def model({taken}): return {taken}.name

        def test_gbm(model): assert model
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("tests", "arguments", "says"),
    [
        ("def test_run(mlrun): pass", [], True),
        ("def test_run(mlrun): pass\ndef test_plain(): pass", [], False),
        ("def test_gbm(mlrun): pass\ndef test_plain(): pass", ["-k", "gbm"], True),
        ("import pytest\ndef test_run(mlrun): pass\n@pytest.mark.skip\ndef test_plain(): pass", [], False),
        ("def test_run(mlrun): pass", ["-q"], False),
        ("def test_run(mlrun): pass", ["--mlrun"], False),
        ("def test_run(mlrun): pass", ["--collect-only"], False),
    ],
)
def test_where_only_experiments_were_selected_and_skipped_it_says_how_to_run_them(
    pytester: pytest.Pytester, tests: str, arguments: list[str], says: bool
) -> None:
    pytester.makepyfile(tests)

    result = pytester.runpytest(*arguments)

    assert ("nothing was trained: run these experiments with pytest --mlrun" in result.stdout.str()) is says
