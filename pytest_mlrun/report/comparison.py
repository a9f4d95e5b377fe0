"""Show in what runs differ: a table for each pillar, one column a run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.facts import (
    MISSING,
    name_of,
    outcome_of,
    short_digest,
    show_number,
    show_numbers,
    show_size,
    show_time,
)
from pytest_mlrun.report.plain import plain_json
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text
from pytest_mlrun.rules.comparison import PILLARS, Aspect, Value
from pytest_mlrun.rules.divergence import Divergence
from pytest_mlrun.rules.params import show_param

Line: TypeAlias = tuple[str, dict[str, bool]]

_INDENT = "  "
_MOST_ROWS = 20
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHORT_COMMIT = 10
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two runs part that both left fingerprints.

    Attributes:
        letters: What they are called, such as ``A, B``.
        runs: The two.
        found: Where; None if they agree.
    """

    letters: str
    runs: tuple[RunRecord, RunRecord]
    found: Divergence | None


@dataclass(frozen=True, slots=True)
class Legend:
    """The runs that are compared, and what is known of them beside their aspects.

    Attributes:
        runs: In the order of the columns.
        code: What git says of their code: headings, with the lines below each.
        partings: Where each run parts from the first.
    """

    runs: Sequence[RunRecord]
    code: Sequence[tuple[str, Sequence[str]]] = ()
    partings: Sequence[Parting] = ()


def letters_of(runs: Sequence[RunRecord]) -> list[str]:
    """Return what each run is called in a comparison: A, B, C …; numbers where letters do not suffice."""
    count = len(runs)
    return list(_LETTERS[:count]) if count <= len(_LETTERS) else [str(number) for number in range(1, count + 1)]


def render_comparison(
    aspects: Sequence[Aspect], legend: Legend, *, width: int | None, now_us: int, verbose: bool = False
) -> list[Line]:
    """Return the lines of a comparison: only what differs, and with ``verbose`` also what is equal.

    Args:
        aspects: As compared.
        legend: The runs.
        width: Terminal columns that a line may take; None for as many as it needs.
        now_us: Microseconds since the epoch.
        verbose: Whether to show what is equal, and every row.
    """
    lines: list[Line] = [(text, {"bold": True}) for text in _heads(legend.runs, width, now_us)]
    letters = letters_of(legend.runs)
    for pillar in PILLARS:
        rows = [aspect for aspect in aspects if aspect.pillar == pillar and (verbose or not aspect.same)]
        if rows:
            lines += _section(pillar, rows, letters, width=width, verbose=verbose)
        if pillar == "code":
            lines += _code_lines(legend.code)
    lines += _parting_lines(legend.partings, width)
    return [*lines, ("", {}), *_closing(aspects, legend.partings, width)]


def json_lines(aspects: Sequence[Aspect], runs: Sequence[RunRecord]) -> Iterator[str]:
    """Yield an object for each aspect: pillar, name, runs, values at full precision, and whether they are equal.

    Args:
        aspects: As compared.
        runs: In the order of the values.
    """
    ids: list[Plain] = [run.run_id for run in runs]
    for aspect in aspects:
        values = [_plain_value(aspect, value) for value in aspect.values]
        line: dict[str, Plain] = {"pillar": aspect.pillar, "name": aspect.name, "same": aspect.same}
        line |= {"runs": ids, "values": values}
        if aspect.pillar == "metrics":
            line |= {"best": [ids[at] for at in aspect.best], "part_at": aspect.part_at}
        yield plain_json(line)


def parting_json_lines(partings: Sequence[Parting]) -> Iterator[str]:
    """Yield an object for each two runs that part: the step, the channels, the size, the likely cause.

    Args:
        partings: As found.
    """
    for parting in partings:
        found = parting.found
        if found is not None:
            line: dict[str, Plain] = {"pillar": "fingerprints", "name": found.channel, "same": False}
            line |= {"runs": [run.run_id for run in parting.runs], "part_at": found.step}
            line |= {"channels": list(found.channels), "size": found.size, "last_size": found.last_size}
            yield plain_json(line | {"likely": found.likely, "sentence": found.sentence})


def _plain_value(aspect: Aspect, value: Value) -> Plain:
    if aspect.pillar == "params" and value is not None:
        return cast("Plain", json.loads(str(value)))
    return value


def _heads(runs: Sequence[RunRecord], width: int | None, now_us: int) -> tuple[str, ...]:
    rows = [
        (letter, run.short_id, name_of(run), run.experiment, outcome_of(run), show_time(run.started_us, now_us=now_us))
        for letter, run in zip(letters_of(runs), runs, strict=True)
    ]
    columns = [
        *(Column(""), Column("")),
        *(Column("", cut="middle", least=20), Column("", cut="middle", rank=2)),
        *(Column(""), Column("", rank=1)),
    ]
    return lay_out(columns, rows, width=width).rows


