"""Measure what the idle plugin adds to pytest, beside a plugin whose hooks are empty."""
# ruff: noqa: E402 - the import path must be right before anything is imported

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # As a script, this folder comes first on the path, and its logging.py would be everybody's ``import logging``.
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "benchmarks")]

import argparse
import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.figures import shuffled
from benchmarks.idle import (
    EMPTY,
    EMPTY_AGAIN,
    OURS,
    PLAIN,
    VARIANTS,
    Case,
    Observation,
    Times,
    empty_plugin,
    find_problems,
    judge_noise,
    make_cases,
    render_modules,
    render_times,
)  # fmt: skip
from benchmarks.machine import machine_facts, render_facts
from benchmarks.processes import default_core, measured_environment, pin, positive, python_command, run_timed

FILES = 20
PLUGINS = {PLAIN: "", EMPTY: "empty_hooks", EMPTY_AGAIN: "empty_hooks", OURS: "pytest_mlrun.plugin"}
LIST_MODULES = """\
import json, pathlib, sys
import pytest
code = pytest.main(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(json.dumps(sorted(sys.modules)))
sys.exit(code)
"""


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        tests: Number of tests in the full suite.
        reps: Rounds.
        core: The core that everything runs on; negative for any.
        realtime: Whether with round-robin priority.
    """

    tests: int
    reps: int
    core: int
    realtime: bool


class MeasurementError(Exception):
    """A pytest command did not end as it must."""


def parse_arguments(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """Return what is to be measured, and the file for the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks/startup.py", description=__doc__)
    add = parser.add_argument
    add("--tests", type=positive, default=2000, help="tests in the full suite (%(default)s)")
    add("--reps", type=positive, default=30, help="rounds (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    add("--core", type=int, default=default_core(), help="core that everything runs on (%(default)s); -1 for any")
    add("--realtime", action="store_true", help="run with round-robin priority (needs the right to)")
    chosen = vars(parser.parse_args(arguments))
    json_file: Path | None = chosen.pop("json")
    return Plan(**chosen), json_file


def write_suites(home: Path, tests: int) -> None:
    """Write a suite without a test, one with many empty ones, and the plugin with empty hooks."""
    for suite in ("empty", "full", "plugins"):
        (home / suite).mkdir()
        (home / suite / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (home / "empty" / "test_nothing.py").write_text("", encoding="utf-8")
    for number in range(FILES):
        functions = (f"def test_{test}():\n    pass\n" for test in range(number, tests, FILES))
        (home / "full" / f"test_{number:02}.py").write_text("\n".join(functions), encoding="utf-8")
    source = (ROOT / "pytest_mlrun" / "plugin.py").read_text(encoding="utf-8")
    (home / "plugins" / "empty_hooks.py").write_text(empty_plugin(source), encoding="utf-8")


def measure_once(home: Path, case: Case, variant: str, times: Times) -> None:
    """Time one pytest process.

    Raises:
        MeasurementError: If it did not end as it must.
    """
    output = home / "output.txt"
    command = python_command("pytest", *pytest_arguments(case, variant))
    wall_s, cpu_s, code = run_timed(command, cwd=home / case.suite, environment=_environment(home), output=output)
    _check(code, case, variant, output)
    times.wall_s.append(wall_s)
    times.cpu_s.append(cpu_s)


def observe(home: Path, case: Case, variant: str) -> Observation:
    """Note what one pytest process loads and writes.

    Raises:
        MeasurementError: If it did not end as it must.
    """
    before, listed, output = _files(home / case.suite), home / "modules.json", home / "output.txt"
    command = [sys.executable, "-P", "-c", LIST_MODULES, str(listed), *pytest_arguments(case, variant)]
    *_, code = run_timed(command, cwd=home / case.suite, environment=_environment(home), output=output)
    _check(code, case, variant, output)
    modules: list[str] = json.loads(listed.read_text(encoding="utf-8"))
    return Observation(frozenset(modules), tuple(sorted(_files(home / case.suite) - before)))


def pytest_arguments(case: Case, variant: str) -> list[str]:
    """Return pytest's arguments for one variant of a case."""
    plugin = PLUGINS[variant]
    return [
        "-q",
        *(["--collect-only"] if case.collect_only else []),
        *("-p", "no:cacheprovider"),
        *(["-p", plugin] if plugin else []),
    ]


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report; 1 if the idle plugin loaded or wrote what it must not."""
    plan, json_file = parse_arguments(arguments)
    command = shlex.join(["python", "benchmarks/startup.py", *arguments])
    cases = make_cases(plan.tests)
    times = {(case.title, variant): Times() for case in cases for variant in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        home = Path(name).resolve()
        facts = machine_facts(home, core=plan.core, realtime=plan.realtime)
        pin(plan.core, realtime=plan.realtime)
        write_suites(home, plan.tests)
        # Also the warm-up: bytecode is written here, for every case and variant.
        seen = {(case.title, variant): observe(home, case, variant) for case in cases for variant in VARIANTS}
        for number in range(plan.reps):
            for case in cases:
                for variant in shuffled(VARIANTS, number):
                    measure_once(home, case, variant, times[case.title, variant])
            sys.stderr.write(f"round {number + 1} of {plan.reps} done\n")
    problems = [problem for case in cases for problem in find_problems(case, seen[case.title, OURS])]
    parts = [
        "### Start-up, idle",
        render_facts(facts, command),
        render_times(cases, times),
        "\n".join(judge_noise(cases, times)),
        render_modules(cases, seen),
        "\n".join(f"- NOT MET: {problem}" for problem in problems) or "- met: nothing heavy imported, no file written",
    ]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if json_file is not None:
        rows = [{"command": title, "plugin": variant, **asdict(own)} for (title, variant), own in times.items()]
        figures = {"command": command, "machine": facts, "times": rows, "problems": problems}
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if problems else 0


def _environment(home: Path) -> dict[str, str]:
    path = f"{ROOT}:{home / 'plugins'}"
    return measured_environment(home, extra={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path})


def _files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def _check(code: int, case: Case, variant: str, output: Path) -> None:
    if code != case.exit_code:
        tail = output.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise MeasurementError(f"{case.title}, {variant}: pytest ended with {code}, not {case.exit_code}\n{tail}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
