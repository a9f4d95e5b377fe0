"""Count each look of a run at held-out rows, and record which one it was."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import HoldoutSpentError, MetricError
from pytest_mlrun.records.look import LEDGER_FILE, Look, Standing
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.registry.ledger import committed_looks, take_look
from pytest_mlrun.rules.held_out import (
    USUAL_LOOKS,
    Shown,
    close,
    data_of,
    decimals_of,
    digest_model,
    digest_rows,
    step_of,
)

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.rules.gate_policy import GatePolicy
    from pytest_mlrun.rules.scored_rows import ScoredRows
    from pytest_mlrun.store.store import Store

CONTEXT = "holdout."
GATE, METHOD = "holdout", "ledger"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A metric that was computed on held-out rows.

    Attributes:
        shown: The score, and how much of it is shown.
        standing: Which look it was.
    """

    shown: Shown
    standing: Standing


class Looks:
    """The looks that were taken before this process began: what git and the run store know of them.

    Args:
        store: The run store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._committed: dict[Path, list[tuple[str, Look]]] = {}
        self._recorded: list[Mapping[str, str]] | None = None

    def take(self, project: Path, wanted: Look) -> Standing:
        """Write a look down; see ``take_look``."""
        return take_look(
            project,
            wanted,
            committed=self._committed_in(project),
            recorded=[
                (fact["rows"], fact["model"])
                for fact in self._in_store()
                if fact["rows"] == wanted.rows or fact["snapshot"] == wanted.snapshot
            ],
            nonce=uuid.uuid4().hex,
        )

    def _committed_in(self, project: Path) -> list[tuple[str, Look]]:
        from pytest_mlrun.pillars.git import open_repository

        if project not in self._committed:
            repository = open_repository(project)
            found: list[tuple[str, Look]] = []
            if not isinstance(repository, str) and repository.head() is not None:
                path = os.path.relpath(project.resolve() / LEDGER_FILE, repository.root.resolve())
                found = committed_looks(repository.ask, path)
            self._committed[project] = found
        return self._committed[project]

    def _in_store(self) -> list[Mapping[str, str]]:
        if self._recorded is None:
            self._recorded = [
                json.loads(text)
                for run in self._store.reader().runs()
                for key, text in run.context.items()
                if key.startswith(CONTEXT)
            ]
        return self._recorded


def look_at(
    recording: Recording, rows: ScoredRows, split: str, scores: Mapping[str, float], *, data: str | None
) -> dict[str, HeldOut]:
    """Count a look, if the rows are held out, before anybody sees a score.

    Args:
        recording: The run that evaluates.
        rows: The rows, as a gate will read them.
        split: Name of the split.
        scores: Metric, without the split, to score.
        data: Snapshot that the rows are of, if the test says it.

    Returns:
        Metric, without the split, to what may be shown of it; nothing where the rows are not held out.

    Raises:
        DataError: If nothing says which snapshot the rows are of.
        HoldoutSpentError: If there is no look left.
        LedgerError: If the look cannot be counted.
    """
    known = recording.plan.project.data
    name = data_of(split, data, used=_data_used(recording), known=known)
    if name is None:
        return {}
    steps = {metric: step_of(_error_of(rows, metric)) for metric in scores}
    wanted = Look(
        data=name,
        snapshot=recording.snapshot(name).digest,
        rows=digest_rows(rows.ids, rows.truth),
        model=digest_model(rows.ids, rows.truth, rows.out),
        run=recording.id,
        commit=recording.code.commit or "",
        gate=f"evaluate {split}",
        mode="evaluate",
        verdict="",
        digits=max((decimals_of(step) for step in steps.values()), default=0),
        number=0,
        of=known[name].looks or USUAL_LOOKS,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    standing = _take(recording, wanted, split)
    recording.write_context({f"{CONTEXT}{split}": _facts(standing, steps)})
    return {metric: HeldOut(Shown(score, steps[metric]), standing) for metric, score in scores.items()}


def _data_used(recording: Recording) -> list[str]:
    """Return the names of the snapshots that a run, or one around it, has asked for."""
    return [*recording.snapshots, *(_data_used(recording.parent) if recording.parent is not None else ())]


def _take(recording: Recording, wanted: Look, split: str) -> Standing:
    try:
        return recording.looks.take(recording.plan.project.root, wanted)
    except HoldoutSpentError as spent:
        reason = f"is {spent.headline.partition(' are ')[2]}"
        recording.judge(Verdict(gate=GATE, metric=split, decision="FAIL", method=METHOD, reason=reason))
        raise


def _facts(standing: Standing, steps: Mapping[str, float]) -> dict[str, object]:
    look = standing.look
    return {
        "data": look.data,
        "snapshot": look.snapshot,
        "rows": look.rows,
        "model": look.model,
        "look": look.number,
        "of": look.of,
        "since": standing.since,
        "steps": dict(steps),
        **({"trouble": standing.trouble} if standing.trouble else {}),
    }


def _error_of(rows: ScoredRows, metric: str) -> float:
    """Return the standard error of a score; 0 where it has none."""
    from pytest_mlrun.rules.scored_rows import influence_of
    from pytest_mlrun.rules.statistics.sample import summarise

    try:
        influence = influence_of(replace(rows, metric=metric), groups=rows.groups)
    except MetricError:
        return 0.0
    return 0.0 if influence is None else summarise(influence, groups=rows.groups).se


# -- gates -------------------------------------------------------------------------------------------------------------


def held_out_of(recording: Recording, metric: str) -> HeldOut | None:
    """Return the look that a metric of a run was; None where it is of no held-out rows, or logged again since."""
    found = recording.held_out.get(metric)
    return found if found is not None and recording.values.get(metric) == found.shown.value else None


def policy_for(policy: GatePolicy, held: HeldOut | None) -> GatePolicy:
    """Return what is asked of a gate: on held-out rows all looks share its error rate."""
    return policy if held is None else replace(policy, looks=held.standing.look.of)


def note_gate(recording: Recording, verdict: Verdict, held: HeldOut) -> Verdict:
    """Write down what a gate found on held-out rows, and return the verdict as it is shown."""
    look = replace(
        held.standing.look,
        run=recording.id,
        gate=f"{verdict.gate} {verdict.metric}",
        mode=verdict.require,
        verdict=verdict.decision,
        digits=decimals_of(held.shown.step),
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    recording.looks.take(recording.plan.project.root, look)
    return close(verdict, held.shown.step, told=tell(held.standing))


def tell(standing: Standing) -> str:
    """Return such as ``look 7 of 20 on holdout 3f2a (since 2026-10-02)``."""
    look = standing.look
    short = look.rows.removeprefix("sha256:")[:4]
    return f"look {look.number} of {look.of} on holdout {short} (since {standing.since})"
