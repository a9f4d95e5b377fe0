"""Read from a pytest item how the winner that it judges is chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MarkerError, QueryError
from pytest_mlrun.session.experiment import DEFAULT_EXPERIMENT, read_marker_of

if TYPE_CHECKING:
    import pytest

    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.rules.marker import Selection
    from pytest_mlrun.rules.selection import Choice


def check_selection(metafunc: pytest.Metafunc) -> None:
    """Check the ``mlrun_select`` markers of a test function before it becomes items.

    Raises:
        MarkerError: If one has a wrong argument, or is written where it does nothing.
    """
    definition = metafunc.definition
    if "mlrun" in metafunc.fixturenames:
        read_selection_of(definition)
    elif any(mark.name == "mlrun_select" for mark in definition.own_markers):
        raise MarkerError(
            f"{definition.name}: marked mlrun_select, but it does not take the mlrun fixture",
            where=definition.nodeid,
            next_step=f"write def {definition.name}(mlrun, …) and judge mlrun.winner, or remove the marker",
        )


def read_selection_of(node: pytest.Item | pytest.Collector) -> Selection | None:
    """Merge the node's ``mlrun_select`` markers, the closest winning per key; None where there is none."""
    from pytest_mlrun.session.marks import closest_first

    marks = list(closest_first(node, "mlrun_select"))
    if not marks:
        return None
    from pytest_mlrun.rules.marker import read_selection
    from pytest_mlrun.rules.where import parse_where

    owner = getattr(node, "originalname", node.name)
    merged: dict[str, object] = {}
    for mark in reversed(marks):
        selection = read_selection(mark.args, mark.kwargs, owner=owner)
        merged |= mark.kwargs
        try:
            parse_where(selection.where or "")
        except QueryError as error:
            raise MarkerError(
                f"{owner}: the mlrun_select marker: {error.headline}",
                details=error.details,
                where=node.nodeid,
                next_step=error.next_step,
            ) from None
    return read_selection((), merged, owner=owner)


def choice_of(node: pytest.Item | pytest.Collector, settings: Settings, project: Project) -> Choice | None:
    """Return the rule that chooses the node's winner: the marker's, completed by the leaderboard.

    Raises:
        MarkerError: If the rule is not complete.
    """
    from pytest_mlrun.records.project import Goals
    from pytest_mlrun.rules.selection import resolve_choice

    asked = read_selection_of(node)
    if asked is None:
        return None
    written = asked.experiment or read_marker_of(node).experiment or DEFAULT_EXPERIMENT
    return resolve_choice(
        asked,
        # The session records everything under the option's name, the sweep too.
        experiment=settings.experiment or written,
        written=written,
        leaderboards=project.leaderboards,
        goals=Goals(project),
        owner=getattr(node, "originalname", node.name),
    )


def plan_selection(plan: RunPlan, item: pytest.Item, settings: Settings) -> RunPlan:
    """Add to the plan of a run how its winner is chosen, if it has one."""
    choice = choice_of(item, settings, plan.project)
    if choice is None:
        return plan
    # From its first event: a run that found no winner is no candidate either.
    context = {**plan.context, "selection.experiment": json.dumps(choice.experiment)}
    return replace(plan, selection=choice, context=context)
