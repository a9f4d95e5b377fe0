"""Make a recorded run again in this session: its test and params, its seed, its data; and judge what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.items import is_experiment
from pytest_mlrun.records.names import name_of_replay, name_of_replays
from pytest_mlrun.session.branching import differing_params, params_of, show_params
from pytest_mlrun.session.experiment import identity_of

if TYPE_CHECKING:
    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.accounts import Recorded
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.recorder.replayed_data import ReplayedData
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.reproduction import Reproduction
    from pytest_mlrun.records.run import RunRecord

ProjectOf = Callable[[Path], "Project"]
_MOST_NAMED = 3
_SHORT = 10


@dataclass(slots=True)
class Replay:
    """The run that a session makes again.

    Attributes:
        recorded: The recorded run.
        findings: What is not as it was recorded, as far as this session knows.
        reproduction: What the comparison found, once the test is over.
        data: Snapshots that were written anew for it.
    """

    recorded: Recorded
    findings: list[str] = field(default_factory=list)
    reproduction: Reproduction | None = None
    data: ReplayedData | None = None

    @property
    def run(self) -> RunRecord:
        """The recorded run."""
        return self.recorded.run

    def plan(self, plan: RunPlan) -> RunPlan:
        """Return the plan of the replay, which is recorded where no leaderboard, winner or baseline looks."""
        run = self.run
        context = {"replay.of": run.run_id, "replay.digest": run.digest, "replay.name": run.name}
        return replace(
            plan,
            experiment=name_of_replays(run.experiment),
            name=name_of_replay(run.name),
            context={**plan.context, **{key: json.dumps(value) for key, value in context.items()}},
        )

    def provide(self, recording: Recording, recorder: Recorder) -> None:
        """Give the replay the data that the run was trained on, and write down what is not as it was.

        Raises:
            DataError: If that data cannot be had.
        """
        from pytest_mlrun.recorder.replayed_data import ReplayedData

        self.data = ReplayedData(self.recorded, recorder)
        try:
            self.findings += self.data.provide(recording.plan)
        finally:
            recording.write_context({"replay.findings": self.findings})

    def judge(self, replayed: RunRecord, recorder: Recorder, project: Project) -> Reproduction:
        """Compare what came out with the recorded run."""
        from pytest_mlrun.recorder.reproducing import compare_replay

        self.reproduction = compare_replay(self.recorded, replayed, recorder.store.reader(), project)
        return self.reproduction

    def conclude(self) -> Reproduction:
        """Return what was found; of a session in which no run began, that nothing can be said."""
        from pytest_mlrun.rules.reproduction import refused

        if self.reproduction is None:
            self.reproduction = refused(self.run, "INCONCLUSIVE", "nothing was trained: the test was skipped")
        return self.reproduction

    def close(self) -> None:
        """Remove the data that was written for the replay."""
        if self.data is not None:
            self.data.remove()


REPLAY = pytest.StashKey[Replay]()


def begin_replay(config: pytest.Config, settings: Settings) -> Settings:
    """Find the run that a session makes again; return the options with its seed.

    Raises:
        pytest.UsageError: If there is no such run, it cannot be made again, or the options contradict each other.
    """
    if not settings.mlrun:
        raise pytest.UsageError(
            "--mlrun-replay trains a recorded run again, and training was not asked for\n  next:  add --mlrun"
        )
    for asked, option in ((settings.from_run, "--mlrun-from"), (settings.register or None, "--mlrun-register")):
        if asked is not None:
            raise pytest.UsageError(f"--mlrun-replay and {option} exclude each other\n  next:  leave one of them out")
    recorded = find_replayed(config, settings)
    config.stash[REPLAY] = replay = Replay(recorded)
    replay.findings += _unlike(recorded)
    seed = int(json.loads(recorded.run.context["rand.seed"]))
    if settings.typed_seed and settings.seed != seed:
        replay.findings.append(f"replayed under seed {settings.seed}, and not under the recorded {seed}")
        return settings._replace(branch_seed=(settings.seed, "option"))
    return settings._replace(branch_seed=(seed, "replay"))


def find_replayed(config: pytest.Config, settings: Settings) -> Recorded:
    """Return the run that ``--mlrun-replay`` names.

    Raises:
        pytest.UsageError: If there is no such run, or it cannot be made again.
    """
    from pytest_mlrun.project import find_project
    from pytest_mlrun.recorder.reproducing import find_recorded, refuse_unfit

    folder = config.invocation_params.dir
    stop = config.rootpath if folder.is_relative_to(config.rootpath) else folder
    try:
        project_dir = find_project(folder, stop=stop).root
        recorded = find_recorded(str(settings.replay), store=settings.store, project_dir=project_dir, folder=folder)
        refuse_unfit(recorded)
    except MlrunError as error:
        raise pytest.UsageError(f"--mlrun-replay: {error}") from None
    return recorded


def keep_replayed(
    items: Sequence[pytest.Item], replay: Replay, project_of: ProjectOf
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Divide items into the one that makes the run again (all of a run that a module shares) and all others.

    It is the item of the run's test whose params are the run's. Where the test was not collected, one of the same
    function name and the same params stands for it, which is a finding.
    """
    run = replay.run
    known = {item: identity_of(item, project_of(item.path)) for item in items if is_experiment(item)}
    if "::" not in run.test:
        kept = [item for item, identity in known.items() if identity == run.test]
    else:
        there = [item for item, identity in known.items() if identity == run.test]
        named = there or [item for item, identity in known.items() if _function(identity) == _function(run.test)]
        fitting = [item for item in named if _has_params(item, run.params)]
        fitting.sort(key=lambda item: _case_of(item) != run.case)
        kept = fitting[:1]
        if kept and not there:
            replay.findings.append(f"the test was {run.test}, and is {known[kept[0]]}")
    return kept, [item for item in items if item not in kept]


