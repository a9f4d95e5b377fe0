"""Start from a recorded run: its test and params, its seed, its data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.errors import DataChangedError, MlrunError
from pytest_mlrun.items import is_experiment, selects_winner
from pytest_mlrun.session.experiment import DEFAULT_EXPERIMENT, describe_params, identity_of, read_marker_of

if TYPE_CHECKING:
    from pytest_mlrun.options import Settings
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.store.reader import Reader

ProjectOf = Callable[[Path], "Project"]
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that a session branches from.

    Attributes:
        run: What was trained.
        named: The run that was named: itself, or one that judged it as its winner.
    """

    run: RunRecord
    named: RunRecord

    def __str__(self) -> str:
        return f"{self.run.name} ({self.run.short_id})"

    @property
    def seed(self) -> int:
        """What its generators started from."""
        return int(json.loads(self.run.context["rand.seed"]))

    def context(self, *, left_out: int) -> dict[str, str]:
        """Return what every run of the session records about it.

        Args:
            left_out: How many collected experiments are no branch of it.
        """
        facts: dict[str, object] = {
            "run": self.run.run_id,
            "digest": self.run.digest,
            "name": self.run.name,
            "experiment": self.run.experiment,
            "left_out": left_out,
        }
        if self.named is not self.run:
            facts["named"] = self.named.run_id
        return {f"branched_from.{name}": json.dumps(value) for name, value in facts.items()}


ORIGIN = pytest.StashKey[Origin]()


def begin_branch(config: pytest.Config, settings: Settings) -> Settings:
    """Find the run that a session branches from; return the options with its seed.

    The seed that was typed for this session comes before the run's: it is the change that one branches for. A seed
    written in a marker or a configuration file does not count: the run was trained under its own.

    Raises:
        pytest.UsageError: If there is no such run, or it is none to start from.
    """
    if not settings.mlrun:
        raise pytest.UsageError(
            "--mlrun-from trains a recorded run again, and training was not asked for\n  next:  add --mlrun"
        )
    config.stash[ORIGIN] = origin = find_origin(settings)
    # xdist hands the option to its workers, which may start when another run answers to the name.
    config.option.mlrun_from = origin.named.run_id
    seed = (settings.seed, "option") if settings.typed_seed else (origin.seed, "branch")
    return settings._replace(branch_seed=seed)


def find_origin(settings: Settings) -> Origin:
    """Return the run that ``--mlrun-from`` names; of one that judged a winner, the winner: that is what was trained.

    Raises:
        pytest.UsageError: If there is no such run, or it is none to start from.
    """
    from pytest_mlrun.store.store import Store

    try:
        reader = Store.open(settings.store).reader()
        named = reader.find(str(settings.from_run))
        run = _follow_winners(named, reader)
    except MlrunError as error:
        raise pytest.UsageError(f"--mlrun-from: {error}") from None
    if run.status != "finished":
        raise pytest.UsageError(
            f"--mlrun-from: run {run.short_id} did not finish: it is {run.status}\n"
            f"  where: {settings.store}, {run.name}\n"
            f"  next:  name one that did: pytest-mlrun runs --status finished --experiment {run.experiment}"
        )
    if "rand.seed" not in run.context:
        raise pytest.UsageError(
            f"--mlrun-from: run {run.short_id} has no recorded seed to start from\n"
            f"  where: {settings.store}, {run.name}\n"
            f"  next:  name a run that pytest --mlrun recorded"
        )
    if run.parent_id is not None:
        raise pytest.UsageError(
            f"--mlrun-from: run {run.short_id} is a trial inside another run, and no test of its own\n"
            f"  where: {settings.store}, {run.name}\n"
            f"  next:  branch from the run around it: --mlrun-from {run.parent_id[-8:]}"
        )
    return Origin(run, named)


