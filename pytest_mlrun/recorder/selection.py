"""Give a run the winner of an experiment, and note where it is judged on rows that chose it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_mlrun.errors import StoreDamagedError
from pytest_mlrun.rules.rows import Rows, count_reused, find_worn, labels_behind
from pytest_mlrun.rules.selection import Candidate, Choice, choose_winner, judge_candidates

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.store.objects import Objects
    from pytest_mlrun.store.reader import Reader

CANDIDATES = "selection.json"
_SESSION, _STORE = "session", "store"
_SOURCES = {_SESSION: "this session", _STORE: "the store"}


@dataclass(frozen=True, slots=True)
class Selected:
    """The winner that a run was given.

    Attributes:
        winner: The winning run.
        reader: The store that it lies in.
        labels: Digests of the labels of every row that decided.
        objects: Where those labels lie.
    """

    winner: RunRecord
    reader: Reader
    labels: tuple[str, ...]
    objects: Objects


def select_winner(recording: Recording, choice: Choice, reader: Reader, objects: Objects, *, session_id: str) -> None:
    """Choose the winner, and write into the record who was a candidate, which rule decided and on which rows.

    Candidates are the experiment's runs of this session; only if it has none, those of the store. Runs that were
    themselves given a winner of the experiment are no candidates.

    Raises:
        RunNotFoundError: If no run can win.
        QueryError: If no run has the metric.
        StoreDamagedError: If the best run may be among those that cannot be read.
    """
    scope, runs = _SESSION, _trained(reader.runs(experiment=choice.experiment, session_id=session_id), choice)
    if not runs:
        scope, runs = _STORE, _trained(reader.runs(experiment=choice.experiment), choice)
        # Afterwards: a store is compared with its checksums as it is read.
        _refuse_damage(reader.damaged(), choice)
    candidates = judge_candidates(runs, choice)
    winner = choose_winner(candidates, choice, source=_SOURCES[scope], owner=recording.plan.test)
    able = [one.run for one in candidates if not one.reason]
    labels = _labels_of(able, choice)
    worn = find_worn(able, labels)
    recording.write_context(
        {
            "selection.winner": winner.run_id,
            "selection.winner_name": winner.name,
            "selection.winner_digest": winner.digest,
            "selection.by": choice.by,
            "selection.goal": choice.goal,
            "selection.where": choice.where,
            "selection.source": scope,
            "selection.candidates": len(candidates),
            "selection.eligible": len(able),
            "selection.labels": {split: sorted(digests) for split, digests in labels.items()},
            **({"selection.worn": worn} if worn else {}),
        }
    )
    listing = json.dumps([_describe(one, choice) for one in candidates], indent=1, allow_nan=False)
    recording.add_bytes(CANDIDATES, listing.encode(), media_type="application/json", role="artifact")
    digests = sorted({digest for found in labels.values() for digest in found})
    recording.selected = Selected(winner, reader, tuple(digests), objects)


def give_recorded_winner(recording: Recording, recorded: RunRecord, reader: Reader, objects: Objects) -> None:
    """Give a replay the winner of the run that it makes again: it is what that one judged, whoever would win now.

    Raises:
        RunNotFoundError: If the store does not have it.
    """
    facts = {key: json.loads(text) for key, text in recorded.context.items() if key.startswith("selection.")}
    winner = reader.find(facts["selection.winner"])
    recording.write_context({key: value for key, value in facts.items() if not key.startswith("selection.reused.")})
    digests = sorted({digest for found in facts["selection.labels"].values() for digest in found})
    recording.selected = Selected(winner, reader, tuple(digests), objects)


def note_reused(recording: Recording, selected: Selected, split: str, columns: Mapping[str, Sequence[object]]) -> None:
    """Write down how many rows of an evaluated split had a part in choosing the winner.

    Args:
        recording: The run that evaluates.
        selected: The winner it was given.
        split: Name of the split.
        columns: ``row_id`` and ``y_true`` of the rows.
    """
    from pytest_mlrun.store.rows import read_columns

    if not selected.labels:
        # The metric was logged by hand: nothing says which rows are behind it.
        return
    tested = Rows(columns["row_id"], columns["y_true"])
    kept = [read_columns(selected.objects.read(digest)) for digest in selected.labels]
    reused = max(count_reused(Rows(rows["row_id"], rows["y_true"]), tested) for rows in kept)
    recording.write_context({f"selection.reused.{split}": {"rows": reused, "of": len(tested.ids)}})


def _refuse_damage(damaged: Sequence[str], choice: Choice) -> None:
    if damaged:
        raise StoreDamagedError(
            f"the best run of {choice.experiment!r} may be unreadable: the store is damaged",
            where=damaged[0],
            next_step="see: pytest-mlrun verify; or run the sweep in this session",
        )


def _trained(runs: Sequence[RunRecord], choice: Choice) -> list[RunRecord]:
    chosen_for = json.dumps(choice.experiment)
    return [run for run in runs if run.context.get("selection.experiment") != chosen_for]


def _labels_of(runs: Sequence[RunRecord], choice: Choice) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run in runs:
        for split, digest in labels_behind(run, choice.metrics).items():
            found.setdefault(split, set()).add(digest)
    return found


def _describe(candidate: Candidate, choice: Choice) -> dict[str, object]:
    run = candidate.run
    value = run.metrics.get(choice.by)
    known = {} if value is None or value - value != 0 else {choice.by: value}
    return {"run": run.run_id, "name": run.name, **known, "can_win": not candidate.reason, "why_not": candidate.reason}
