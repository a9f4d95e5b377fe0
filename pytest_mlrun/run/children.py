"""Record trials and replicates as runs with a parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ParamError

if TYPE_CHECKING:
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recording import Recording


@contextmanager
def begin_child(parent: Recording, params: Mapping[str, object], *, seed: int, seed_source: str) -> Iterator[Recording]:
    """Begin a child run, pin its generators, and finish it with the block.

    The parent's generators go on afterwards as if the child had never drawn from them.
    """
    from pytest_mlrun.pillars.randomness import restore, save

    recording = parent.begin_child(_plan_child(parent.plan, params, parent.id, seed, seed_source))
    if not parent.plan.pinned:
        with _finished(recording):
            yield recording
        return
    state = save()
    try:
        with _finished(recording), recording.pinned():
            yield recording
    finally:
        # A loop over replicates that was left early may be collected as garbage in the middle of another test.
        if not parent.closed:
            restore(state)


@contextmanager
def _finished(recording: Recording) -> Iterator[None]:
    try:
        yield
    except GeneratorExit:
        # The loop over replicates was left early, by a break or by an error that cannot be seen from here: the run
        # around it knows, and finishes this one.
        raise
    except BaseException as error:
        if not recording.closed and _is_pruned(error):
            recording.finish("skipped", stopped=str(error) or "pruned")
        elif not recording.closed:
            recording.finish("failed", error=error, text=_text_of(error))
        raise
    else:
        recording.finish("passed")


def _plan_child(parent: RunPlan, params: Mapping[str, object], parent_id: str, seed: int, seed_source: str) -> RunPlan:
    from pytest_mlrun.rules.naming import check_param_names
    from pytest_mlrun.rules.params import describe_param, show_param

    check_param_names(params, parent.project.naming)
    texts = {name: describe_param(name, value) for name, value in params.items()}
    suffix = ",".join(f"{name}={show_param(text)}" for name, text in texts.items())
    return replace(
        parent,
        name=f"{parent.name}/{suffix}" if suffix else f"{parent.name}/child",
        parent_id=parent_id,
        params={**parent.params, **texts},
        seed=seed,
        seed_source=seed_source,
        data=(),
        clean_tree="record",
    )


def _is_pruned(error: BaseException) -> bool:
    # Optuna's way of ending a trial that promises nothing, with or without our own door to it.
    return any(kind.__name__ == "TrialPruned" and kind.__module__.startswith("optuna.") for kind in type(error).__mro__)


def _text_of(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def read_count(count: int) -> int:
    """Return a number of replicates.

    Raises:
        ParamError: If it is not a whole number of at least 1.
    """
    from pytest_mlrun.rules.arguments import show

    given: object = count
    if isinstance(given, bool) or not isinstance(given, Integral) or count < 1:
        raise ParamError(
            f"the number of seeds must be a whole number from 1 on, found {show(given)}",
            next_step="write for run in mlrun.seeds(5): …",
        )
    return int(count)
