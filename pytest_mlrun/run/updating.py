"""Make a run the next baseline of a gate, instead of judging it, where the session rewrites baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_mlrun.records.verdict import Verdict

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.rules.no_regression import NoRegression

UPDATE: Final = "update"
"""Method of the verdict of a gate that was not judged; it is no part of the record."""


def file_to_update(recording: Recording, gate: object) -> str | None:
    """Return the committed file that a run is to become, relative to ``mlrun.toml``; None where gates are judged.

    Raises:
        RegistryError: If the registry says which run the baseline is.
    """
    from pytest_mlrun.recorder.baseline_files import committed_file
    from pytest_mlrun.rules.no_regression import NoRegression

    if not recording.plan.policy.update or not isinstance(gate, NoRegression):
        return None
    return committed_file(gate.against, recording.plan.project.root)


def update_instead(recording: Recording, gate: NoRegression) -> Verdict | None:
    """Ask that a run becomes the baseline of a gate at the session's end, if the session rewrites baselines.

    Raises:
        MetricError: If the run lacks what the gate will compare with.
        RegistryError: If the registry says which run the baseline is.
    """
    from pytest_mlrun.recorder.baseline_files import ASKS
    from pytest_mlrun.rules.no_regression import KIND
    from pytest_mlrun.run.sides import refuse_unlogged, trainings_of

    file = file_to_update(recording, gate)
    if file is None:
        return None
    if gate.claim == "model":
        refuse_unlogged(recording, gate.metric)
    elif gate.claim == "procedure":
        trainings_of(recording, gate.metric, f"the no-regression gate on {gate.metric}")
    recording.write_context({f"{ASKS}{file}": True})
    return Verdict(
        gate=KIND,
        metric=gate.metric,
        decision="INCONCLUSIVE",
        method=UPDATE,
        claim=gate.speaks_of,
        margin=float(gate.margin),
        primary=gate.primary,
        reason=f"not judged: this run becomes {file}",
    )
