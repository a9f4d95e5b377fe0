"""A model version is in use, was in use until an instant, or is evidence for ever."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_mlrun.records.event import Event, Value
from pytest_mlrun.registry.fold import fold
from pytest_mlrun.rules.lineage import unused_since_us

VERSION: Mapping[str, Value] = {
    "run_id": "r", "run_digest": "d", "run_name": "n", "experiment": "e", "test": "t", "commit": "", "authors": [],
    "seed": None, "data": {}, "params": {}, "files": [], "judge_id": "", "judge_digest": "", "principal": "",
}  # fmt: skip
Step = tuple[str, dict[str, Value]]


def registered(version: int) -> Step:
    return "registered", {**VERSION, "version": version}


def promoted(version: int, alias: str, **policy: Value) -> Step:
    return "promoted", {"version": version, "alias": alias, "archives": None, "policy": policy}


def since_of(version: int, *steps: Step, guarded: frozenset[str] = frozenset()) -> int | None:
    """Say since when a version is unused; event n happened at 100 n."""
    events = [
        Event("churn", number, "", kind, number * 100, "ada", "", body, digest=f"sha256:{number}")
        for number, (kind, body) in enumerate(steps, start=1)
    ]
    return unused_since_us(fold("churn", events), version, guarded=guarded)


def test_without_an_alias_the_time_counts_from_the_registration() -> None:
    assert since_of(2, registered(1), registered(2)) == 200


def test_the_time_counts_from_when_the_last_alias_was_lost() -> None:
    steps = (registered(1), registered(2), promoted(1, "candidate"), promoted(1, "shadow"), promoted(2, "shadow"))

    assert since_of(1, *steps) is None
    assert since_of(1, *steps, promoted(2, "candidate")) == 600
    assert since_of(2, *steps, promoted(2, "candidate")) is None


@pytest.mark.parametrize("asked", [{"approvals": 1}, {"requires": ["replayed"]}, {"min_age": "14d"}, {"later": "x"}])
def test_what_once_held_an_alias_that_asked_for_something_is_evidence_for_ever(asked: dict[str, Value]) -> None:
    held = (registered(1), promoted(1, "production", **asked), registered(2))

    assert since_of(1, *held, promoted(2, "production")) is None


@pytest.mark.parametrize("asked", [{}, {"approvals": 0, "requires": [], "min_age": "", "archives": True}])
def test_an_alias_that_asked_for_nothing_guards_nothing_unless_it_asks_now(asked: dict[str, Value]) -> None:
    held = (registered(1), promoted(1, "production", **asked), registered(2), promoted(2, "production"))

    assert since_of(1, *held) == 400
    assert since_of(1, *held, guarded=frozenset({"candidate"})) == 400
    assert since_of(1, *held, guarded=frozenset({"production"})) is None


def test_a_version_that_an_endpoint_serves_is_in_use_until_it_is_removed() -> None:
    added: Step = ("endpoint_added", {"endpoint": "https://x", "alias": "", "version": 1})

    assert since_of(1, registered(1), added) is None
    assert since_of(1, registered(1), added, ("endpoint_removed", {"endpoint": "https://x"})) == 100
