"""What the source may not contain."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_mlrun

PACKAGE = Path(pytest_mlrun.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def identify(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_says_its_job_first_and_neither_asserts_nor_prints(path: Path) -> None:
    tree = ast.parse(path.read_text())

    first_line = (ast.get_docstring(tree) or "").partition("\n")[0]
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    # An assert would be rewritten by pytest in one kind of install and not in another, and vanish under -O.
    assert first_line.endswith(".")
    assert (asserts, prints) == ([], [])


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_keeps_no_state(path: Path) -> None:
    tree = ast.parse(path.read_text())

    changed = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]
    mutable = [
        node.lineno
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        and isinstance(node.value, (ast.List, ast.Set, ast.ListComp))
        and "__all__" not in ast.unparse(node)
    ]

    assert (changed, mutable) == ([], [])


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_is_one_job_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= 400, f"{lines} lines: is it still one job?"


def test_imports_point_down() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout
