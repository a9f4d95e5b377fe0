"""Find the run that a person names on the command line."""

from __future__ import annotations

import re

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_named_version, record_of
from pytest_mlrun.cli.source import RunSource
from pytest_mlrun.errors import RunNotFoundError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import show_time
from pytest_mlrun.rules.suggest import did_you_mean

_BEFORE = re.compile(r"(?P<name>.+)~(?P<count>\d{1,6})")
_NAMED = 3
_NEWEST = 5_000  # names that a misspelt one is compared with


def find_run(ref: str, source: RunSource, console: Console) -> RunRecord:
    """Return a run: by the end of its id, the newest of a name, or a model version; ``NAME~1`` is the one before.

    From its second session on a test has several runs of one name: the newest is meant, and this is said.

    Args:
        ref: As typed.
        source: The store.
        console: Surroundings.

    Raises:
        RunNotFoundError: No run answers to it, or more than one id ends with it.
    """
    registered = find_named_version(ref, console)
    if registered is not None:
        return record_of(registered[1], source)
    found = source.find_all(ref)
    if not found:
        return _find_before(ref, source)
    if len(found) == 1 or found[-1].name != ref:
        return source.find(ref)
    older = [f"{run.short_id} of {show_time(run.started_us, now_us=console.now_us)}" for run in found[-2::-1]]
    more = f" and {len(older) - _NAMED} more" if len(older) > _NAMED else ""
    console.note(
        f"{ref!r} names {len(found)} runs: taking the newest, {found[-1].short_id}; "
        f"older: {', '.join(older[:_NAMED])}{more}"
    )
    return found[-1]


def find_earlier(run: RunRecord, source: RunSource) -> RunRecord:
    """Return the latest run of the same name and test that started before another one.

    Args:
        run: The later one.
        source: The store.

    Raises:
        RunNotFoundError: It is the first of its name.
    """
    family = [
        other for other in source.find_all(run.name) if (other.experiment, other.test) == (run.experiment, run.test)
    ]
    earlier = [other for other in family if (other.started_us, other.run_id) < (run.started_us, run.run_id)]
    if not earlier:
        raise RunNotFoundError(
            f"{run.short_id} is the first run named {run.name!r}: there is none to compare it with",
            next_step="name two runs: pytest-mlrun diff A B",
        )
    return earlier[-1]


def _find_before(ref: str, source: RunSource) -> RunRecord:
    parts = _BEFORE.fullmatch(ref)
    family = source.find_all(parts["name"]) if parts else []
    if parts is None or not family:
        return _suggest(ref, source)
    before = int(parts["count"])
    if before >= len(family):
        raise RunNotFoundError(
            f"there is no {ref!r}: only {len(family)} {'run is' if len(family) == 1 else 'runs are'} named so",
            next_step="list the runs: pytest-mlrun runs",
        )
    return family[-1 - before]


def _suggest(ref: str, source: RunSource) -> RunRecord:
    try:
        return source.find(ref)
    except RunNotFoundError as error:
        guess = did_you_mean(ref, {run.name for run in source.runs(limit=_NEWEST)})
        raise RunNotFoundError(
            f"{error.headline}{guess}", details=error.details, where=error.where, next_step=error.next_step
        ) from None
