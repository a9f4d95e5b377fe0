"""Write the summary of a session's runs that stands at the end of a test session."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pytest_mlrun.records.names import STORE_FOLDER
from pytest_mlrun.records.project import Goal, Leaderboard
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.report.facts import describe_gates, is_bad, last_error_line, name_of, outcome_of
from pytest_mlrun.report.held_out import doubt_lines, look_lines
from pytest_mlrun.report.lineage import branch_lines, reuse_warnings, selection_lines
from pytest_mlrun.report.run_table import Selection, choose_metrics, lay_out_runs
from pytest_mlrun.report.standing import Standing, standing_of
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.report.unpinned import unpinned_warnings
from pytest_mlrun.rules.gates import failure, is_broken, verdict_lines

Line: TypeAlias = tuple[str, dict[str, bool]]
"""A text and the markup of pytest's ``write_line``: what the markup says is always said in words too."""

MOST_ROWS = 20
_BEST_ROWS = 10
_MOST_GATES = 20
_ORDER = ("passed", "failed", "error", "skipped", "killed", "orphaned", "running")


def render_summary(
    runs: Sequence[RunRecord],
    *,
    verbosity: int,
    width: int,
    leaderboards: Mapping[str, Leaderboard],
    store_path: Path,
    recovered: int = 0,
    goals: Mapping[str, Goal] | None = None,
) -> list[Line]:
    """Return the lines of the summary: nothing under ``-q``, everything under ``-v``.

    Args:
        runs: The session's runs, in any order.
        verbosity: pytest's: below 0 is quiet, above 0 verbose.
        width: Terminal columns that a line may take.
        leaderboards: Experiment to what says which run is best.
        store_path: Folder of the store.
        recovered: How many runs of other, dead sessions were sealed as orphaned.
        goals: Metric to whether more or less of it is better, where a project says so.
    """
    if verbosity < 0 or not runs:
        return []
    lines: list[Line] = []
    experiments = sorted({run.experiment for run in runs})
    for experiment in experiments:
        board = leaderboards.get(experiment)
        standing = None if board is None else standing_of(board, goals or {})
        if lines:
            lines.append(("", {}))
        family = _families_together([run for run in runs if run.experiment == experiment])
        lines += _block(experiment, family, standing, verbose=verbosity > 0, width=width)
    lines += _recovered_lines(recovered)
    lines.append((_store_line(store_path, experiments, leaderboards), {}))
    return lines


