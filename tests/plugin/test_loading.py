"""How the plugin comes and goes."""

from __future__ import annotations

import pytest

TEST = "def test_plain(): pass\n"


@pytest.fixture
def autoload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")


@pytest.mark.usefixtures("autoload")
def test_the_name_in_minus_p_no_switches_it_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)

    result = pytester.runpytest_subprocess("-p", "no:mlrun", "--mlrun")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unrecognized arguments: --mlrun*"])


def test_it_loads_by_name_where_autoloading_is_off(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_PLUGINS")
    pytester.makepyfile(TEST)

    result = pytester.runpytest_subprocess("-p", "pytest_mlrun", "--mlrun")

    result.assert_outcomes(passed=1)


def test_its_marker_is_registered_with_its_signature(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--markers")

    result.stdout.fnmatch_lines(["@pytest.mark.mlrun(?, experiment, data, seed, tags, floors, ceilings*"])


@pytest.mark.parametrize(
    "fixture", ["mlrun", "mlrun_module", "mlrun_seed", "mlrun_data", "mlrun_clean_tree", "mlrun_store"]
)
def test_every_fixture_explains_itself_with_an_example(pytester: pytest.Pytester, fixture: str) -> None:
    result = pytester.runpytest("--fixtures", "-v")

    lines = result.stdout.lines
    start = next(index for index, line in enumerate(lines) if line.startswith((f"{fixture} ", f"{fixture} --")))
    assert any(line.strip().startswith("Example:") for line in lines[start : start + 5])


@pytest.mark.usefixtures("autoload")
@pytest.mark.parametrize(
    "plugin",
    [
        "terminal",
        "capture",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("cacheprovider", "junitxml", "logging", "xdist", "subtests")
        ),
    ],
)
def test_a_run_is_recorded_without_the_optional_plugin(pytester: pytest.Pytester, plugin: str) -> None:
    pytester.makepyfile("def test_run(mlrun): mlrun.log_metric('loss', 1.5)")

    result = pytester.runpytest_subprocess("--mlrun", "-p", f"no:{plugin}")

    assert result.ret == pytest.ExitCode.OK
    assert (pytester.path / ".pytest_mlrun" / "mlrun.json").is_file()
