"""Turn a run's facts into short text for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, tzinfo

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.gates import UNCALIBRATED, verdict_line, verdict_lines

MISSING = "-"
_BLOCKS = "▁▂▃▄▅▆▇█"
_DIGITS = 4
_MOST_DECIMALS = 6
_MOST_GATES = 4


def outcome_of(run: RunRecord) -> str:
    """Return how a run ended in one or two words: ``passed``, ``failed: gate``, ``orphaned``."""
    told = run.status in {"finished", "failed"} or run.outcome == "skipped"
    word = run.outcome if run.outcome and told else run.status
    return f"{word}: {run.cause}" if run.cause not in {"", "unknown", word} else word


def is_bad(run: RunRecord) -> bool:
    """Whether something went wrong with a run."""
    ended = run.status in {"failed", "killed", "orphaned"} and run.outcome != "skipped"
    return ended or run.outcome in {"failed", "error"}


def name_of(run: RunRecord) -> str:
    """Return a run's name, with the attempt if it is a rerun."""
    return f"{run.name} (attempt {run.attempt})" if run.attempt > 1 else run.name


def last_error_line(run: RunRecord) -> str:
    """Return the line of a traceback, or of an error's text, that says what went wrong."""
    lines = [line.strip() for line in run.error.splitlines() if line.strip()]
    # pytest marks the lines of the message with "E   ": the first of them is the headline.
    marked = [line[1:].strip() for line in lines if line.startswith("E  ")]
    if marked or not lines:
        return marked[0] if marked else ""
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def describe_gates(verdicts: Sequence[Verdict]) -> tuple[list[list[str]], str]:
    """Return the lines of each verdict, and the sentence that would otherwise end many of them, or nothing."""
    tail = f" | {UNCALIBRATED}"
    lines = [verdict_line(verdict) for verdict in verdicts]
    told = [[line.removesuffix(tail) for line in verdict_lines(verdict)] for verdict in verdicts]
    bare = [verdict for line, verdict in zip(lines, verdicts, strict=True) if line.endswith(tail)]
    return told, _uncalibrated(bare, among=len(verdicts))


def _uncalibrated(bare: Sequence[Verdict], *, among: int) -> str:
    """Return the sentence, with the gates that it speaks of where others were judged by more than a value."""
    if not bare or len(bare) == among:
        return UNCALIBRATED if bare else ""
    gates = list(dict.fromkeys(f"{verdict.gate} of {verdict.metric}" for verdict in bare))
    more = [f"{len(gates) - _MOST_GATES} more"] if len(gates) > _MOST_GATES else []
    word, colon, rest = UNCALIBRATED.partition(": ")
    return f"{word} ({', '.join([*gates[:_MOST_GATES], *more])}){colon}{rest}"


# -- numbers -----------------------------------------------------------------------------------------------------------


