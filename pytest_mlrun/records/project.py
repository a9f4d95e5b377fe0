"""Hold what ``mlrun.toml`` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from pytest_mlrun.records.reproduction import Tolerance
from pytest_mlrun.records.retention import Retention

Goal = Literal["max", "min"]
_TIMES: Final = frozenset({"ns", "us", "\N{MICRO SIGN}s", "ms", "s", "sec", "seconds", "min", "minutes", "h", "hours"})


@dataclass(frozen=True, slots=True)
class DataSource:
    """``[data.<name>]``: where a snapshot comes from.

    Attributes:
        name: The name in the section's title.
        source: Path relative to ``mlrun.toml``, or a URI.
        keep: ``copy`` puts the bytes into the store's objects; ``reference`` trusts an immutable source.
        role: ``holdout`` for rows that only judge: each look at them is counted in ``mlrun-ledger.jsonl``.
        feature_view: Name of the feature view the snapshot was made from.
        looks: How many models may be seen on held-out rows before they no longer count as held out; 20 if not given.
    """

    name: str
    source: str
    keep: Literal["copy", "reference", ""] = ""
    role: Literal["holdout", ""] = ""
    feature_view: str = ""
    looks: int | None = None


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """``[metrics.<name>]``: what a metric means.

    Attributes:
        name: Its name, or a pattern such as ``*_roc_auc`` for the metrics of every split.
        goal: Whether more or less of it is better.
        low: Least value that it can have.
        high: Greatest value that it can have.
        unit: Such as ``EUR``.
        owner: Who answers for it.
    """

    name: str
    goal: Goal | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Naming:
    """``[naming]``: the team's vocabulary.

    Attributes:
        run_name: Template of every run's name; empty for the test's own.
        run_names: Experiment to the template of its runs, which counts before ``run_name``.
        allowed: Names, or patterns of names, that a param may have; empty for any.
        refused: Name that no param, tag or metric has to what to say instead.
        required_params: Params that every run must have in the end.
        required_tags: Keys of the tags that every run must have in the end.
        required_artifacts: Names, or patterns of names, of artifacts that every run must have in the end.
        closed_metrics: Whether only the metrics of ``[metrics.<name>]`` may be logged.
        tags: Key to the values it may have, none for any; empty for any key.
    """

    run_name: str = ""
    run_names: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    required_params: tuple[str, ...] = ()
    required_tags: tuple[str, ...] = ()
    required_artifacts: tuple[str, ...] = ()
    closed_metrics: bool = False
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """``[leaderboard.<experiment>]``: which run is best."""

    experiment: str
    by: str
    where: str = ""
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """``[registry]``: who may sign.

    Attributes:
        signers: File of those who may sign, as ssh-keygen(1) describes it under ALLOWED SIGNERS.
        revoked: File of keys that no longer count: a KRL, or public keys.
        protected_branch: Branch that these files are read from, whatever is checked out; `main` if not given.
    """

    signers: str = ""
    revoked: str = ""
    protected_branch: str = "main"


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """``[replay]``: how runs are made again.

    Attributes:
        environment: Names of environment variables that the tests need, beside those that every replay gets.
        tolerances: Name of a metric, or a pattern, to how far it may lie from the recorded one: `{ rel = 1e-6, abs =
            1e-9 }`, as a part of it or whatever it is; `{ abs = inf }` holds it to nothing. `predictions/*` are those
            of `evaluate`.
    """

    environment: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)

    def overrides(self, metrics: Iterable[str]) -> dict[str, Tolerance]:
        """Return what is written for these metrics: by name, else by the first pattern that fits."""
        found = {name: self.tolerances.get(name) or self._by_pattern(name) for name in metrics}
        return {name: tolerance for name, tolerance in found.items() if tolerance is not None}

    def _by_pattern(self, name: str) -> Tolerance | None:
        return next((known for pattern, known in self.tolerances.items() if fnmatchcase(name, pattern)), None)


@dataclass(frozen=True, slots=True)
class Project:
    """One ``mlrun.toml``, or the defaults where there is none.

    Attributes:
        root: Folder that test identities and data paths are relative to.
        config_file: The ``mlrun.toml`` read, if any.
        aliases: ``[aliases.<name>]`` as written: the policy of each alias.
        retention: ``[retention]``: how long artifacts are kept.
    """

    root: Path
    config_file: Path | None = None
    data: Mapping[str, DataSource] = field(default_factory=dict)
    metrics: Mapping[str, MetricDefinition] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)
    leaderboards: Mapping[str, Leaderboard] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)

    @property
    def lock_file(self) -> Path:
        """The ``mlrun.lock`` that belongs to this project."""
        return self.root / "mlrun.lock"

    def metric(self, name: str) -> MetricDefinition | None:
        """Return what is declared of a metric: by its own section, else by the first pattern that fits, else None."""
        if name in self.metrics:
            return self.metrics[name]
        return next((known for pattern, known in self.metrics.items() if fnmatchcase(name, pattern)), None)

    def times(self, metrics: Iterable[str]) -> dict[str, str]:
        """Return those of these metrics whose unit is one of time, with it, and for which no tolerance is written."""
        names = sorted(metrics)
        written = self.replay.overrides(names)
        units = {name: known.unit for name in names if (known := self.metric(name)) is not None}
        return {name: unit for name, unit in units.items() if unit in _TIMES and name not in written}


class Goals(Mapping[str, Goal]):
    """Metric to whether more or less of it is better, as projects declare it, by name or by pattern.

    Args:
        projects: The first one that declares a goal counts.
    """

    def __init__(self, *projects: Project) -> None:
        self._projects = projects

    def __getitem__(self, name: str) -> Goal:
        for project in self._projects:
            definition = project.metric(name)
            if definition is not None and definition.goal is not None:
                return definition.goal
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(name for project in self._projects for name in project.metrics)
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
