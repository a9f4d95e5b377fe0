"""Read from a pytest item what its run is: identity, params, marker, project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.errors import MarkerError
from pytest_mlrun.items import PIN_FIXTURES, RUN_FIXTURES, is_marked, is_refused
from pytest_mlrun.session.collection import check_marks, check_scopes

if TYPE_CHECKING:
    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.rules.marker import Entropy, MarkerArguments

DEFAULT_EXPERIMENT = "default"


def check_function(metafunc: pytest.Metafunc) -> None:
    """Check the markers of a test function before it becomes items.

    Raises:
        MarkerError: If a marker has a wrong argument, or is written where it does nothing.
    """
    definition = metafunc.definition
    taken = (RUN_FIXTURES | PIN_FIXTURES).intersection(metafunc.fixturenames)
    check_marks(definition, metafunc.config, experiment=bool(taken))
    if not taken:
        if is_marked(definition):
            raise MarkerError(
                f"{definition.name}: marked mlrun, but it does not take the mlrun fixture",
                where=definition.nodeid,
                next_step=f"write def {definition.name}(mlrun, …), or remove the marker",
            )
        return
    check_scopes(metafunc)
    if RUN_FIXTURES & taken and getattr(metafunc.function, "is_hypothesis_test", False):
        raise MarkerError(
            f"{definition.name}: @given cannot drive a training experiment",
            details=("hypothesis reseeds the generators for every example, so no run could be repeated",),
            where=definition.nodeid,
            next_step="parametrize the test, or search inside it with mlrun.child(...)",
        )


def check_item(item: pytest.Item) -> pytest.Function:
    """Check what only shows on the item: a ``TestCase`` method, a doctest, or a marker on ``pytest.param``.

    Returns:
        The item, which is a test function.

    Raises:
        MarkerError: If the item cannot be an experiment, or a marker has a wrong argument.
    """
    if is_refused(item):
        raise MarkerError(
            f"{item.name}: a unittest.TestCase method cannot be an experiment",
            details=("it takes no fixtures as arguments and no parametrize, so there is no run to record",),
            where=item.nodeid,
            next_step="write a plain test function, or a class that does not inherit from TestCase",
        )
    if not isinstance(item, pytest.Function):
        raise MarkerError(
            f"{item.name}: a {type(item).__name__} cannot be an experiment",
            where=item.nodeid,
            next_step="take mlrun in test functions only, not in an autouse fixture",
        )
    read_marker_of(item)
    return item


def read_marker_of(node: pytest.Item | pytest.Collector) -> MarkerArguments:
    """Merge the node's ``mlrun`` markers, the closest winning per key."""
    from pytest_mlrun.rules.marker import merge_markers, read_marker
    from pytest_mlrun.session.marks import closest_first

    owner = getattr(node, "originalname", node.name)
    found = [read_marker(mark.args, mark.kwargs, owner=owner) for mark in closest_first(node, "mlrun")]
    return merge_markers(found)


def plan_item(item: pytest.Function, settings: Settings, project: Project) -> RunPlan:
    """Plan the run of one attempt of a test.

    Raises:
        MarkerError: If the marker is wrong.
        ParamError: If a param cannot be recorded.
        NamingError: If the project's vocabulary refuses a name.
    """
    from pytest_mlrun.rules.naming import check_param_names
    from pytest_mlrun.rules.run_names import run_name

    params = describe_params(item)
    # A required param may be logged by the body: whether it is there shows at the end.
    check_param_names(params, project.naming)
    case = item.callspec.id if hasattr(item, "callspec") else ""
    test = identity_of(item, project)
    plan = _plan(item, settings, project)
    template = project.naming.run_names.get(plan.experiment, project.naming.run_name)
    return replace(
        plan,
        name=run_name(template, params=params, experiment=plan.experiment, test=test, case=case),
        test=test,
        case=case,
        params=params,
        attempt=int(getattr(item, "execution_count", 1)),
    )


def plan_module(node: pytest.Collector, settings: Settings, project: Project) -> RunPlan:
    """Plan the run that the tests of a module share; see ``plan_item``."""
    return replace(_plan(node, settings, project), name=node.path.stem, test=_relative(node.path, project.root))


def seed_of(node: pytest.Item | pytest.Collector, settings: Settings) -> int:
    """Return the seed that holds at a node: that of a branch, else the closest marker's, else the option's."""
    return _seed_and_source(read_marker_of(node), settings)[0]


def entropy_of(node: pytest.Item | pytest.Collector, settings: Settings) -> Entropy:
    """Return whether draws without a seed are looked for at a node: the closest marker's word, else the option's."""
    return read_marker_of(node).entropy or settings.entropy


def identity_of(item: pytest.Item, project: Project) -> str:
    """Return what names the test of an item's run, in every checkout: never its params."""
    path = _relative(item.path, project.root)
    return f"{path}::{_qualified_name(item)}" if "mlrun" in getattr(item, "fixturenames", ()) else path


def describe_params(item: pytest.Function) -> dict[str, str]:
    """Return the parametrized values of an item as JSON texts."""
    if not hasattr(item, "callspec"):
        return {}
    from pytest_mlrun.rules.params import describe_param
    from pytest_mlrun.session.parametrized import find_explicit_id

    return {
        name: describe_param(name, value, explicit_id=find_explicit_id(item, name, value))
        for name, value in item.callspec.params.items()
    }


def _plan(node: pytest.Item | pytest.Collector, settings: Settings, project: Project) -> RunPlan:
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.rules.gate_policy import GatePolicy
    from pytest_mlrun.rules.metric_vocabulary import check_gates
    from pytest_mlrun.rules.naming import check_tag

    marker = read_marker_of(node)
    check_gates(marker, project)
    seed, source = _seed_and_source(marker, settings)
    for key, value in marker.tags.items():
        check_tag(key, value, project.naming)
    return RunPlan(
        project=project,
        experiment=settings.experiment or marker.experiment or DEFAULT_EXPERIMENT,
        name=node.name,
        test=node.nodeid,
        tags=marker.tags,
        data=marker.data,
        seed=seed,
        seed_source=source,
        clean_tree="require" if settings.clean_tree or marker.clean_tree == "require" else "record",
        primary=marker.primary,
        policy=GatePolicy(must_detect=marker.must_detect),
        entropy=marker.entropy or settings.entropy,
    )


def _seed_and_source(marker: MarkerArguments, settings: Settings) -> tuple[int, str]:
    if settings.branch_seed is not None:
        return settings.branch_seed
    return (settings.seed, "option") if marker.seed is None else (marker.seed, "marker")


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _qualified_name(item: pytest.Item) -> str:
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return "::".join([*classes, getattr(item, "originalname", item.name)])
