"""Whatever writes a store may die at every named write point, and so may who heals it; nothing is lost or doubled."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_mlrun.store
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_jobs import (
    DIED,
    KILLED,
    Server,
    check_acks,
    check_recovered,
    copy_folder,
    read_trace,
    steps_worth_a_kill,
)
from tests.crash.store_starts import Action, check_between, make_actions, tell

ACTIONS = (
    "recover", "compact", "gc", "merge", "import", "annotate", "quarantine", "quarantine without links",
)  # fmt: skip
ENDS = {"kill": KILLED, "exit": [DIED]}

NO_RUNS = {"shared.py:Shared.put"}
"""Writes facts that processes of a session share: whoever misses one finds it again."""


@pytest.fixture(scope="module")
def actions(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Action]:
    """What writes a store, each with the store that it starts from."""
    return make_actions(server, tmp_path_factory.mktemp("starts"))


def find_write_points() -> tuple[set[str], set[str], set[str]]:
    """Find in the source the names of write points, as patterns; kinds of events; functions that write."""
    points, kinds, functions = set(), set(), set()
    for path in Path(pytest_mlrun.store.__file__).parent.glob("*.py"):
        for name, call in find_calls(ast.parse(path.read_text()), ""):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
            logs = ast.unparse(call.func) == "self._log.write" or (called == "_write" and len(call.args) == 3)
            if called == "reach":
                points.add(as_pattern(call.args[0]))
            if logs and isinstance(call.args[0], ast.Constant):
                kinds.add(str(call.args[0].value))
            if called in {"reach", "install"} or ast.unparse(call.func) == "publish" or logs:
                functions.add(f"{path.name}:{name}")
    return points, kinds, functions


def find_calls(node: ast.AST, name: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        inner = f"{name}.{child.name}".lstrip(".") if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else name
        if isinstance(child, ast.Call):
            yield name, child
        yield from find_calls(child, inner)


def as_pattern(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return re.escape(str(argument.value))
    assert isinstance(argument, ast.JoinedStr)
    return "".join(as_pattern(part) if isinstance(part, ast.Constant) else ".+" for part in argument.values)


def test_the_matrix_reaches_every_write_point_that_is_in_the_source(
    server: Server, actions: dict[str, Action], tmp_path: Path
) -> None:
    points, kinds, functions = find_write_points()
    folder = tmp_path / "new"
    folder.mkdir()
    assert server("everything", folder, sites=1) == [0]
    traces = read_trace(folder)
    for name, action in actions.items():
        folder = copy_folder(action.start, tmp_path / name)
        assert action.do(server, folder, sites=1) == [0]
        traces += read_trace(folder)

    reached = {line.split("\t")[0] for line in traces}
    at_work = {function for line in traces for function in line.split("\t")[1:]}

    assert tuple(actions) == ACTIONS
    assert {point for point in points if not any(re.fullmatch(point, name) for name in reached)} == set()
    assert {kind for kind in kinds if f"event.{kind}.after-write" not in reached} == set()
    assert functions - at_work == NO_RUNS
    assert (len(points) > 20, len(kinds) > 10, len(functions) > 30) == (True, True, True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ENDS)
def test_a_death_at_any_point_of_recording_and_another_in_the_recovery_lose_nothing(
    server: Server, memory_path: Path, how: str
) -> None:
    rehearsal = memory_path / "rehearsal"
    rehearsal.mkdir()
    assert server("everything", rehearsal) == [0]

    for last in steps_worth_a_kill(read_trace(rehearsal)):
        folder = memory_path / f"{last}"
        folder.mkdir()
        assert server("everything", folder, last=last, how=how) == ENDS[how]
        if (folder / "store" / "mlrun.json").exists():
            check_acks(folder, Reader(folder / "store").runs())
            server("heal", folder, last=1 + last % 7, how=how)
            check_acks(folder, Reader(folder / "store").runs())
            check_recovered(folder)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("name", ACTIONS)
def test_a_death_at_any_point_and_another_in_the_healing_lose_and_double_nothing(
    server: Server, actions: dict[str, Action], memory_path: Path, name: str, how: str
) -> None:
    action = actions[name]
    before = tell(action.start)
    rehearsal = copy_folder(action.start, memory_path / "rehearsal")
    assert action.do(server, rehearsal) == [0]
    steps = steps_worth_a_kill(read_trace(rehearsal))
    assert server("heal", rehearsal) == [0]
    after = tell(rehearsal)
    findings = [finding.kind for finding in verify_store(Store.open(rehearsal / "store"))]

    for last in steps:
        folder = copy_folder(action.start, memory_path / f"{last}")
        assert action.do(server, folder, last=last, how=how) == ENDS[how]
        check_between(tell(folder), before, after)
        # One second death for each first: over all of them, at each of the first steps of the healing.
        server("heal", folder, last=1 + last % 12, how=how)
        check_between(tell(folder), before, after)
        assert action.do(server, folder) == [0]
        assert server("heal", folder) == [0]
        assert tell(folder) == after
        assert [finding.kind for finding in verify_store(Store.open(folder / "store"))] == findings
        shutil.rmtree(folder)

    assert (findings == []) is not name.startswith("quarantine")