def _block(
    experiment: str, runs: Sequence[RunRecord], standing: Standing | None, *, verbose: bool, width: int
) -> list[Line]:
    bad = any(is_bad(run) for run in runs)
    head = f"mlrun: {_count(len(runs), 'run')} of {experiment} ({_count_outcomes(runs)})"
    lines: list[Line] = [(clean_text(head), {"bold": True, "red" if bad else "green": True})]
    best = None if standing is None else standing.best_of(runs)
    shown = runs if verbose or len(runs) <= MOST_ROWS else _most_telling(runs, standing)
    marks = {} if best is None or len(runs) == 1 else {best.run_id: "*"}
    first = () if standing is None else standing.metrics
    selection = Selection(
        identity=("mark", "name", "outcome", *(("duration",) if verbose else ())),
        metrics=choose_metrics(runs, first=first, **({"most": None} if verbose else {})),
        marks=marks,
    )
    layout = lay_out_runs(shown, selection, width=width, now_us=time.time_ns() // 1000)
    lines += [(text, {}) for text in layout.header]
    lines += [(text, _markup(run, best)) for text, run in zip(layout.rows, shown, strict=True)]
    if len(shown) < len(runs):
        lines.append((f"… and {len(runs) - len(shown)} more: pytest-mlrun runs --experiment {experiment}", {}))
    if layout.left_out:
        lines.append((f"no room for: {', '.join(layout.left_out)}", {}))
    if marks:
        lines.append((f"* best: {standing}", {"green": True}))
    elif standing is not None and best is None:
        lines.append((f"no best run: none passed with {standing}", {}))
    lines += [(clean_text(text), {}) for text in (*branch_lines(runs), *selection_lines(runs))]
    warned = (*reuse_warnings(runs), *doubt_lines(runs), *unpinned_warnings(runs))
    lines += [(clean_text(text), {"yellow": True}) for text in warned]
    lines += [(clean_text(text), {}) for text in look_lines(runs)]
    return [*lines, *_all_gate_lines(runs), *_error_lines(runs)] if verbose else [*lines, *_gate_lines(runs)]


def _most_telling(runs: Sequence[RunRecord], standing: Standing | None) -> list[RunRecord]:
    leading = runs if standing is None else standing.best_first(runs)
    leaders = {run.run_id for run in leading[:_BEST_ROWS]}
    order = {run.run_id: rank for rank, run in enumerate(leading[:_BEST_ROWS])}
    chosen = [run for run in runs if run.run_id in leaders or is_bad(run)]
    return sorted(chosen, key=lambda run: order.get(run.run_id, _BEST_ROWS))


def _families_together(runs: Sequence[RunRecord]) -> list[RunRecord]:
    started = {run.run_id: run.run_id for run in runs}
    return sorted(runs, key=lambda run: (started.get(run.parent_id or "", run.run_id), run.run_id))


def _gate_lines(runs: Sequence[RunRecord]) -> list[Line]:
    told = [(run, verdict) for run in runs for verdict in run.gates if is_broken(verdict) or _is_open(verdict)]
    lines: list[Line] = []
    for run, verdict in told[:_MOST_GATES]:
        first, *more = [failure([verdict]).headline] if is_broken(verdict) else verdict_lines(verdict)
        lines += _told(f"{first}  ({name_of(run)})", more, verdict)
    if len(told) > _MOST_GATES:
        lines.append((f"… and {_count(len(told) - _MOST_GATES, 'gate')} more: pytest -v, or pytest-mlrun show RUN", {}))
    return lines


def _all_gate_lines(runs: Sequence[RunRecord]) -> list[Line]:
    told = [(run, verdict) for run in runs for verdict in run.gates]
    texts, remark = describe_gates([verdict for _, verdict in told])
    lines: list[Line] = []
    for (first, *more), (run, verdict) in zip(texts, told, strict=True):
        lines += _told(f"{first}  ({name_of(run)})", more, verdict)
    return [*lines, (remark, {})] if remark else lines


def _told(first: str, more: Sequence[str], verdict: Verdict) -> list[Line]:
    markup = {"red": True} if is_broken(verdict) else {"yellow": True} if _is_open(verdict) else {}
    return [(clean_text(first), markup), *((clean_text(line), {}) for line in more)]


def _is_open(verdict: Verdict) -> bool:
    return verdict.decision == "INCONCLUSIVE"


def _error_lines(runs: Sequence[RunRecord]) -> list[Line]:
    # A failed gate has said everything in its own line.
    failed = [run for run in runs if run.error and is_bad(run) and run.cause != "gate"]
    return [
        (clean_text(f"{outcome_of(run)}: {last_error_line(run)}  ({name_of(run)})"), {"red": True}) for run in failed
    ]


def _markup(run: RunRecord, best: RunRecord | None) -> dict[str, bool]:
    if is_bad(run):
        return {"red": True}
    return {"green": True} if best is not None and run.run_id == best.run_id else {}


def _count_outcomes(runs: Iterable[RunRecord]) -> str:
    words = [outcome_of(run).partition(":")[0] for run in runs]
    known = [*_ORDER, *sorted(set(words).difference(_ORDER))]
    return ", ".join(f"{words.count(word)} {word}" for word in known if word in words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _recovered_lines(recovered: int) -> list[Line]:
    if recovered == 0:
        return []
    text = f"{_count(recovered, 'run')} of processes that died, kept as orphaned: pytest-mlrun runs --status orphaned"
    return [(text, {"yellow": True})]


def _store_line(store_path: Path, experiments: Sequence[str], leaderboards: Mapping[str, Leaderboard]) -> str:
    folder = Path.cwd()
    # The program finds a store of the default name in this folder and in those above by itself.
    found = store_path.name == STORE_FOLDER and folder.is_relative_to(store_path.parent)
    near = store_path.is_relative_to(folder)
    shown = os.path.relpath(store_path) if found or near else str(store_path)
    ranked = [experiment for experiment in experiments if experiment in leaderboards]
    verb = shlex.join(["top", ranked[0]] if ranked else ["runs"])
    option = "" if found else f"--store {shlex.quote(shown)} "
    return clean_text(f"store: {shown}  ·  pytest-mlrun {option}{verb}")
