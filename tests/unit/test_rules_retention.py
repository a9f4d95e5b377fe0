"""What is wanted stays, with everything that it rests on; the rest goes when its time is over."""

from __future__ import annotations

import json
from collections.abc import Callable

from pytest_mlrun.records.retention import Fate, Retention
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.leaderboard import Rule
from pytest_mlrun.rules.retention import Scope, decide, split_named

MakeRun = Callable[..., RunRecord]
DAY_US = 86_400_000_000
EXPIRED = Fate("exploratory_days = 90", kept=False)
POLICY = Retention()


def fates_of(
    *runs: RunRecord,
    now_us: int,
    policy: Retention | None = POLICY,
    boards: dict[str, Rule] | None = None,
    reachable: set[str] | None = None,
    live: set[str] | None = None,
) -> dict[str, str]:
    found = decide(
        [Scope(runs, policy, boards or {})], reachable=reachable or set(), live=live or set(), now_us=now_us
    ).runs
    assert set(found) == {run.run_id for run in runs}
    assert all(fate.kept or fate == EXPIRED for fate in found.values())
    return {run.name: found[run.run_id].rule if found[run.run_id].kept else "gone" for run in runs}


def test_artifacts_stay_for_the_days_that_the_policy_gives_them(make_run: MakeRun, now_us: int) -> None:
    young = make_run("young", ended_us=now_us - 90 * DAY_US + 1)
    old = make_run("old", ended_us=now_us - 90 * DAY_US)

    assert fates_of(young, old, now_us=now_us) == {"young": "recent", "old": "gone"}


def test_a_run_that_a_registry_names_by_id_or_digest_stays_for_ever(make_run: MakeRun, now_us: int) -> None:
    by_id, by_digest, other = make_run("id"), make_run("digest", digest="sha256:" + "a" * 64), make_run("other")

    found = fates_of(
        by_id, by_digest, other, now_us=now_us * 2, reachable={by_id.run_id, by_digest.digest, "sha256:" + "b" * 64}
    )

    assert found == {"id": "registered", "digest": "registered", "other": "gone"}


def test_what_a_registry_names_is_wanted_for_the_years_that_the_policy_gives_it(now_us: int) -> None:
    years_us = 7 * 366 * DAY_US
    named = {"for ever": None, "young": now_us - years_us + 1, "old": now_us - years_us}

    wanted, lapsed = split_named(named, Retention(registered_years=7), now_us=now_us)

    assert (wanted, lapsed) == ({"for ever", "young"}, {"old"})


def test_a_run_whose_years_are_over_goes_by_that_rule_unless_another_keeps_it(make_run: MakeRun, now_us: int) -> None:
    old, recent = make_run("old", ended_us=0), make_run("recent")
    by_digest = make_run("digest", ended_us=0, digest="sha256:" + "a" * 64)
    lapsed = {old.run_id, recent.run_id, by_digest.digest}

    found = decide(
        [Scope([old, recent, by_digest], POLICY, {})], reachable=set(), live=set(), now_us=now_us, lapsed=lapsed
    )

    gone = Fate("registered_years = 10", kept=False)
    assert found.runs == {old.run_id: gone, recent.run_id: Fate("recent", kept=True), by_digest.run_id: gone}


def test_what_a_kept_run_rests_on_stays_with_it(make_run: MakeRun, now_us: int) -> None:
    grandparent, source, baseline = make_run("grandparent"), make_run("source"), make_run("baseline")
    parent = make_run("parent", parent_id=grandparent.run_id)
    winner = make_run("winner", context={"branched_from.run": json.dumps(source.run_id)})
    judge = make_run(
        "judge",
        parent_id=parent.run_id,
        context={"selection.winner": json.dumps(winner.run_id)},
        gates=(Verdict("floor", "auc", "PASS", baseline_id=baseline.run_id),),
    )
    sibling = make_run("sibling", parent_id=parent.run_id)

    found = fates_of(
        judge, parent, grandparent, winner, source, baseline, sibling, now_us=now_us * 2, reachable={judge.run_id}
    )

    assert found == {
        "judge": "registered",
        "parent": "registered",
        "grandparent": "registered",
        "winner": "registered",
        "source": "registered",
        "baseline": "registered",
        "sibling": "gone",
    }


def test_runs_that_rest_on_each_other_end_the_search(make_run: MakeRun, now_us: int) -> None:
    first = make_run("first", parent_id="01900000-0000-7000-8000-000000000002")
    second = make_run("second", parent_id=first.run_id)

    assert fates_of(first, second, now_us=now_us) == {"first": "recent", "second": "recent"}


def test_a_tag_pins_a_run_until_it_says_no(make_run: MakeRun, now_us: int) -> None:
    runs = [make_run(value, tags={"keep": value}) for value in ("audit", "", "no")]

    assert fates_of(*runs, now_us=now_us * 2) == {"audit": "pinned", "": "pinned", "no": "gone"}


def test_the_best_of_a_leaderboard_stay_by_its_rule(make_run: MakeRun, now_us: int) -> None:
    runs = [
        make_run("first", metrics={"loss": 0.1, "auc": 0.9}),
        make_run("second", metrics={"loss": 0.2, "auc": 0.9}),
        make_run("third", metrics={"loss": 0.3, "auc": 0.9}),
        make_run("failed its gate", metrics={"loss": 0.0, "auc": 0.9}, outcome="failed"),
        make_run("outside", metrics={"loss": 0.0, "auc": 0.1}),
        make_run("not a number", metrics={"loss": float("nan"), "auc": 0.9}),
        make_run("other experiment", experiment="prices", metrics={"loss": 0.0, "auc": 0.9}),
    ]
    boards = {"churn": Rule("loss", "min", "auc >= 0.5")}

    found = fates_of(*runs, now_us=now_us * 2, policy=Retention(top=2), boards=boards)

    assert {name for name, rule in found.items() if rule == "top"} == {"first", "second"}
    assert set(found.values()) == {"top", "gone"}


def test_a_run_in_a_log_that_is_written_stays_whatever_its_age(make_run: MakeRun, now_us: int) -> None:
    run = make_run("run")

    assert fates_of(run, now_us=now_us * 2, live={run.run_id}) == {"run": "live"}


def test_a_run_of_a_project_that_cannot_be_asked_stays(make_run: MakeRun, now_us: int) -> None:
    assert fates_of(make_run("run"), now_us=now_us * 2, policy=None) == {"run": "elsewhere"}


def test_the_strongest_rule_is_told_first(make_run: MakeRun, now_us: int) -> None:
    expired, recent, pinned, registered = (
        make_run("expired", ended_us=0),
        make_run("recent"),
        make_run("pinned", tags={"keep": "yes"}),
        make_run("registered", tags={"keep": "yes"}),
    )
    scope = Scope([expired, recent, pinned, registered], POLICY, {})

    found = decide([scope], reachable={registered.run_id}, live=set(), now_us=now_us).runs

    assert [fate.rule for fate in found.values()] == ["registered", "pinned", "recent", EXPIRED.rule]


def test_an_object_that_a_registry_names_stays_by_itself(now_us: int) -> None:
    digest = "sha256:" + "c" * 64

    found = decide([], reachable={digest, "01900000-0000-7000-8000-000000000001"}, live=set(), now_us=now_us)

    assert found.objects == {digest: Fate("registered", kept=True)}
