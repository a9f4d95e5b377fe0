"""Compare runs aspect by aspect: what each was told, what it reached, what it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.snapshot import Manifest
from pytest_mlrun.rules.environment_facts import list_facts, list_packages
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.params import estimator_params

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pillar = Literal[
    "run", "params", "metrics", "gates", "tags", "data", "packages", "environment", "randomness", "code", "artifacts"
]
PILLARS: tuple[Pillar, ...] = get_args(Pillar)

Value: TypeAlias = str | float | bool | None
Points: TypeAlias = "tuple[NDArray[object], NDArray[object]]"
"""Steps and values of a series, in logged order."""

_RUN = ("experiment", "test", "status", "outcome", "cause")
_MACHINE = ("host.name", "host.kernel", "host.memory_bytes", "threads")
_CODE = ("code.vcs", "code.commit", "code.tree", "code.patch_omitted")
_EXPLAINED = frozenset({"environment", "patch", "manifest", "snapshot", "fingerprints"})
"""Roles of artifacts that another part of the comparison explains."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run, and what its artifacts say about what it rests on.

    Attributes:
        run: The run.
        environment: Its ``environment.json``; None where it cannot be read.
        manifests: Files of its snapshots, by name of the data; a snapshot whose listing cannot be read is left out.
        series: Points of its metrics, by name.
    """

    run: RunRecord
    environment: Mapping[str, object] | None = None
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    series: Mapping[str, Points] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing in which runs are equal or differ.

    Attributes:
        pillar: What it belongs to.
        name: Such as the name of a param, a file, a package.
        values: One a run; None where the run has none. Params are JSON texts, files and artifacts their digests.
        same: Whether all runs are equal in it.
        best: Places of the runs whose metric is best, where its goal is known and they differ.
        part_at: First step at which the series of a metric differ.
    """

    pillar: Pillar
    name: str
    values: tuple[Value, ...]
    same: bool
    best: tuple[int, ...] = ()
    part_at: int | None = None


def compare(evidence: Sequence[Evidence], *, goals: Mapping[str, Goal]) -> list[Aspect]:
    """Compare runs.

    What is never compared: ids, names, times, memory, the command line; the digest of a model, whose archive holds the
    time of writing; and where the generators ended, if they started from different seeds.

    Args:
        evidence: Two runs or more.
        goals: Metric to whether more or less of it is better, where a project says so.

    Returns:
        Every aspect that a run has, equal ones included, in the order of ``PILLARS``.
    """
    runs = [one.run for one in evidence]
    return [
        *(_aspect("run", name, [getattr(run, name) for run in runs]) for name in _RUN),
        *_params(runs),
        *_metrics(evidence, goals),
        *_from_maps("gates", [_gates_of(run) for run in runs]),
        *_from_maps("tags", [run.tags for run in runs]),
        *_data(evidence),
        *_packages(evidence),
        *_from_maps("environment", _environments(evidence)),
        *_from_maps("randomness", _randomness(runs)),
        *_from_maps("code", [_code_of(run) for run in runs]),
        *_from_maps("artifacts", [_artifacts_of(run) for run in runs]),
    ]


def first_difference(one: Points, other: Points) -> int | None:
    """Return the first step at which two series differ, or None; NaN equals NaN.

    Args:
        one: Steps and values.
        other: Likewise.
    """
    import numpy as np

    length = min(len(one[0]), len(other[0]))
    steps = [np.asarray(points[0], dtype=np.int64) for points in (one, other)]
    values = [np.asarray(points[1], dtype=np.float64) for points in (one, other)]
    both_nan = np.isnan(values[0][:length]) & np.isnan(values[1][:length])
    equal = (steps[0][:length] == steps[1][:length]) & ((values[0][:length] == values[1][:length]) | both_nan)
    if not equal.all():
        at = int(np.argmin(equal))
        return int(min(steps[0][at], steps[1][at]))
    if len(steps[0]) == len(steps[1]):
        return None
    return int(max(steps, key=len)[length])


def _params(runs: Sequence[RunRecord]) -> Iterator[Aspect]:
    for name in _names(run.params for run in runs):
        yield from _param(name, [run.params.get(name) for run in runs])


def _param(name: str, texts: Sequence[str | None]) -> Iterator[Aspect]:
    """Yield a param; of estimators of one class that differ, only the params of theirs that do."""
    parts = [estimator_params(text) for text in texts]
    inner = [params for part in parts if part is not None for params in [part[1]]]
    if _all_equal(texts) or len({part and part[0] for part in parts}) > 1 or len(inner) < len(texts):
        yield _aspect("params", name, texts)
        return
    for key in _names(inner):
        values = [params.get(key) for params in inner]
        if not _all_equal(values):
            yield from _param(f"{name}.{key}", values)


def _metrics(evidence: Sequence[Evidence], goals: Mapping[str, Goal]) -> Iterator[Aspect]:
    runs = [one.run for one in evidence]
    for name in _names(run.metrics for run in runs):
        values = [run.metrics.get(name) for run in runs]
        part_at = _part_at([one.series.get(name) for one in evidence])
        same = _all_equal(values) and part_at is None
        best = () if same else _best(values, goals.get(name) or default_goal(name))
        yield Aspect("metrics", name, tuple(values), same, best, part_at)


def _part_at(series: Sequence[Points | None]) -> int | None:
    known = [points for points in series if points is not None]
    parts = [first_difference(known[0], other) for other in known[1:]]
    return min((part for part in parts if part is not None), default=None)


