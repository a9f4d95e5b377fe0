"""Say of each pillar what a recorded run and its replay share, and what nobody held."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pytest_mlrun.records.reproduction import GeneratorComparison, PillarComparison, PillarStatus
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.environment_distance import Distance

_SHORT = 10
_MOST = 6
_END = "rand.end."


def compare_code(recorded: RunRecord, replayed: RunRecord) -> PillarComparison:
    """Compare commit, tree and uncommitted changes."""
    if _fact(recorded, "code.commit") is None:
        return PillarComparison("code", "unpinned", ("recorded without version control: the code may be another",))
    findings = []
    keys = ("code.commit", "code.tree")
    commits = [_fact(run, "code.commit") for run in (recorded, replayed)]
    same = all(_fact(recorded, key) == _fact(replayed, key) for key in keys)
    if commits[0] != commits[1]:
        findings.append(f"commit {_cut(commits[0])} → {_cut(commits[1])}")
    if _fact(recorded, "code.dirty"):
        findings.append("recorded with uncommitted changes")
    patches = [_fact(run, "code.patch") if _fact(run, "code.dirty") else None for run in (recorded, replayed)]
    if patches[0] != patches[1]:
        same = False
        findings.append("replayed with other uncommitted changes" if patches[1] else "replayed without them")
    elif patches[0] is None and _fact(recorded, "code.dirty"):
        return PillarComparison("code", "unknown", (*findings, "they were not kept"))
    return PillarComparison("code", "same" if same else "differs", tuple(findings))


def compare_data(recorded: RunRecord, replayed: RunRecord) -> PillarComparison:
    """Compare the digests of the snapshots."""
    digests = [data_digests(run) for run in (recorded, replayed)]
    if not digests[0]:
        return PillarComparison("data", "unpinned", ("the test names no data of mlrun.toml",))
    findings = [
        f"{name} {_cut_digest(digests[0].get(name))} → {_cut_digest(digests[1].get(name))}"
        for name in sorted({*digests[0], *digests[1]})
        if digests[0].get(name) != digests[1].get(name)
    ]
    return PillarComparison("data", "differs" if findings else "same", tuple(findings))


def compare_environment(distance: Distance) -> PillarComparison:
    """Say what sets the environments apart."""
    sentences = [*distance.reasons, *distance.lesser]
    more = [f"and {len(sentences) - _MOST} more"] if len(sentences) > _MOST else []
    status: PillarStatus = "same" if distance.level == "L0" else "differs"
    return PillarComparison("environment", status, (*sentences[:_MOST], *more))


def compare_randomness(
    recorded: RunRecord, replayed: RunRecord, generators: Sequence[GeneratorComparison]
) -> PillarComparison:
    """Compare seeds, the hash seed, and where the generators ended."""
    if _fact(recorded, "pinned") is False:
        return PillarComparison("randomness", "unpinned", ("recorded outside pytest: nothing held the generators",))
    differing = list(_other_seeds(recorded, replayed))
    moved = [generator.stream for generator in generators if not generator.same]
    if moved and not differing:
        differing.append(f"{', '.join(moved)}: the generators ended elsewhere, other draws were made")
    unpinned = _unpinned(recorded)
    status: PillarStatus = "differs" if differing else "unpinned" if unpinned else "same"
    return PillarComparison("randomness", status, (*differing, *unpinned))


def compare_generators(recorded: RunRecord, replayed: RunRecord) -> tuple[GeneratorComparison, ...]:
    """Compare the end state of each stream that both runs had; a library that one had not loaded drew nothing there."""
    streams = sorted(key for key in recorded.context if key.startswith(_END) and key in replayed.context)
    return tuple(
        GeneratorComparison(key.removeprefix(_END), recorded.context[key] == replayed.context[key]) for key in streams
    )


def data_digests(run: RunRecord) -> dict[str, str]:
    """Return the digest of each snapshot that a run was trained on, by name."""
    return {
        key.removeprefix("data.").removesuffix(".digest"): str(json.loads(text))
        for key, text in run.context.items()
        if key.startswith("data.") and key.endswith(".digest")
    }


def _other_seeds(recorded: RunRecord, replayed: RunRecord) -> Iterator[str]:
    for key, name in (("rand.seed", "seed"), ("rand.hash_seed", "hash seed")):
        before, after = _fact(recorded, key), _fact(replayed, key)
        if before != after:
            yield f"{name} {'not fixed' if before is None else before} → {'not fixed' if after is None else after}"


def _unpinned(recorded: RunRecord) -> list[str]:
    keyed = _fact(recorded, "rand.unpinned")
    found = [f"{name} has no generator to pin" for name in keyed] if isinstance(keyed, list) else []
    drawn = _fact(recorded, "randomness.unpinned")
    if isinstance(drawn, list):
        found += [f"unpinned draw: {entry}" for entry in drawn[:_MOST]]
    return found


def _fact(run: RunRecord, key: str) -> object:
    text = run.context.get(key)
    return None if text is None else json.loads(text)


def _cut(value: object) -> str:
    return "none" if value is None else str(value)[:_SHORT]


def _cut_digest(digest: str | None) -> str:
    return "none" if digest is None else f"{digest.removeprefix('sha256:')[:_SHORT]}…"
