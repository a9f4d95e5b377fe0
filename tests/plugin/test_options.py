"""Every option can be given in four places, and the command line wins."""

from __future__ import annotations

import pytest

from pytest_mlrun.options import OPTIONS, Option

# The run that two of them name must be there, and under the third no test of ours runs: test_branch.py, test_replay.py,
# test_self_test.py.
SETTABLE = [option for option in OPTIONS if option.key not in {"mlrun_from", "mlrun_replay", "mlrun_selftest"}]
VALUES = {"flag": ("true", True), "text": ("written", "written"), "integer": ("7", 7)}
CHOICES = {"mlrun_inconclusive": ("fail", "warn", "fail"), "mlrun_entropy": ("off", "detect", "off")}
PROBE = """
def test_probe(pytestconfig):
    from pytest_mlrun.options import read_settings
    print("SETTINGS", read_settings(pytestconfig))
"""


def field_of(option: Option) -> str:
    return option.key.removeprefix("mlrun_")


def value_of(option: Option) -> tuple[str, object]:
    if option.key in CHOICES:
        return CHOICES[option.key][0], CHOICES[option.key][0]
    return VALUES[option.kind]


@pytest.fixture
def settings(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.delenv("PYTEST_MLRUN_STORE", raising=False)
    pytester.makepyfile(PROBE)

    def read(*arguments: str) -> str:
        result = pytester.runpytest("-s", *arguments)
        result.assert_outcomes(passed=1)
        return next(line for line in result.stdout.lines if "SETTINGS" in line)

    return read


def expected(option: Option, value: object) -> str:
    if option.key == "mlrun_store":
        return f"{value}')"
    return f"{field_of(option)}={value!r}"


@pytest.mark.parametrize("option", SETTABLE, ids=lambda option: option.key)
def test_the_environment_gives_it(settings, monkeypatch, option: Option) -> None:  # type: ignore[no-untyped-def]
    text, value = value_of(option)
    monkeypatch.setenv(option.variable, text)

    assert expected(option, value) in settings()


@pytest.mark.parametrize("option", SETTABLE, ids=lambda option: option.key)
@pytest.mark.parametrize("style", ["ini", "legacy-toml", "toml"])
def test_the_configuration_gives_it(settings, pytester, option: Option, style: str) -> None:  # type: ignore[no-untyped-def]
    text, value = value_of(option)
    native = text if option.kind != "text" else f'"{text}"'
    if style == "ini":
        pytester.makeini(f"[pytest]\n{option.key} = {text}\n")
    elif style == "toml":
        pytester.makepyprojecttoml(f"[tool.pytest]\n{option.key} = {native}\n")
    else:
        pytester.makepyprojecttoml(f"[tool.pytest.ini_options]\n{option.key} = '{text}'\n")

    assert expected(option, value) in settings()


@pytest.mark.parametrize("option", [row for row in SETTABLE if row.kind != "flag"], ids=lambda option: option.key)
def test_the_command_line_beats_the_environment_beats_the_configuration(  # type: ignore[no-untyped-def]
    settings, pytester, monkeypatch, option: Option
) -> None:
    others = ("1", "2", "3") if option.kind == "integer" else ("low", "middle", "high")
    low, middle, high = CHOICES.get(option.key, others)
    pytester.makeini(f"[pytest]\n{option.key} = {low}\n")

    from_configuration = settings()
    monkeypatch.setenv(option.variable, middle)
    from_environment = settings()
    from_command_line = settings(option.flag, high)

    for line, value in ((from_configuration, low), (from_environment, middle), (from_command_line, high)):
        assert expected(option, int(value) if option.kind == "integer" else value) in line


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PYTEST_MLRUN", "maybe", "PYTEST_MLRUN: expected true or false, found 'maybe'"),
        ("PYTEST_MLRUN_SEED", "x", "PYTEST_MLRUN_SEED: expected a whole number, found 'x'"),
        ("PYTEST_MLRUN_SEED", "-1", "--mlrun-seed: expected a whole number from 0 to 4294967295, found -1"),
    ],
)
def test_a_wrong_value_stops_the_session_at_start(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    pytester.makepyfile("def test_plain(): pass")

    result = pytester.runpytest_subprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mlrun-store="], "--mlrun-store: expected a folder, found an empty path"),
        (["--mlrun-experiment= "], "--mlrun-experiment: expected one line of 1 to 250 characters, found ' '"),
        (["-o", "mlrun_seed=abc"], "mlrun_seed: expected a whole number in the configuration: *'abc'"),
        (["--mlrun", "-o", "mlrun=maybe"], "mlrun: expected true or false in the configuration: *'maybe'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(pytester: pytest.Pytester, arguments: list[str], message: str) -> None:
    result = pytester.runpytest(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_a_store_in_a_folder_in_use_leaves_its_gitignore_alone(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath(".gitignore").write_text("mine\n")
    pytester.makepyfile("def test_run(mlrun): pass")

    pytester.runpytest("--mlrun", "--mlrun-store=.").assert_outcomes(passed=1)

    assert pytester.path.joinpath(".gitignore").read_text() == "mine\n"