def _best(values: Sequence[float | None], goal: Goal | None) -> tuple[int, ...]:
    known = [value for value in values if value is not None and not math.isnan(value)]
    if goal is None or len(set(known)) < 2:  # noqa: PLR2004 - the better of two
        return ()
    best = max(known) if goal == "max" else min(known)
    return tuple(at for at, value in enumerate(values) if value == best)


def _gates_of(run: RunRecord) -> dict[str, Value]:
    found: dict[str, list[str]] = {}
    for verdict in run.gates:
        asked = verdict.bound if verdict.bound is not None else verdict.margin
        text = verdict.decision if asked is None else f"{verdict.decision} {asked:g}"
        found.setdefault(f"{verdict.metric} {verdict.gate}", []).append(text)
    return {name: ", ".join(texts) for name, texts in found.items()}


def _data(evidence: Sequence[Evidence]) -> Iterator[Aspect]:
    digests = [_digests_of(one.run) for one in evidence]
    for name in _names(digests):
        values = [found.get(name) for found in digests]
        manifests = [one.manifests.get(name) for one in evidence]
        if _all_equal(values) or None in values or None in manifests:
            yield _aspect("data", name, values)
            continue
        files = [_files_of(manifest) for manifest in manifests if manifest is not None]
        yield from _from_maps("data", [{f"{name}: {path}": digest for path, digest in one.items()} for one in files])


def _digests_of(run: RunRecord) -> dict[str, Value]:
    return {
        key.removeprefix("data.").removesuffix(".digest"): _read(text)
        for key, text in run.context.items()
        if key.startswith("data.") and key.endswith(".digest")
    }


def _files_of(manifest: Manifest) -> dict[str, Value]:
    return {entry.path: f"sha256:{entry.sha256}" for entry in manifest.files}


def _packages(evidence: Sequence[Evidence]) -> Iterator[Aspect]:
    documents = [one.environment for one in evidence]
    if None in documents:
        return
    yield from _from_maps("packages", list_packages([document for document in documents if document is not None]))


def _environments(evidence: Sequence[Evidence]) -> list[dict[str, Value]]:
    machines = [_pick(one.run, _MACHINE) for one in evidence]
    documents = [one.environment for one in evidence]
    if None in documents:
        # Half a comparison would show every fact of one run as missing from the other.
        keys = sorted({key for one in evidence for key in one.run.context if key.startswith("env.")})
        return [_pick(one.run, keys) | machine for one, machine in zip(evidence, machines, strict=True)]
    known = [document for document in documents if document is not None]
    return [{**facts, **machine} for facts, machine in zip(list_facts(known), machines, strict=True)]


def _randomness(runs: Sequence[RunRecord]) -> list[dict[str, Value]]:
    seeds = {(run.context.get("rand.seed"), run.context.get("rand.hash_seed")) for run in runs}
    # Other seeds must end elsewhere; equal seeds that do drew something else.
    ends = len(seeds) == 1
    # Older runs do not say whether unpinned draws were looked for.
    told = all("rand.entropy" in run.context for run in runs)
    silent = {"rand.seed_source"} if told else {"rand.seed_source", "rand.entropy"}
    keys = sorted(
        key
        for key in {key for run in runs for key in run.context}
        if key == "pinned"
        or (key.startswith("rand.") and key not in silent and (ends or not key.startswith("rand.end.")))
    )
    return [
        {key.removeprefix("rand."): value for key, value in _pick(run, keys).items()}
        | {"unpinned draws": _read(run.context.get("randomness.unpinned"))}
        for run in runs
    ]


def _code_of(run: RunRecord) -> dict[str, Value]:
    facts = _pick(run, _CODE)
    dirty, patch = _read(run.context.get("code.dirty")), _read(run.context.get("code.patch"))
    uncommitted = patch or ("not kept" if dirty else "none" if dirty is False else None)
    return {key.removeprefix("code."): value for key, value in facts.items()} | {"uncommitted changes": uncommitted}


def _artifacts_of(run: RunRecord) -> dict[str, Value]:
    return {
        # The archive of a model holds the time at which it was written: equal models have different digests.
        artifact.name: "a model" if artifact.role == "model" else artifact.digest
        for artifact in run.artifacts
        if artifact.role not in _EXPLAINED
    }


def _pick(run: RunRecord, keys: Iterable[str]) -> dict[str, Value]:
    return {key: _read(run.context[key]) for key in keys if key in run.context}


def _read(text: str | None) -> Value:
    """Return a fact of the context: a JSON scalar as it is, anything else as its JSON text."""
    value = None if text is None else json.loads(text)
    return value if value is None or isinstance(value, str | int | float) else text


def _from_maps(pillar: Pillar, maps: Sequence[Mapping[str, Value]]) -> Iterator[Aspect]:
    for name in _names(maps):
        values = [found.get(name) for found in maps]
        if any(value is not None for value in values):
            yield _aspect(pillar, name, values)


def _aspect(pillar: Pillar, name: str, values: Sequence[Value]) -> Aspect:
    return Aspect(pillar, name, tuple(values), _all_equal(values))


def _all_equal(values: Sequence[Value]) -> bool:
    return all(
        type(value) is type(values[0]) and (value == values[0] or _are_nan(value, values[0])) for value in values
    )


def _are_nan(one: Value, other: Value) -> bool:
    return one != one and other != other  # noqa: PLR0124 - only NaN differs from itself


def _names(maps: Iterable[Mapping[str, object]]) -> dict[str, None]:
    return {name: None for found in maps for name in found}
