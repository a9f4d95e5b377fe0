"""Measure what collecting experiments costs, beside the same tests without the plugin."""
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.figures import format_number, markdown_table, paired_ratio, shuffled
from benchmarks.idle import Times
from benchmarks.machine import machine_facts, render_facts
from benchmarks.processes import default_core, measured_environment, pin, positive, python_command, run_timed

FILES = 20
MOST_RATIO = 1.10
PLAIN = "without the plugin"
PLAIN_AGAIN = "without the plugin, again"
SKIPPED = "pytest-mlrun"
RECORDING = "pytest-mlrun, --mlrun"
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    PLAIN: ("-p", "stand_in"),
    PLAIN_AGAIN: ("-p", "stand_in"),
    SKIPPED: ("-p", "pytest_mlrun.plugin"),
    RECORDING: ("-p", "pytest_mlrun.plugin", "--mlrun"),
}
# The tests need a fixture and a mark of that name: the least that could offer them.
STAND_IN = """\
import pytest

def pytest_configure(config):
    config.addinivalue_line("markers", "mlrun(**facts): an experiment")

@pytest.fixture
def mlrun(): pass
"""
HEAD = """\
import pytest

pytestmark = pytest.mark.mlrun(experiment="churn", data="churn", seed=42, floors={"auc": 0.8})

"""
FUNCTION = "def test_{number}(mlrun): pass\n\n"
SWEEP = """\
@pytest.mark.parametrize("depth", range({depths}))
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.05, 0.1, 0.2])
def test_{number}(mlrun, rate, depth): pass

"""
RATES = 5


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        tests: Experiments in each suite.
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
    parser = argparse.ArgumentParser(prog="benchmarks/collection.py", description=__doc__)
    add = parser.add_argument
    add("--tests", type=positive, default=1000, help="experiments in each suite, in steps of 100 (%(default)s)")
    add("--reps", type=positive, default=30, help="rounds (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    add("--core", type=int, default=default_core(), help="core that everything runs on (%(default)s); -1 for any")
    add("--realtime", action="store_true", help="run with round-robin priority (needs the right to)")
    chosen = vars(parser.parse_args(arguments))
    json_file: Path | None = chosen.pop("json")
    return Plan(**chosen), json_file


def make_suites(tests: int) -> dict[str, str]:
    """Return the text of one file of each suite, which has 20 alike.

    Raises:
        ValueError: If the tests cannot be shared out evenly.
    """
    share, rest = divmod(tests, FILES)
    if rest or share % RATES:
        raise ValueError(f"{tests} tests are not {FILES} files of sweeps over {RATES} rates")
    return {
        f"{tests} functions": HEAD + "".join(FUNCTION.format(number=number) for number in range(share)),
        f"{FILES} sweeps of {share}": HEAD + SWEEP.format(number=0, depths=share // RATES),
    }


def write_suites(home: Path, suites: Mapping[str, str]) -> None:
    """Write the suites, and the plugin that stands in for ours."""
    (home / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    for title, text in suites.items():
        folder = folder_of(home, title)
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        for number in range(FILES):
            (folder / f"test_{number:02}.py").write_text(text, encoding="utf-8")


def folder_of(home: Path, title: str) -> Path:
    """Return the folder of a suite."""
    return home / title.replace(" ", "_")


def measure_once(home: Path, title: str, variant: str, tests: int) -> tuple[float, float]:
    """Return wall and CPU seconds of collecting a suite.

    Raises:
        MeasurementError: If pytest did not collect every test.
    """
    output = home / "output.txt"
    command = python_command("pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *ARGUMENTS[variant])
    environment = measured_environment(
        home, extra={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{ROOT}:{home}"}
    )
    wall_s, cpu_s, code = run_timed(command, cwd=folder_of(home, title), environment=environment, output=output)
    printed = output.read_text(encoding="utf-8", errors="replace")
    if code != 0 or f"{tests} tests collected" not in printed:
        raise MeasurementError(f"{title}, {variant}: pytest ended with {code}\n{printed[-2000:]}")
    return wall_s, cpu_s


def render(suites: Sequence[str], times: Mapping[tuple[str, str], Times]) -> str:
    """Write medians, and each variant's ratio to the tests without the plugin, round by round."""
    rows = []
    for title in suites:
        baseline = times[title, PLAIN]
        for variant in ARGUMENTS:
            own = times[title, variant]
            ratios = ["", ""]
            if variant != PLAIN:
                ratios = [show_ratio(own.wall_s, baseline.wall_s), show_ratio(own.cpu_s, baseline.cpu_s)]
            medians = (format_number(median(own.wall_s) * 1e3), format_number(median(own.cpu_s) * 1e3))
            rows.append((title, variant, *medians, *ratios))
    return markdown_table(("suite", "collected", "wall ms", "CPU ms", "wall, ratio, 90 %", "CPU, ratio, 90 %"), rows)


def show_ratio(values: Sequence[float], baseline: Sequence[float]) -> str:
    """Write a ratio with its interval."""
    middle, low, high = paired_ratio(values, baseline)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def judge(suites: Sequence[str], times: Mapping[tuple[str, str], Times]) -> list[str]:
    """Say of each suite and variant of ours whether its CPU ratio is what it may be."""
    lines = []
    for title in suites:
        for variant in (SKIPPED, RECORDING):
            middle, *_ = paired_ratio(times[title, variant].cpu_s, times[title, PLAIN].cpu_s)
            word = "met" if middle <= MOST_RATIO else "NOT MET"
            lines.append(f"- {word}: {title}, {variant}: {100 * (middle - 1):+.1f} %, at most +10 %")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report; 1 if collection costs more than it may."""
    plan, json_file = parse_arguments(arguments)
    command = shlex.join(["python", "benchmarks/collection.py", *arguments])
    suites = make_suites(plan.tests)
    times = {(title, variant): Times() for title in suites for variant in ARGUMENTS}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        home = Path(name).resolve()
        facts = machine_facts(home, core=plan.core, realtime=plan.realtime)
        pin(plan.core, realtime=plan.realtime)
        write_suites(home, suites)
        for number in range(-1, plan.reps):
            for title in suites:
                for variant in shuffled(tuple(ARGUMENTS), number):
                    wall_s, cpu_s = measure_once(home, title, variant, plan.tests)
                    # The first round writes bytecode.
                    if number >= 0:
                        times[title, variant].wall_s.append(wall_s)
                        times[title, variant].cpu_s.append(cpu_s)
            sys.stderr.write(f"round {number + 1} of {plan.reps} done\n")
    verdicts = judge(list(suites), times)
    parts = ["### Collection", render_facts(facts, command), render(list(suites), times), "\n".join(verdicts)]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if json_file is not None:
        rows = [{"suite": title, "collected": variant, **asdict(own)} for (title, variant), own in times.items()]
        figures = {"command": command, "machine": facts, "times": rows, "verdicts": verdicts}
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if any("NOT MET" in line for line in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
