"""A policy names every requirement that a version does not meet, with its cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.rules.policy import Evidence, Policy, judge, read_policy

HOUR_US = 3_600_000_000
NOW_US = 1_000 * HOUR_US
GOOD = Evidence(
    ref="churn/3",
    clean=True,
    data={"churn": "copy"},
    gates=["PASS", "PASS"],
    audits=["REPRODUCED"],
    registered_us=0,
    held={"staging": 0},
    approved_by=["bob@example.org"],
    refused=[],
    signed=True,
)
ALL = read_policy(
    "production",
    {
        "requires": ["clean_tree", "data_kept", "gates_passed", "replayed"],
        "approvals": 1,
        "roles": ["ml-lead"],
        "predecessors": ["staging"],
        "min_age": "14d",
        "archives": True,
    },
    where="mlrun.toml",
)


def test_a_version_that_meets_everything_may_take_the_alias() -> None:
    assert judge(ALL, GOOD, now_us=NOW_US) == ()


@pytest.mark.parametrize(
    ("changes", "requirement", "found"),
    [
        ({"clean": False}, "clean_tree", "it was trained on uncommitted changes"),
        ({"clean": None}, "clean_tree", "its record names no commit"),
        ({"data": {}}, "data_kept", "it names no data"),
        ({"data": {"churn": "copy", "geo": ""}}, "data_kept", "its record does not say that data 'geo' is kept"),
        ({"gates": []}, "gates_passed", "no gate judged it"),
        ({"gates": ["PASS", "INCONCLUSIVE"]}, "gates_passed", "1 of 2 gates did not pass: INCONCLUSIVE"),
        ({"audits": []}, "replayed", "nobody has reproduced it yet"),
        ({"audits": ["CONSISTENT"]}, "replayed", "its audits say CONSISTENT"),
        ({"audits": ["REPRODUCED", "DIVERGED"]}, "replayed", "its audits say REPRODUCED, DIVERGED"),
        ({"held": {}, "registered_us": 0}, "predecessors", "it has never been 'staging'"),
        ({"held": {"staging": NOW_US - 335 * HOUR_US}}, "min_age", "it has not been 'staging' for 14d"),
        ({"approved_by": [], "refused": ["eve: no"]}, "approvals", "0 of 1 by ml-lead; eve: no"),
        ({"signed": False}, "approvals", "its registration is not signed, so nobody knows whom to exclude"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_met_is_named_alone(changes: dict[str, object], requirement: str, found: str) -> None:
    [unmet] = judge(ALL, replace(GOOD, **changes), now_us=NOW_US)  # type: ignore[arg-type]

    assert (unmet.requirement, unmet.found) == (requirement, found)
    assert unmet.cure


def test_everything_that_is_not_met_is_named_at_once() -> None:
    bad = replace(GOOD, clean=False, data={}, gates=[], audits=[], held={}, registered_us=NOW_US, approved_by=[])

    assert [unmet.requirement for unmet in judge(ALL, bad, now_us=NOW_US)] == [
        "clean_tree",
        "data_kept",
        "gates_passed",
        "replayed",
        "predecessors",
        "min_age",
        "approvals",
    ]


def test_the_age_counts_from_the_predecessor_and_to_the_hour() -> None:
    held = {"staging": NOW_US - 336 * HOUR_US}

    assert judge(ALL, replace(GOOD, held=held), now_us=NOW_US) == ()
    [unmet] = judge(ALL, replace(GOOD, held=held), now_us=NOW_US - 1)
    assert unmet.cure == "wait 1 h"


def test_who_held_the_alias_before_need_not_wait_again() -> None:
    held = {"production": NOW_US - HOUR_US}

    assert judge(ALL, replace(GOOD, held=held), now_us=NOW_US) == ()


def test_an_audit_that_could_not_decide_takes_nothing_back() -> None:
    known = replace(GOOD, audits=["DIVERGED", "REPRODUCED_EXACTLY", "INCONCLUSIVE"])

    assert judge(ALL, known, now_us=NOW_US) == ()


def test_an_alias_without_policy_asks_for_nothing() -> None:
    nothing = replace(GOOD, clean=None, data={}, gates=[], audits=[], held={}, approved_by=[], signed=False)

    assert judge(Policy("champion"), nothing, now_us=NOW_US) == ()


@pytest.mark.parametrize(
    ("values", "headline"),
    [
        ({"require": []}, "mlrun.toml: unknown key 'require' in [aliases.a]; did you mean 'requires'?"),
        ({"requires": ["replay"]}, "mlrun.toml: aliases.a.requires cannot be 'replay'; did you mean 'replayed'?"),
        ({"requires": "replayed"}, "mlrun.toml: aliases.a.requires must be a list of texts, not 'replayed'"),
        ({"roles": ["ml lead"]}, "mlrun.toml: aliases.a.roles cannot be 'ml lead'"),
        ({"roles": ["lead"]}, "mlrun.toml: aliases.a.roles says who may approve, and approvals asks for nobody"),
        ({"approvals": True}, "mlrun.toml: aliases.a.approvals must be a whole number from 0 to 20, not True"),
        ({"approvals": -1}, "mlrun.toml: aliases.a.approvals must be a whole number from 0 to 20, not -1"),
        ({"min_age": 14}, "mlrun.toml: aliases.a.min_age must be hours, days or weeks, not 14"),
        ({"min_age": "14"}, "mlrun.toml: aliases.a.min_age must be hours, days or weeks, not '14'"),
        ({"archives": 1}, "mlrun.toml: aliases.a.archives must be true or false, not 1"),
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_meant_is_refused(values: dict[str, object], headline: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy("a", values, where="mlrun.toml")

    assert caught.value.headline == headline
    assert caught.value.next_step
