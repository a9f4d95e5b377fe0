"""Read what the runs to be compared rest on: their environments, the files of their data, their series."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.source import RunSource
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.recorder.restoring import parse_listing
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.snapshot import Manifest
from pytest_mlrun.rules.comparison import Evidence

if TYPE_CHECKING:
    from pytest_mlrun.rules.comparison import Points

_Part = TypeVar("_Part")
_ENVIRONMENT = "environment.json"


def read_evidence(run: RunRecord, source: RunSource, console: Console) -> Evidence:
    """Return a run with what its artifacts say; what cannot be read is said, and left out.

    Args:
        run: The run.
        source: The store.
        console: Where to say it.
    """

    def read(name: str, reader: Callable[[RunRecord, str, RunSource], _Part]) -> _Part | None:
        return _try(run, name, lambda: reader(run, name, source), console)

    names = [artifact.name for artifact in run.artifacts]
    listings = [name for name in names if name.startswith("data/") and name.endswith(".json")]
    manifests = {name.removeprefix("data/").removesuffix(".json"): read(name, read_manifest) for name in listings}
    series = {name: read(name, _read_series) for name in run.series}
    return Evidence(
        run,
        read(_ENVIRONMENT, _read_environment) if _ENVIRONMENT in names else None,
        {name: manifest for name, manifest in manifests.items() if manifest is not None},
        {name: points for name, points in series.items() if points is not None},
    )


def _try(run: RunRecord, name: str, read: Callable[[], _Part], console: Console) -> _Part | None:
    try:
        return read()
    except MlrunError as error:
        console.note(f"warning: {name} of {run.short_id} is not compared: {error.headline}")
    except (ValueError, KeyError, TypeError):
        console.note(f"warning: {name} of {run.short_id} is not compared: it is not as it was written")
    return None


def _read_environment(run: RunRecord, name: str, source: RunSource) -> dict[str, object]:
    document = json.loads(source.read_artifact(run, name))
    if not isinstance(document, dict):
        raise TypeError
    return document


def read_manifest(run: RunRecord, name: str, source: RunSource) -> Manifest:
    """Return the listing of a snapshot that a run was trained on.

    Args:
        run: The run.
        name: The artifact.
        source: The store.

    Raises:
        MlrunError: If it cannot be read.
        ValueError, KeyError, TypeError: If it is not as it was written.
    """
    return parse_listing(source.read_artifact(run, name))


def _read_series(run: RunRecord, name: str, source: RunSource) -> Points:
    points = source.series(run.run_id, name)
    return points.steps, points.values  # type: ignore[return-value]