def keep_branches(
    items: Sequence[pytest.Item], origin: Origin, project_of: ProjectOf
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Divide items into those that belong to a branch, and the experiments that are left out.

    An experiment belongs to it if its test is the run's and no param that the run recorded has another value; where
    the run's test was not collected, any test with a param of the run and none that differs. Params that the run lacks
    are what one branches for. Tests that judge a winner of the run's experiment stay; so do tests that are no
    experiments.
    """
    experiments = [item for item in items if is_experiment(item) and not selects_winner(item)]
    known = {item: identity_of(item, project_of(item.path)) == origin.run.test for item in experiments}
    moved = not any(known.values())
    chosen = {item for item in experiments if _fits(item, origin, known=known[item], moved=moved)}
    judges = {item for item in items if selects_winner(item) and _judges(item, origin)}
    left_out = [item for item in items if is_experiment(item) and item not in chosen and item not in judges]
    # With nothing to retrain, a judge would judge the runs of another session.
    return ([item for item in items if item not in left_out], left_out) if chosen else ([], list(items))


def refusal(items: Sequence[pytest.Item], origin: Origin, project_of: ProjectOf) -> MlrunError:
    """Return the error for a session in which no experiment is a branch of the run."""
    run = origin.run
    same = [item for item in items if is_experiment(item) and identity_of(item, project_of(item.path)) == run.test]
    same.sort(key=lambda item: len(differing_params(item, run.params)))
    wanted = show_params(run.params)
    differing = [f"{item.name} has {show_params(differing_params(item, run.params))}" for item in same[:_MOST_NAMED]]
    more = f"and {len(same) - _MOST_NAMED} more" if len(same) > _MOST_NAMED else ""
    return MlrunError(
        f"no collected experiment has the params of {origin}",
        details=(f"its params: {wanted or 'none'}", *differing, *([more] if more else [])),
        where=run.test,
        next_step="add the case to its parametrization, or name the run of another case"
        if same
        else f"collect its test: pytest --mlrun --mlrun-from {run.short_id} {run.test.partition('::')[0]}",
    )


def check_data(origin: Origin, project: Project) -> None:
    """Compare the locked data with what the run was trained on.

    Raises:
        DataChangedError: If the lock names other content under the same name.
    """
    from pytest_mlrun.pillars.snapshots.lockfile import read_lock

    locked = read_lock(project.lock_file)
    for name, recorded in _digests_of(origin.run).items():
        if name in locked and locked[name].digest != recorded:
            commit = json.loads(origin.run.context.get("code.commit", "null"))
            restore = f"git checkout {commit[:10]} -- mlrun.lock, and its data" if commit else "restore it"
            raise DataChangedError(
                f"data {name!r} is not what {origin} was trained on",
                details=(f"recorded: {recorded}", f"locked:   {locked[name].digest}"),
                where=str(project.lock_file),
                next_step=f"{restore}; or train on the data as it is: leave out --mlrun-from",
            )


def _follow_winners(run: RunRecord, reader: Reader) -> RunRecord:
    seen = {run.run_id}
    while "selection.winner" in run.context:
        run = reader.find(json.loads(run.context["selection.winner"]))
        if run.run_id in seen:
            return run
        seen.add(run.run_id)
    return run


def _fits(item: pytest.Item, origin: Origin, *, known: bool, moved: bool) -> bool:
    if not (known or moved):
        return False
    params = params_of(item)
    if params is None or any(origin.run.params.get(name, text) != text for name, text in params.items()):
        return False
    return known or not params.keys().isdisjoint(origin.run.params)


def _judges(item: pytest.Item, origin: Origin) -> bool:
    from pytest_mlrun.session.selecting import read_selection_of

    asked = read_selection_of(item)
    written = (asked.experiment if asked else "") or read_marker_of(item).experiment or DEFAULT_EXPERIMENT
    return written == origin.run.experiment


def params_of(item: pytest.Item) -> Mapping[str, str] | None:
    """Return the params of an item; None if one has no description, which its own set-up will say."""
    try:
        return describe_params(item) if isinstance(item, pytest.Function) else {}
    except MlrunError:
        return None


def differing_params(item: pytest.Item, params: Mapping[str, str]) -> dict[str, str]:
    """Return the params of an item that have other values than these, or are none of them."""
    own = params_of(item) or {}
    return {name: text for name, text in own.items() if params.get(name, text) != text}


def show_params(params: Mapping[str, str]) -> str:
    """Return params for a line that people read."""
    from pytest_mlrun.rules.params import show_param

    return ", ".join(f"{name}={show_param(text, width=60)}" for name, text in params.items())


def _digests_of(run: RunRecord) -> dict[str, str]:
    return {
        key.removeprefix("data.").removesuffix(".digest"): str(json.loads(text))
        for key, text in run.context.items()
        if key.startswith("data.") and key.endswith(".digest")
    }
