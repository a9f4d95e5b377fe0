"""Find the gates that began to fail: one alert an episode, not one a night."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError, StoreError
from pytest_mlrun.records.episode import Episode
from pytest_mlrun.rules.gates import is_broken

if TYPE_CHECKING:
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.store.reader import Reader


def find_episodes(runs: Sequence[RunRecord], store: Path) -> Iterator[tuple[RunRecord, Verdict, Episode]]:
    """Yield the broken gates of runs that did not fail when they were judged before, on the same model and rows.

    Args:
        runs: Runs that ended.
        store: The store's folder: earlier runs say what was known.

    Raises:
        StoreError: If the store cannot be read.
    """
    # The gates of a replay may fail as they did: its verdict is another.
    judged = [run for run in runs if "replay.of" not in run.context]
    broken = [(run, verdict) for run in judged for verdict in run.gates if is_broken(verdict)]
    if not broken:
        return
    from pytest_mlrun.store.store import Store

    reader = Store.open(store).reader()
    known = {name: reader.runs(experiment=name) for name in {run.experiment for run, _ in broken}}
    for run, verdict in broken:
        episode = _begun(run, verdict, known[run.experiment], reader)
        if episode is not None:
            yield run, verdict, episode


def _begun(run: RunRecord, verdict: Verdict, known: Sequence[RunRecord], reader: Reader) -> Episode | None:
    """Return the episode that begins with a verdict; None where an earlier run began it."""
    content = _content(run, verdict.metric, reader)
    before = [
        (other, judged)
        for other in known
        if _is_before(other, run)
        for judged in other.gates
        if (judged.gate, judged.metric) == (verdict.gate, verdict.metric)
    ]
    if before:
        last, judged = before[-1]
        if is_broken(judged) and _content(last, verdict.metric, reader) == content:
            return None
    rows, model = content
    gate = [run.experiment, run.test, sorted(run.params.items()), verdict.gate, verdict.metric]
    key = hashlib.sha256(json.dumps([gate, model, rows]).encode()).hexdigest()[:16]
    return Episode(key, model, rows, before[-1][0].run_id if before else "")


def _is_before(other: RunRecord, run: RunRecord) -> bool:
    # A run's id begins with the time of its start.
    return (other.test, other.params) == (run.test, run.params) and other.run_id < run.run_id


def _content(run: RunRecord, metric: str, reader: Reader) -> tuple[str, str]:
    """Return the digests of the rows and the model behind a metric; empty texts where none are kept."""
    from pytest_mlrun.recorder.baselines import rows_of
    from pytest_mlrun.rules.held_out import digest_model, digest_rows

    try:
        rows = rows_of(run, metric, reader)
    except (StoreError, ArtifactError):
        return "", ""
    if rows is None:
        return "", ""
    return digest_rows(rows.ids, rows.truth), digest_model(rows.ids, rows.truth, rows.out)
