"""Train under one seed after the other until a gate is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from pytest_mlrun.errors import MetricError, ParamError
from pytest_mlrun.rules.over_seeds import MIN_SEEDS
from pytest_mlrun.rules.seed_sequence import SeedSequence
from pytest_mlrun.rules.statistics.sequential import OWN_LOOKS, STORED_BASE, STORED_LOOKS, plan_looks
from pytest_mlrun.run.held_out import note_look
from pytest_mlrun.run.updating import file_to_update

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.run.sides import Stored

_WRITE = 'gate = mlrun.no_regression("val_log_loss", against="…", margin=0.01, claim="procedure")'


def replicates(recording: Recording, count: int | None, until: object, looks: Sequence[int] | None) -> Iterator[int]:
    """Return the number of each training to come, from 0 on.

    Raises:
        ParamError: If neither a count nor a gate says how many, or both do.
        MetricError: If more seeds cannot decide the gate.
        RunNotFoundError: If its baseline is missing; nothing was trained then.
    """
    from pytest_mlrun.run.children import read_count

    if (count is None) == (until is None) or (looks is not None and until is None):
        raise ParamError(
            "seeds takes a number of trainings, or the gate that ends them",
            next_step="write mlrun.seeds(5), or mlrun.seeds(until=gate), which stops when the gate is decided",
        )
    return iter(range(read_count(count))) if count is not None else _until_decided(recording, until, looks)


def _until_decided(recording: Recording, gate: object, at: Sequence[int] | None) -> Iterator[int]:
    if file_to_update(recording, gate) is not None:
        # What becomes the baseline must have as many seeds as later sessions want to compare with.
        yield from range(max((STORED_BASE, *(at or ()))))
        return
    sequence, base = _begin(recording, gate, at)
    recording.sequence = sequence
    most = sequence.looks.at[-1]
    for trained in range(1, most + 1):
        yield trained - 1
        if trained in sequence.looks.at:
            sequence.look(_look(recording, sequence, base), last=trained == most)
        if sequence.decided:
            break
    if sequence.verdict is not None:
        sequence.verdict = recording.judge(note_look(recording, sequence.gate, sequence.verdict))


def verdict_of(recording: Recording, gate: Gate | NoRegression) -> Verdict | None:
    """Return what the seeds that were trained for a gate found, and recorded; None if none were.

    Raises:
        MetricError: If the test left the loop before the gate was decided.
    """
    sequence = recording.sequence
    if sequence is None or sequence.gate != gate:
        return None
    if not sequence.decided or sequence.verdict is None:
        raise MetricError(
            f"the seeds for {gate.metric!r} ended before the gate was decided",
            where="mlrun.seeds(until=…)",
            next_step="let the loop run to its end: no break, and judge the gate after it",
        )
    return sequence.verdict


# -- the start ---------------------------------------------------------------------------------------------------------


def _begin(recording: Recording, gate: object, at: Sequence[int] | None) -> tuple[SeedSequence, Stored | None]:
    """Refuse, before anything trains, what more seeds could not decide."""
    from pytest_mlrun.rules.arguments import show
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.rules.seed_bounds import require_of
    from pytest_mlrun.run.sides import replicates_of, stored_side

    if not isinstance(gate, Gate | NoRegression):
        raise MetricError(f"not a gate: {show(gate)}", where="mlrun.seeds(until=…)", next_step=f"write {_WRITE}")
    if replicates_of(recording):
        raise ParamError(
            "this run trained under several seeds already, and they would be counted with these",
            where="mlrun.seeds(until=…)",
            next_step="let one loop over seeds feed all gates: for run in mlrun.seeds(until=gate)",
        )
    m = max(recording.plan.policy.m, 1)
    if isinstance(gate, Gate):
        require_of(gate, recording.plan.policy)
        return SeedSequence(gate, plan_looks(_read_looks(at, OWN_LOOKS, fewest=2), stored=0, m=m)), None
    _refuse_undecidable(recording, gate)
    base = stored_side(recording, gate)
    count = len(base.scores)
    if count < MIN_SEEDS:
        raise MetricError(
            f"baseline {base.name} holds {count} trainings under several seeds, and {MIN_SEEDS} are needed",
            where=f"the no-regression gate on {gate.metric}",
            next_step="record one with ten: for run in mlrun.seeds(10): train, then run.evaluate(…)",
        )
    if count >= STORED_BASE:
        return SeedSequence(gate, plan_looks(_read_looks(at, STORED_LOOKS, fewest=1), stored=count, m=m)), base
    return SeedSequence(gate, plan_looks(_read_looks(at, OWN_LOOKS, fewest=MIN_SEEDS), stored=0, m=m)), base


def _refuse_undecidable(recording: Recording, gate: NoRegression) -> None:
    if gate.claim != "procedure":
        raise MetricError(
            f"the gate on {gate.metric!r} speaks of one model, and seeds train several",
            where="mlrun.seeds(until=…)",
            next_step=f"write {_WRITE}",
        )
    if recording.plan.policy.require(gate.require, default="evidence") == "value":
        raise MetricError(
            f"the gate on {gate.metric!r} is decided by the value, so more seeds decide nothing",
            where="mlrun.seeds(until=…)",
            next_step='leave out require="value", or write mlrun.seeds(3)',
        )


def _read_looks(at: Sequence[int] | None, default: tuple[int, ...], *, fewest: int) -> tuple[int, ...]:
    from pytest_mlrun.rules.arguments import show

    if at is None:
        return default
    given: list[object] = [] if isinstance(cast("object", at), str) else list(at)
    whole = [look for look in given if isinstance(look, int) and not isinstance(look, bool)]
    if not whole or whole != given or whole[0] < fewest or whole != sorted(set(whole)):
        raise ParamError(
            f"looks must be rising numbers of seeds from {fewest} on, found {show(at)}",
            where="mlrun.seeds(until=…)",
            next_step=f"leave them out for {', '.join(map(str, default))}, or write such as looks=(3, 6)",
        )
    return tuple(whole)


# -- a look ------------------------------------------------------------------------------------------------------------


def _look(recording: Recording, sequence: SeedSequence, base: Stored | None) -> Verdict:
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.run.sides import judge_procedure, judge_seeds_bound

    gate = sequence.gate
    if isinstance(gate, Gate):
        return judge_seeds_bound(recording, gate, sequence.looks)
    return judge_procedure(recording, gate, base, sequence.looks)
