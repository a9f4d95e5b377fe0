"""Keep the worst that happened to the tests of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.session.refusal import Refusal

if TYPE_CHECKING:
    from pytest_mlrun.records.run import Outcome

# A run is skipped only if nothing in it ran: one test of many that share it may be skipped.
_SEVERITY: dict[Outcome, int] = {"skipped": 0, "passed": 1, "failed": 2, "error": 3}


class Ending:
    """What became of a run so far.

    Args:
        shared: Whether several tests take part in the run.

    Attributes:
        outcome: The worst outcome of a test; ``skipped`` until a test's body ran.
        error: The exception behind it.
        text: Traceback for people.
        phase: ``setup``, ``call`` or ``teardown``.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.outcome: Outcome = "skipped"
        self.error: BaseException | None = None
        self.text = ""
        self.phase = "call"
        self._shared = shared

    def observe(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Keep what a phase of a test came to, if it is worse than what is known."""
        error = call.excinfo.value if call.excinfo else None
        outcome = _outcome_of(error, report)
        if outcome is None or not self._counts(outcome, report.when):
            return
        self.outcome, self.phase, self.text = outcome, call.when, report.longreprtext
        self.error = error.cause if isinstance(error, Refusal) else error

    def _counts(self, outcome: Outcome, phase: str | None) -> bool:
        if phase == "call" and not self._shared and {outcome, self.outcome} == {"passed", "skipped"}:
            # A test comes after its subtests, of which some may have been skipped.
            return True
        return _SEVERITY[outcome] > _SEVERITY[self.outcome]

    def interrupt(self, error: BaseException) -> None:
        """Note that the session was stopped while the run was under way, and had not failed yet."""
        if self.outcome in {"skipped", "passed"}:
            self.outcome, self.error, self.text, self.phase = "error", error, "interrupted", "call"


def _outcome_of(error: BaseException | None, report: pytest.TestReport) -> Outcome | None:
    if isinstance(error, pytest.skip.Exception):
        return "skipped"
    if error is not None or report.failed:
        return "failed" if report.when == "call" else "error"
    # A set-up that passed is no run yet.
    return "passed" if report.when == "call" else None
