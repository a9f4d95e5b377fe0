"""Say how a run ended, why if it went wrong, and what it repeated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from pytest_mlrun.errors import GateFailure
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import REPEATED, Outcome, RunEnd, RunRecord, Status

_MOST_ERROR_CHARS: Final = 20_000


def describe_end(
    outcome: Outcome,
    error: BaseException | None,
    *,
    text: str,
    phase: str,
    nan: tuple[str, int | None] | None,
    oom_kills: int,
) -> RunEnd:
    """Describe the end of a run.

    Args:
        outcome: What happened to the test.
        error: The exception behind a failure, if there was one.
        text: Traceback for people.
        phase: ``setup``, ``call`` or ``teardown``.
        nan: The first metric that was not a number, and its step.
        oom_kills: Processes that the kernel killed for memory while the run was under way.

    Returns:
        The end, now.
    """
    if outcome in {"passed", "skipped"}:
        return RunEnd(status="finished", outcome=outcome, ended_us=now_us())
    # Only now: its patterns take longer to compile than finishing a run.
    from pytest_mlrun.rules.cause import classify, describe_error

    cause, detail = classify(describe_error(error), nan=nan, oom_kills=oom_kills, phase=phase)
    # A failed gate, or a broken teardown, is a finding about a training that ran to its end.
    completed = phase == "teardown" or isinstance(error, GateFailure)
    status: Status = "killed" if cause == "interrupted" else "finished" if completed else "failed"
    return RunEnd(status, outcome, cause, detail, text[-_MOST_ERROR_CHARS:], now_us())


def list_repeated(children: Iterable[RunRecord | None]) -> dict[str, str]:
    """Return the context that names the seeds and folds of a run with their digests.

    Who registers or commits the run vouches for them too: none can be changed or dropped later.
    """
    digests = {
        row.run_id: row.digest
        for row in children
        if row is not None and row.status == "finished" and {"replicate", "fold"} & row.params.keys()
    }
    return {REPEATED: json.dumps(digests, sort_keys=True)} if digests else {}
