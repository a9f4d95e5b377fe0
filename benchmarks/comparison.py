"""Compare what the trackers took: one row each, and whether the goals are met. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import format_number, markdown_table
from benchmarks.measurement import Timing
from benchmarks.peers import OURS

FLOOR = "floor"
GOAL_US = 1.0
GOAL_RATIO = 10.0
MEASURED = "measured"


@dataclass(frozen=True)
class Kill:
    """One run that was killed.

    Attributes:
        acknowledged: Points whose call had returned.
        kept: How many of them a fresh process read back.
    """

    acknowledged: int
    kept: int


@dataclass
class Result:
    """Everything measured about one tracker.

    Attributes:
        name: Its file under ``peers/``.
        title: How the report names it.
        note: What a reader must know.
        versions: Its packages.
        status: ``measured``, ``not installed``, or ``failed: …``.
        empty_bytes: Files of a run without a point.
        timings: One a round.
        kept: Points of the first round that a fresh process read back.
        kills: One a kill.
    """

    name: str
    title: str
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    status: str = MEASURED
    empty_bytes: int = 0
    timings: list[Timing] = field(default_factory=list)
    kept: int = 0
    kills: list[Kill] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether there is any timing."""
        return self.status == MEASURED and bool(self.timings)


@dataclass(frozen=True)
class Summary:
    """Medians over the rounds; ``us`` and ``bytes`` are per point, ``us`` is calls and finish together."""

    points: int
    us: float
    us_low: float
    us_high: float
    cpu_us: float
    call_us: float
    start_ms: float
    finish_ms: float
    sync_ms: float
    bytes: float


def summarize(timings: Sequence[Timing], empty_bytes: int) -> Summary:
    """Take the medians of one tracker's rounds."""
    points = timings[0].points
    totals_us = [(timing.calls_s + timing.finish_s) / points * 1e6 for timing in timings]
    return Summary(
        points=points,
        us=median(totals_us),
        us_low=min(totals_us),
        us_high=max(totals_us),
        cpu_us=median(timing.cpu_s for timing in timings) / points * 1e6,
        call_us=median(timing.calls_s for timing in timings) / points * 1e6,
        start_ms=median(timing.start_s for timing in timings) * 1e3,
        finish_ms=median(timing.finish_s for timing in timings) * 1e3,
        sync_ms=median(timing.sync_s for timing in timings) * 1e3,
        bytes=(median(timing.size_bytes for timing in timings) - empty_bytes) / points,
    )


def summaries_of(results: Sequence[Result]) -> dict[str, Summary]:
    """Return the medians of every tracker that was measured, by name."""
    return {result.name: summarize(result.timings, result.empty_bytes) for result in results if result.measured}


def render_timings(results: Sequence[Result]) -> str:
    """Write the table of times, fastest first; what was not measured comes last and says why."""
    headers = (
        "tracker", "version", "points", "μs/point", "min to max", "x ours", "CPU μs", "call μs", "finish ms",
        "start ms", "sync ms", "B/point", "read back",
    )  # fmt: skip
    summaries = summaries_of(results)
    ours = summaries.get(OURS)
    rows = []
    for result in sorted(results, key=lambda result: summaries[result.name].us if result.measured else float("inf")):
        version = next(iter(result.versions.values()), "-")
        if not result.measured:
            rows.append((result.title, version, result.status, *[""] * (len(headers) - 3)))
            continue
        summary = summaries[result.name]
        figures = (summary.cpu_us, summary.call_us, summary.finish_ms, summary.start_ms, summary.sync_ms, summary.bytes)
        rows.append((
            result.title,
            version,
            f"{summary.points:,}",
            format_number(summary.us),
            f"{format_number(summary.us_low)} to {format_number(summary.us_high)}",
            format_number(summary.us / ours.us) if ours else "-",
            *(format_number(figure) for figure in figures),
            f"{result.kept:,}",
        ))  # fmt: skip
    return markdown_table(headers, rows)


def render_kills(results: Sequence[Result]) -> str:
    """Write the table of kills; empty if nothing was killed."""
    killed = [result for result in results if result.kills]
    if not killed:
        return ""
    rows = []
    for result in killed:
        acknowledged = sum(kill.acknowledged for kill in result.kills)
        lost = acknowledged - sum(kill.kept for kill in result.kills)
        rows.append((
            result.title,
            str(len(result.kills)),
            f"{acknowledged:,}",
            f"{lost:,}",
            _percent(acknowledged - lost, acknowledged),
            min((_percent(kill.kept, kill.acknowledged) for kill in result.kills), key=float),
        ))  # fmt: skip
    return markdown_table(("tracker", "kills", "acknowledged", "lost", "kept %", "worst kill, kept %"), rows)


def render_notes(results: Sequence[Result]) -> str:
    """Write the trackers' notes as a list."""
    return "\n".join(f"- {result.title}: {result.note}" for result in results if result.note)


def judge_goals(results: Sequence[Result]) -> list[str]:
    """Say of each goal what was found and whether it is met; nothing of a goal that was not measured."""
    summaries = summaries_of(results)
    ours = summaries.get(OURS)
    if ours is None:
        return []
    lines = [_goal(f"at most {GOAL_US:g} μs a point, all in", f"{format_number(ours.us)} μs", met=ours.us <= GOAL_US)]
    others = [result for result in results if result.measured and result.name not in {OURS, FLOOR}]
    if others:
        fastest = min(others, key=lambda result: summaries[result.name].us)
        ratio = summaries[fastest.name].us / ours.us
        found = f"{format_number(ratio)} x ({fastest.title}: {format_number(summaries[fastest.name].us)} μs)"
        lines.append(_goal(f"at least {GOAL_RATIO:g} x faster than the fastest", found, met=ratio >= GOAL_RATIO))
    kills = next(result.kills for result in results if result.name == OURS)
    if kills:
        lost = sum(kill.acknowledged - kill.kept for kill in kills)
        found = f"{lost:,} of {sum(kill.acknowledged for kill in kills):,} points"
        lines.append(_goal("nothing lost at SIGKILL", found, met=lost == 0))
    return lines


def _goal(goal: str, found: str, *, met: bool) -> str:
    return f"- {'met' if met else 'NOT MET'}: {goal}: {found}"


def _percent(part: int, whole: int) -> str:
    # Rounded down: 100 must mean that nothing is missing.
    return f"{int(1000 * part / whole) / 10:.1f}" if whole else "100.0"