def show_number(value: float | None, *, digits: int = _DIGITS) -> str:
    """Return a number with four significant digits."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits}g}")
    if value == 0 or 1e-4 <= abs(rounded) < 10**digits:  # noqa: PLR2004 - smaller numbers read better with an exponent
        return f"{value:.{digits}g}"
    if 1 <= abs(value) < 10 ** (digits + 3):
        # Euros and rows, which nobody reads in powers of ten: 43926.7 is 43930 in four digits.
        return str(int(value)) if value.is_integer() else f"{rounded:.0f}"
    return f"{value:.{digits - 1}e}".replace("e+0", "e+").replace("e-0", "e-")


def show_numbers(values: Sequence[float | None], *, distinct: bool = False) -> list[str]:
    """Return numbers for one column: with equally many decimals where that keeps four digits of the largest.

    Args:
        values: The column; None is shown as missing.
        distinct: Whether different numbers should look different, as far as six digits reach.
    """
    shown = _show_column(values, _DIGITS)
    known = {value for value in values if value is not None and math.isfinite(value)}
    for digits in (_DIGITS + 1, _DIGITS + 2):
        if not distinct or len({text for text, value in zip(shown, values, strict=True) if value in known}) == len(
            known
        ):
            break
        shown = _show_column(values, digits)
    return shown


def _show_column(values: Sequence[float | None], digits: int) -> list[str]:
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    whole = all(value is None or not math.isfinite(value) or value.is_integer() for value in values)
    if not sizes or whole or max(sizes) >= 10**digits or min(sizes) < max(sizes) / 100:
        return [show_number(value, digits=digits) for value in values]
    decimals = digits - 1 - math.floor(math.log10(max(sizes)))
    if decimals > _MOST_DECIMALS:
        return [show_number(value, digits=digits) for value in values]
    return [
        show_number(value) if value is None or not math.isfinite(value) else f"{value:.{decimals}f}" for value in values
    ]


def show_size(size_bytes: int) -> str:
    """Return a number of bytes: ``812 B``, ``12.3 kB``, ``4.56 GB``."""
    if size_bytes < 1000:  # noqa: PLR2004 - SI prefixes go by thousands
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5:  # noqa: PLR2004 - 999.6 would be rounded up to 1e+03
            return f"{size:.3g} {unit}"
    return f"{size / 1000:.4g} TB"


def show_duration(duration_us: int) -> str:
    """Return a time span: ``84 ms``, ``12.3 s``, ``3 min 12 s``, ``2 h 05 min``."""
    seconds = duration_us / 1e6
    if seconds < 0.9995:  # noqa: PLR2004 - what would be rounded up to 1000 ms
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:  # noqa: PLR2004 - what would be rounded up to 60.0 s
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def show_time(time_us: int, *, now_us: int, zone: tzinfo | None = None) -> str:
    """Return a time of day in short: ``14:03:27`` of today, ``Nov 24 14:03`` of this year, ``2025-11-24`` before.

    Args:
        time_us: Microseconds since the epoch.
        now_us: Likewise, of now.
        zone: Time zone to show it in; the machine's if None.
    """
    then = datetime.fromtimestamp(time_us / 1e6, tz=zone).astimezone(zone)
    now = datetime.fromtimestamp(now_us / 1e6, tz=zone).astimezone(zone)
    if then.date() == now.date():
        return f"{then:%H:%M:%S}"
    return f"{then:%b %d %H:%M}" if then.year == now.year else f"{then:%Y-%m-%d}"


# -- digests, series, params -------------------------------------------------------------------------------------------


def short_digest(digest: str) -> str:
    """Return a digest's first 8 hex digits, its algorithm before them."""
    algorithm, colon, text = digest.partition(":")
    return f"{algorithm}:{text[:8]}…" if colon and len(text) > 8 else digest  # noqa: PLR2004 - nothing to shorten


def count_of(series: str) -> int:
    """Return how many points a series has, from ``"<count>:sha256:<hex>"``."""
    return int(series.partition(":")[0])


def sparkline(values: Sequence[float], *, width: int) -> str:
    """Return a curve of Unicode blocks; ``x`` where nothing is finite.

    Args:
        values: The points, in order.
        width: Most characters; more points than that are averaged.
    """
    count = min(width, len(values))
    means = [_mean(values[at * len(values) // count : (at + 1) * len(values) // count]) for at in range(count)]
    finite = [value for value in means if value is not None]
    if not finite:
        return "x" * count
    low, high = min(finite), max(finite)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    middle = len(_BLOCKS) // 2
    return "".join(
        "x" if value is None else _BLOCKS[round((value - low) * scale) if scale else middle] for value in means
    )


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    # Halves first: the sum of two numbers near the largest float would be infinite.
    return sum(value / len(finite) for value in finite) if finite else None


def fact(run: RunRecord, name: str) -> object:
    """Return a fact of a run's context, or None where it is not known."""
    text = run.context.get(name)
    return None if text is None else json.loads(text)
