"""No policy, registry or order of runs takes away what somebody rests on."""

from __future__ import annotations

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from pytest_mlrun.records.retention import Retention
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.retention import Scope, decide, rests_on

NOW_US = 400 * 86_400_000_000


def id_of(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012x}"


numbers = st.integers(0, 11)


@st.composite
def runs(draw: st.DrawFn) -> list[RunRecord]:
    found = []
    for number in range(draw(st.integers(1, 12))):
        source = draw(st.none() | numbers)
        context = {} if source is None else {"selection.winner": json.dumps(id_of(source))}
        found.append(
            RunRecord(
                run_id=id_of(number), session_id="s", experiment="e", name="run", test="t", case="", attempt=1,
                parent_id=draw(st.none() | numbers.map(id_of)), status="finished", outcome="passed", cause="",
                cause_detail="", error="", started_us=0, ended_us=draw(st.integers(0, 400)) * 86_400_000_000, params={},
                metrics={"auc": draw(st.floats())}, tags=draw(st.sampled_from([{}, {"keep": "yes"}, {"keep": "no"}])),
                context=context, artifacts=(), gates=(), series={},
            )
        )  # fmt: skip
    return found


@given(runs(), st.sets(numbers.map(id_of)), st.sets(numbers.map(id_of)), st.integers(1, 500), st.randoms())
def test_what_a_kept_run_rests_on_is_kept_in_any_order(
    found: list[RunRecord], reachable: set[str], live: set[str], days: int, shuffle: random.Random
) -> None:
    policy = Retention(exploratory_days=days)
    half = len(found) // 2

    fates = decide([Scope(found, policy, {})], reachable=reachable, live=live, now_us=NOW_US).runs
    shuffled = shuffle.sample(found, len(found))
    again = decide(
        [Scope(shuffled[:half], policy, {}), Scope(shuffled[half:], policy, {})],
        reachable=reachable,
        live=live,
        now_us=NOW_US,
    ).runs

    assert fates == again
    assert set(fates) == {run.run_id for run in found}
    for run in found:
        wanted = run.run_id in reachable | live or run.tags.get("keep") == "yes"
        assert fates[run.run_id].kept or not (wanted or run.ended_us > NOW_US - days * 86_400_000_000)
        if fates[run.run_id].kept:
            assert all(fates[source].kept for source in rests_on(run) if source in fates)


@given(runs(), st.sets(numbers.map(id_of)), numbers.map(id_of))
def test_naming_one_more_run_takes_nothing_away(found: list[RunRecord], reachable: set[str], more: str) -> None:
    scope = Scope(found, Retention(), {})

    fewer = decide([scope], reachable=reachable, live=set(), now_us=NOW_US).runs
    larger = decide([scope], reachable={*reachable, more}, live=set(), now_us=NOW_US).runs

    assert all(larger[run_id].kept for run_id, fate in fewer.items() if fate.kept)