def refusal(items: Sequence[pytest.Item], replay: Replay, project_of: ProjectOf) -> MlrunError:
    """Return the error for a session in which no test makes the run again."""
    run = replay.run
    known = {item: identity_of(item, project_of(item.path)) for item in items if is_experiment(item)}
    named = [item for item, identity in known.items() if _function(identity) == _function(run.test)]
    commit = json.loads(run.context.get("code.commit", "null"))
    checkout = f"check out its code: git checkout {str(commit)[:_SHORT]}; or " if commit else ""
    path = run.test.partition("::")[0]
    if not named and path in {identity.partition("::")[0] for identity in known.values()}:
        return MlrunError(
            f"there is no {_function(run.test)} in {path} any more",
            where=replay.recorded.where,
            next_step=f"{checkout}if it moved: pytest --mlrun --mlrun-replay {run.short_id} FILE",
        )
    if not named:
        return MlrunError(
            f"the test of run {run.short_id} was not collected: {run.test}",
            where=replay.recorded.where,
            next_step=f"name its file: pytest --mlrun --mlrun-replay {run.short_id} {path}; or, if it moved, the file "
            f"where {_function(run.test)} is now",
        )
    named.sort(key=lambda item: len(differing_params(item, run.params)))
    differing = [
        f"{known[item]}{item.name.removeprefix(_function(run.test))} has "
        f"{show_params(differing_params(item, run.params)) or 'fewer params'}"
        for item in named[:_MOST_NAMED]
    ]
    more = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    return MlrunError(
        f"no case of {_function(run.test)} has the params of run {run.short_id} any more",
        details=(f"its params: {show_params(run.params) or 'none'}", *differing, *more),
        where=run.test,
        next_step=f"{checkout}add the case to its parametrization",
    )


def properties_of(reproduction: Reproduction) -> list[tuple[str, object]]:
    """Return what a JUnit test case says of a replay."""
    return [
        ("mlrun_replay_of", reproduction.recorded_id),
        ("mlrun_replay_verdict", reproduction.verdict),
        ("mlrun_replay_level", reproduction.level or ""),
        ("mlrun_replay_reason", reproduction.reason),
        *(("mlrun_replay_finding", finding) for finding in reproduction.findings),
    ]


def _unlike(recorded: Recorded) -> list[str]:
    """Return what could not be set any more, in a process that was not started for the replay."""
    from pytest_mlrun.recorder.replay_environment import FRESH, unlike_the_record
    from pytest_mlrun.recorder.reproducing import environment_of

    found = unlike_the_record(recorded.run.context, environment_of(recorded), os.environ)
    if not os.environ.get(FRESH):
        found.insert(0, "replayed inside a process that other things had happened in before")
    return found


def _has_params(item: pytest.Item, recorded: Mapping[str, str]) -> bool:
    params = params_of(item)
    return params is not None and all(recorded.get(name) == text for name, text in params.items())


def _function(identity: str) -> str:
    return identity.rpartition("::")[2]


def _case_of(item: pytest.Item) -> str:
    return item.callspec.id if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
