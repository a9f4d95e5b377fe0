"""Carry sessions and runs across the xdist wire as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_mlrun.records.run import RunRecord

_KEY = "mlrun"
_TROUBLES = "mlrun_troubles"
_HOLDS = "mlrun_holds"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is an xdist worker, which prints nothing."""
    return hasattr(config, "workerinput")


def worker_name(config: pytest.Config) -> str | None:
    """Return ``gw0``, ``gw1`` … in a worker, None elsewhere."""
    return str(_workerinput(config)["workerid"]) if is_worker(config) else None


def worker_count(config: pytest.Config) -> int:
    """Return how many processes run tests beside each other, this one included."""
    return int(_workerinput(config).get("workercount", 1)) if is_worker(config) else 1


def is_first_worker(config: pytest.Config) -> bool:
    """Whether this is the worker that says what all would say."""
    return worker_name(config) == "gw0"


def session_id_of(config: pytest.Config) -> str:
    """Return the session's id: the controller's, in a worker of a session that records."""
    from pytest_mlrun.records.identity import new_id

    sent = _workerinput(config).get(_KEY) if is_worker(config) else None
    return str(sent) if sent is not None else new_id()


def send_session(workerinput: MutableMapping[str, Any], session_id: str, *, holds: bool) -> None:
    """Tell a worker which session it belongs to, and whether tests that judge a winner are held back for others."""
    workerinput[_KEY] = session_id
    workerinput[_HOLDS] = holds


def shares_tests(config: pytest.Config) -> bool:
    """Whether this process controls xdist workers that share the tests among them."""
    return config.getoption("dist", "no") not in {"no", "each"}


def is_held(config: pytest.Config) -> bool:
    """Whether a controller says when this worker may run the tests that judge a winner."""
    return is_worker(config) and bool(_workerinput(config).get(_HOLDS, False))


def attach_runs(target: object, runs: Iterable[RunRecord]) -> None:
    """Put finished runs on a report (or worker output), as plain values."""
    from pytest_mlrun.records.wire import to_plain

    plain = [to_plain(run) for run in runs]
    if not plain:
        return
    # Only str, int, float, bool, None, list and dict may cross: anything else kills the worker (xdist#384).
    if isinstance(target, dict):
        target[_KEY] = plain
    else:
        setattr(target, _KEY, plain)


def detach_runs(target: object) -> list[RunRecord]:
    """Take the finished runs off a report (or worker output)."""
    from pytest_mlrun.records.wire import from_plain

    plain = target.pop(_KEY, []) if isinstance(target, dict) else target.__dict__.pop(_KEY, [])
    return [from_plain(run) for run in plain]


def attach_troubles(workeroutput: MutableMapping[str, Any], texts: list[str]) -> None:
    """Put what went wrong outside the tests of a worker on its output."""
    workeroutput[_TROUBLES] = texts


def detach_troubles(workeroutput: MutableMapping[str, Any]) -> list[str]:
    """Take off what went wrong outside the tests of a worker."""
    return [str(text) for text in workeroutput.pop(_TROUBLES, [])]


def _workerinput(config: pytest.Config) -> Mapping[str, Any]:
    # xdist adds the attribute at run time; pytest's types know nothing of it.
    found: Mapping[str, Any] = vars(config)["workerinput"]
    return found
