"""Compare pytest with the idle plugin, with one whose hooks are empty, and alone. No I/O, no clock."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import format_number, markdown_table, paired_difference

PLAIN = "pytest alone"
EMPTY = "empty hooks"
EMPTY_AGAIN = "empty hooks, again"
OURS = "pytest-mlrun"
VARIANTS = (PLAIN, EMPTY, EMPTY_AGAIN, OURS)
FEWEST_ROUNDS = 5  # with fewer not even the whole range holds the median with 90 %
FORBIDDEN = ("numpy", "pyarrow", "sklearn", "filelock")


@dataclass(frozen=True)
class Case:
    """One pytest command over one suite.

    Attributes:
        title: How the report names it.
        suite: Folder of the suite.
        collect_only: Whether tests are collected and not run.
        exit_code: What pytest must return, so that a broken command is not taken for a fast one.
    """

    title: str
    suite: str
    collect_only: bool
    exit_code: int


@dataclass
class Times:
    """Seconds of one variant in one case, round by round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Observation:
    """What one run loaded and left behind: names of modules, and paths of new files other than bytecode."""

    modules: frozenset[str]
    files: tuple[str, ...]


def make_cases(tests: int) -> tuple[Case, ...]:
    """Return the four commands; with 0 tests pytest ends with 5."""
    return (
        Case("no test, --collect-only", "empty", collect_only=True, exit_code=5),
        Case("no test", "empty", collect_only=False, exit_code=5),
        Case(f"{tests} tests, --collect-only", "full", collect_only=True, exit_code=0),
        Case(f"{tests} tests", "full", collect_only=False, exit_code=0),
    )


def empty_plugin(source: str) -> str:
    """Return a plugin that implements the same hooks as the given one, with the same arguments, and does nothing."""
    hooks = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_")
    ]
    return "\n\n".join(["import pytest", *(_empty_hook(hook) for hook in hooks)]) + "\n"


def _empty_hook(hook: ast.FunctionDef) -> str:
    decorators = "".join(f"@{ast.unparse(decorator)}\n" for decorator in hook.decorator_list)
    arguments = ", ".join(argument.arg for argument in hook.args.args)
    wrapper = any(isinstance(node, ast.Yield) for node in ast.walk(hook))
    return f"{decorators}def {hook.name}({arguments}):\n    {'return (yield)' if wrapper else 'pass'}\n"


def find_problems(case: Case, observation: Observation) -> list[str]:
    """Say what an idle plugin must not do, and did."""
    loaded = [f"{case.title}: {name} was imported" for name in FORBIDDEN if name in observation.modules]
    return loaded + [f"{case.title}: {path} was written" for path in observation.files]


def render_times(cases: Sequence[Case], times: Mapping[tuple[str, str], Times]) -> str:
    """Write the medians, and each variant's difference to the plugin with empty hooks, round by round."""
    rows = []
    for case in cases:
        baseline = times[case.title, EMPTY]
        for variant in VARIANTS:
            own = times[case.title, variant]
            differences = ["", ""]
            if variant != EMPTY:
                differences = [_difference(own.wall_s, baseline.wall_s), _difference(own.cpu_s, baseline.cpu_s)]
            medians = (format_number(median(own.wall_s) * 1e3), format_number(median(own.cpu_s) * 1e3))
            rows.append((case.title, variant, *medians, *differences))
    headers = ("command", "plugin", "wall ms", "CPU ms", "wall ms to empty hooks, 90 %", "CPU ms to empty hooks, 90 %")
    return markdown_table(headers, rows)


def judge_noise(cases: Sequence[Case], times: Mapping[tuple[str, str], Times]) -> list[str]:
    """Say of each command whether our difference to empty hooks can be told from none."""
    lines = []
    for case in cases:
        own, baseline = times[case.title, OURS].wall_s, times[case.title, EMPTY].wall_s
        middle, low, high = paired_difference(own, baseline)
        if len(own) < FEWEST_ROUNDS:
            lines.append(f"- too few rounds to say: {case.title}")
        else:
            word = "within noise" if low <= 0 <= high else "slower" if middle > 0 else "faster"
            percent = 100 * middle / median(baseline)
            lines.append(f"- {word}: {case.title}: {_difference(own, baseline)} ms, {percent:+.1f} %")
    return lines


def render_modules(cases: Sequence[Case], seen: Mapping[tuple[str, str], Observation]) -> str:
    """Say how many modules each variant loads, and which ones only we load."""
    rows = [
        (variant, *(str(len(seen[case.title, variant].modules)) for case in cases)) for variant in (PLAIN, EMPTY, OURS)
    ]
    first = cases[0].title
    added = sorted(seen[first, OURS].modules - seen[first, EMPTY].modules)
    table = markdown_table(("modules loaded", *(case.title for case in cases)), rows)
    return f"{table}\n\nOnly with pytest-mlrun: {', '.join(f'`{name}`' for name in added) or 'none'}"


def _difference(values: Sequence[float], baseline: Sequence[float]) -> str:
    middle, low, high = (figure * 1e3 for figure in paired_difference(values, baseline))
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
