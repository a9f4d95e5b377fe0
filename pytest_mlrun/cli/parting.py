"""Find where each run parts from the first, of runs that left fingerprints on their way."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.source import RunSource
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.records.fingerprint import ROLE
from pytest_mlrun.report.comparison import Parting, letters_of
from pytest_mlrun.rules.comparison import Evidence
from pytest_mlrun.rules.divergence import Trace, locate


def find_partings(evidence: Sequence[Evidence], source: RunSource, console: Console) -> list[Parting]:
    """Return, for each run after the first, where it parts from that one; nothing of runs without fingerprints.

    Args:
        evidence: The runs, with their series.
        source: The store.
        console: Where to say what cannot be read.
    """
    if not _is_marked(evidence[0]):
        return []
    letters = letters_of([one.run for one in evidence])
    first = _read_trace(evidence[0], source, console)
    partings = []
    for letter, one in zip(letters[1:], evidence[1:], strict=True):
        trace = _read_trace(one, source, console) if _is_marked(one) else None
        if first is not None and trace is not None:
            partings.append(Parting(f"{letters[0]}, {letter}", (evidence[0].run, one.run), locate(first, trace)))
    return partings


def _is_marked(one: Evidence) -> bool:
    return any(artifact.role == ROLE for artifact in one.run.artifacts)


def _read_trace(one: Evidence, source: RunSource, console: Console) -> Trace | None:
    from pytest_mlrun.recorder.fingerprints import build_trace, read_marks

    try:
        return build_trace(read_marks(one.run, source), one.series)
    except MlrunError as error:
        why = error.headline
    except ValueError:
        why = "they are not as they were written"
    console.note(f"warning: fingerprints of {one.run.short_id} are not compared: {why}")
    return None
