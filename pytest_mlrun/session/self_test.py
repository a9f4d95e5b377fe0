"""Test the gates of collected experiments instead of training them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_mlrun.errors import GateFailure, MetricError
from pytest_mlrun.items import is_experiment
from pytest_mlrun.options import SETTINGS
from pytest_mlrun.records.gate_test import GateTest
from pytest_mlrun.session.experiment import check_item, plan_item, plan_module, read_marker_of
from pytest_mlrun.session.refusal import refusing
from pytest_mlrun.session.selecting import plan_selection

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.store.reader import Reader

_NAME = "mlrun-self-test"
_PROPERTY = "mlrun_selftest_"
_UNTESTED = "mlrun_untested_gates"
_KEPT_MARKS = frozenset({"skip", "skipif"})


def register(config: pytest.Config) -> None:
    """Register the hooks of a session that trains nothing.

    Raises:
        pytest.UsageError: If other options ask for a training.
    """
    settings = config.stash[SETTINGS]
    if not settings.mlrun:
        raise pytest.UsageError(
            "--mlrun-selftest tests the gates of experiments, and experiments were not asked for\n  next:  add --mlrun"
        )
    if settings.from_run is not None or settings.register:
        option = "--mlrun-register" if settings.register else "--mlrun-from"
        raise pytest.UsageError(
            f"--mlrun-selftest trains nothing, and {option} needs a training: leave one of them out"
        )
    config.pluginmanager.register(SelfTestHooks(), _NAME)


class SelfTestHooks:
    """Put a test of the recorded gates in the place of each experiment, and tell what was found."""

    # The outermost wrapper: what is chosen by name and marker is chosen among the experiments.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Replace each experiment; leave everything else out."""
        result = yield
        chosen: dict[str, pytest.Item] = {}
        for item in items:
            if is_experiment(item):
                # A run that the tests of a module share is recorded, and tested, once.
                own = "mlrun" in getattr(item, "fixturenames", ())
                chosen.setdefault(item.nodeid if own else str(item.path), item)
        left_out = [item for item in items if item not in chosen.values()]
        items[:] = [GateItem.replacing(item) for item in chosen.values()]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
        return result

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Write the table of gates."""
        from pytest_mlrun.report.gate_tests import render_gate_tests

        reports = (report for found in terminalreporter.stats.values() for report in found)
        called = [report for report in reports if getattr(report, "when", "") == "call"]
        tests = [test for report in called for test in _told_by(report)]
        untested = [gate for report in called for gate in _untested_by(report)]
        width = terminalreporter._tw.fullwidth  # noqa: SLF001 - what pytest itself lays out by
        lines = render_gate_tests(tests, untested, verbosity=config.get_verbosity(), width=width)
        if lines:
            terminalreporter.section("gate self-test")
        for text, markup in lines:
            terminalreporter.write_line(text, **markup)


class GateItem(pytest.Item):
    """The gates that an experiment recorded last.

    Attributes:
        experiment: The item in whose place it stands, which does not run.
    """

    experiment: pytest.Item

    @classmethod
    def replacing(cls, item: pytest.Item) -> GateItem:
        """Make the item that stands in the place of an experiment."""
        found: GateItem = cls.from_parent(cast("pytest.Collector", item.parent), name=item.name)
        found.experiment = item
        found.own_markers = [mark for mark in item.own_markers if mark.name in _KEPT_MARKS]
        found.keywords.update(item.keywords)
        return found

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Say where the experiment is written."""
        return self.experiment.reportinfo()

    def runtest(self) -> None:
        """Prove of each gate that it can fail, and fail if one cannot."""
        from pytest_mlrun.recorder.recorded_gates import find_last_run, untested_kinds, with_children
        from pytest_mlrun.store.store import Store

        with refusing():
            plan = self._plan()
            reader = Store.open(self.config.stash[SETTINGS].store).reader()
            run = find_last_run(plan, reader, nodeid=self.nodeid)
            self._check_recorded(run)
            family = with_children(run, reader)
            untested = [(each.name, kind) for each in family for kind in untested_kinds(each)]
            if untested:
                self.user_properties.append((_UNTESTED, json.dumps(untested)))
            tests = [test for each in family for test in _prove(each, plan, reader)]
            self.user_properties.extend(
                (f"{_PROPERTY}{test.gate}_{test.metric}", json.dumps(asdict(test))) for test in tests
            )
            if any(test.problem for test in tests):
                raise _failure(tests)
        if not tests:
            kinds = ", ".join(dict.fromkeys(kind for _, kind in untested))
            pytest.skip(f"cannot be sampled: {kinds}" if kinds else "its last run recorded no gate")

    def _plan(self) -> RunPlan:
        item, settings = self.experiment, self.config.stash[SETTINGS]
        project = _project_of(item.path, self.config.rootpath)
        function = check_item(item)
        if "mlrun" in function.fixturenames:
            return plan_selection(plan_item(function, settings, project), item, settings)
        return plan_module(item.getparent(pytest.Module) or cast("pytest.Collector", item.parent), settings, project)

    def _check_recorded(self, run: RunRecord) -> None:
        marker = read_marker_of(self.experiment)
        known = {(verdict.gate, verdict.metric) for verdict in run.gates}
        asked = [*(("floor", metric) for metric in marker.floors), *(("ceiling", metric) for metric in marker.ceilings)]
        for kind, metric in asked:
            if (kind, metric) not in known:
                raise MetricError(
                    f"nothing is recorded of the {kind} of {metric}",
                    where=f"run {run.name} ({run.short_id})",
                    next_step=f"record it once: pytest --mlrun {self.nodeid!r}",
                )


def _prove(run: RunRecord, plan: RunPlan, reader: Reader) -> Iterator[GateTest]:
    from pytest_mlrun.recorder.recorded_gates import read_gates
    from pytest_mlrun.rules.self_test import prove

    for gate in read_gates(run, plan, reader):
        yield prove(gate, run=run.name, seed=_seed_of(run, gate.verdict.gate, gate.verdict.metric))


def _failure(tests: list[GateTest]) -> GateFailure:
    found = [test for test in tests if test.problem]
    first = f"{found[0].metric} {found[0].gate} {found[0].problem}"
    more = [f"{test.metric} {test.gate} {test.problem}" for test in found[1:]]
    return GateFailure(first, details=tuple(more), next_step=found[0].cure)


def _seed_of(run: RunRecord, kind: str, metric: str) -> int:
    """Return the seed of a gate, the same in every session and process."""
    text = json.dumps([run.test, dict(sorted(run.params.items())), kind, metric])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _project_of(path: Path, rootpath: Path) -> Project:
    from pytest_mlrun.project import find_project

    folder = path.parent
    return find_project(folder, stop=rootpath if folder.is_relative_to(rootpath) else folder)


def _told_by(report: Any) -> list[GateTest]:
    properties = getattr(report, "user_properties", ())
    return [GateTest(**json.loads(value)) for name, value in properties if str(name).startswith(_PROPERTY)]


def _untested_by(report: Any) -> list[tuple[str, str]]:
    properties = getattr(report, "user_properties", ())
    return [(run, kind) for name, value in properties if name == _UNTESTED for run, kind in json.loads(value)]