def _section(
    pillar: str, aspects: Sequence[Aspect], letters: Sequence[str], *, width: int | None, verbose: bool
) -> list[Line]:
    shown = aspects if verbose else aspects[:_MOST_ROWS]
    rows = [[aspect.name, *_cells(aspect), _remark(aspect, letters)] for aspect in shown]
    align = "right" if pillar == "metrics" else "left"
    columns = [
        Column(pillar, cut="middle", least=16),
        # Two runs are always shown; of many, as many as there is room for.
        *(
            Column(letter, align=align, cut="middle", least=10, rank=max(0, at - 1))  # type: ignore[arg-type]
            for at, letter in enumerate(letters)
        ),
        Column("", cut="end"),
    ]
    # The heading stands at the margin, its rows below it are indented.
    layout = lay_out(columns, [[_INDENT + row[0], *row[1:]] for row in rows], width=width)
    lines: list[Line] = [("", {}), *((text, {"bold": True}) for text in layout.header)]
    lines += [(text, {"faint": aspect.same}) for text, aspect in zip(layout.rows, shown, strict=True)]
    if layout.left_out:
        lines.append((f"{_INDENT}no room for: {', '.join(layout.left_out)}  (--json has everything)", {"faint": True}))
    if len(shown) < len(aspects):
        lines.append((f"{_INDENT}… and {len(aspects) - len(shown)} more: -v shows all", {}))
    return lines


def _cells(aspect: Aspect) -> list[str]:
    if aspect.pillar == "metrics":
        values = cast("Sequence[float | None]", aspect.values)
        texts = [text.strip() for text in show_numbers(values, distinct=True)]
        return [
            texts[0],
            *(_with_change(text, value, values[0]) for text, value in zip(texts[1:], values[1:], strict=True)),
        ]
    return [_show(aspect, value) for value in aspect.values]


def _with_change(text: str, value: float | None, first: float | None) -> str:
    if value is None or first is None or not math.isfinite(value - first) or value == first:
        return text
    change = show_number(abs(value - first))
    return f"{text} ({'+' if value > first else '-'}{change})"


def _show(aspect: Aspect, value: Value) -> str:
    if value is None:
        return MISSING
    if aspect.pillar == "params":
        return show_param(str(value), width=_LONGEST)
    if aspect.name == "commit":
        return str(value)[:_SHORT_COMMIT]
    if aspect.name.endswith("_bytes") and isinstance(value, int):
        return show_size(value)
    if isinstance(value, str):
        return short_digest(value) if value.startswith("sha256:") else value or "none"
    return str(value)


def _remark(aspect: Aspect, letters: Sequence[str]) -> str:
    if aspect.same:
        return "="
    if aspect.pillar == "metrics":
        return ", ".join(part for part in (_best(aspect, letters), _parted(aspect)) if part)
    if aspect.pillar in {"data", "packages", "artifacts"} and len(aspect.values) == 2:  # noqa: PLR2004 - before and after
        before, after = aspect.values
        return "appeared" if before is None else "vanished" if after is None else "changed"
    return ""


def _best(aspect: Aspect, letters: Sequence[str]) -> str:
    if not aspect.best:
        return ""
    if len(letters) == 2:  # noqa: PLR2004 - one of two is better, one of more is best
        return f"{letters[aspect.best[0]]} is better"
    return f"best: {', '.join(letters[at] for at in aspect.best)}"


def _parted(aspect: Aspect) -> str:
    return "" if aspect.part_at is None else f"curves part at step {aspect.part_at}"


def _code_lines(code: Sequence[tuple[str, Sequence[str]]]) -> list[Line]:
    lines: list[Line] = []
    for heading, body in code:
        lines.append((_INDENT + heading, {}))
        lines += [(_INDENT * 2 + clean_text(text.strip()), {}) for text in body]
    return lines


def _parting_lines(partings: Sequence[Parting], width: int | None) -> list[Line]:
    apart = [(parting.letters, parting.found.sentence) for parting in partings if parting.found is not None]
    lines: list[Line] = [("", {}), ("where they part", {"bold": True})] if apart else []
    for letters, sentence in apart:
        text = sentence if len(partings) == 1 else f"{letters}: {sentence}"
        room = None if width is None else width - len(_INDENT)
        lines += [(_INDENT + part, {}) for part in wrap_text(clean_text(text), room)]
    return lines


def _closing(aspects: Sequence[Aspect], partings: Sequence[Parting], width: int | None) -> list[Line]:
    known = [pillar for pillar in PILLARS if any(aspect.pillar == pillar for aspect in aspects)]
    differ = [pillar for pillar in known if any(aspect.pillar == pillar and not aspect.same for aspect in aspects)]
    equal = [str(pillar) for pillar in known if pillar not in differ]
    parted = any(parting.found is not None for parting in partings)
    if partings and not parted:
        equal.append("fingerprints")
    if not differ and not parted:
        text = f"no difference: {', '.join(equal)} are equal"
    else:
        text = f"no difference in {', '.join(equal)}" if equal else "every pillar differs"
    return [(part, {"green": not differ}) for part in wrap_text(text, width)]
