"""Read back everything of a recorded run that its replay is compared by."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.recorder.evaluated import CONTEXT
from pytest_mlrun.recorder.fingerprints import build_trace, read_marks
from pytest_mlrun.records.fingerprint import ROLE
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.rules.comparison import Evidence
from pytest_mlrun.rules.reproduced_values import Account, Scoring

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_mlrun.rules.comparison import Points
    from pytest_mlrun.store.bundle import Bundle
    from pytest_mlrun.store.points import Series
    from pytest_mlrun.store.reader import Reader

_ENVIRONMENT = "environment.json"
_FEWEST_SEEDS = 3
_Part = TypeVar("_Part")


class Source(Protocol):
    """Where a recorded run is read: a store, or an exported file."""

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        """Return the verified bytes of an artifact."""
        ...

    def series(self, run_id: str, name: str) -> Series:
        """Return the points of a metric."""
        ...


@dataclass(frozen=True, slots=True)
class BundleSource:
    """An exported run, read like a store that has no other."""

    bundle: Bundle

    def read_artifact(self, run: RunRecord, name: str) -> bytes:  # noqa: ARG002 - there is only one
        """Return the verified bytes of an artifact."""
        return self.bundle.read_artifact(name)

    def series(self, run_id: str, name: str) -> Series:  # noqa: ARG002 - there is only one
        """Return the points of a metric."""
        return self.bundle.series(name)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded run and where it is read.

    Attributes:
        run: The run.
        source: Where its artifacts and series are.
        spread: Standard deviation of its metrics over seeds, where it repeated itself under some.
        where: Its place, for a message.
    """

    run: RunRecord
    source: Source
    spread: dict[str, float]
    where: str

    def account(self) -> Account:
        """Return everything that is compared."""
        return read_account(self.run, self.source)


def open_exported(path: Path) -> Recorded:
    """Return the run of an exported file.

    Raises:
        StoreError: It cannot be read.
        StoreDamagedError: It is not what was exported.
    """
    from pytest_mlrun.store.bundle import open_bundle

    bundle = open_bundle(path)
    return Recorded(bundle.run, BundleSource(bundle), {}, str(path))


def take_recorded(run: RunRecord, reader: Reader, *, where: str) -> Recorded:
    """Return a run of a store with the spread of its seeds."""
    return Recorded(run, reader, find_spread(run, reader), where)


def find_spread(run: RunRecord, reader: Reader) -> dict[str, float]:
    """Return the standard deviation of each metric over the trainings that a run repeated under several seeds."""
    from statistics import stdev

    family = reader.runs(experiment=run.experiment, session_id=run.session_id)
    seeds = [each for each in family if each.parent_id == run.run_id and "replicate" in each.params]
    repeated = [each for each in seeds if each.outcome == "passed"]
    values = {
        name: [each.metrics[name] for each in repeated if math.isfinite(each.metrics.get(name, math.nan))]
        for name in {name for each in repeated for name in each.metrics}
    }
    return {name: stdev(found) for name, found in values.items() if len(found) >= _FEWEST_SEEDS}


def read_account(run: RunRecord, source: Source) -> Account:
    """Return a run with everything that is compared; what cannot be read is named, and left out.

    Args:
        run: The run.
        source: Where it is read.
    """
    unread: dict[str, str] = {}
    environment: dict[str, object] | None = None
    if any(artifact.name == _ENVIRONMENT for artifact in run.artifacts):
        environment = _read(_ENVIRONMENT, lambda: _as_object(source.read_artifact(run, _ENVIRONMENT)), unread)
    points: dict[str, Points] = {}
    for name in run.series:
        found = _read(name, partial(source.series, run.run_id, name), unread)
        if found is not None:
            points[name] = found.steps, found.values
    rows: dict[str, NDArray[Any]] = {}
    for artifact in run.artifacts:
        out = _read_rows(run, artifact, source, unread) if artifact.role == "predictions" else None
        if out is not None:
            rows[artifact.name] = out
    marked = any(artifact.role == ROLE for artifact in run.artifacts)
    marks = _read("the fingerprints", lambda: read_marks(run, source), unread) if marked else None
    trace = None if marks is None else build_trace(marks, points)
    return Account(Evidence(run, environment, series=points), rows, _scorings(run), unread, trace)


def _read_rows(run: RunRecord, artifact: Artifact, source: Source, unread: dict[str, str]) -> NDArray[Any] | None:
    return _read(artifact.name, lambda: _as_rows(source.read_artifact(run, artifact.name)), unread)


def _read(name: str, read: Callable[[], _Part], unread: dict[str, str]) -> _Part | None:
    try:
        return read()
    except MlrunError as error:
        unread[name] = error.headline
    except (ValueError, KeyError, TypeError):
        unread[name] = "it is not as it was written"
    return None


def _as_object(content: bytes) -> dict[str, object]:
    document = json.loads(content)
    if not isinstance(document, dict):
        raise TypeError
    return document


def _as_rows(content: bytes) -> NDArray[Any]:
    import numpy as np

    from pytest_mlrun.store.rows import read_arrays

    columns = {name: column for name, column in read_arrays(content).items() if name.startswith("y_out")}
    return columns["y_out"] if "y_out" in columns else np.column_stack(list(columns.values()))


def _scorings(run: RunRecord) -> dict[str, Scoring]:
    return {
        f"{key.removeprefix(CONTEXT)}_{name}": Scoring(fact["metric"], fact["predictions"], fact["threshold"])
        for key, text in run.context.items()
        if key.startswith(CONTEXT)
        for name, fact in json.loads(text).items()
    }
