"""Every block of the README and of docs/ is executed, and does what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mlrun.cli.parser import make_parser
from pytest_mlrun.options import OPTIONS
from tests.docs.pages import Block, Command, find_mismatch, read_blocks, read_commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def environment_of(folder: Path) -> dict[str, str]:
    scripts = Path(sys.executable).parent
    kept = {
        name: os.environ[name] for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    }
    return {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "110",
        "PYTEST_ADDOPTS": "-p no:randomly -p no:cacheprovider",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        **kept,
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    for block in read_blocks(page):
        kind, _, argument = block.directive.partition(": ")
        place = f"{page.name}:{block.line}"
        if kind == "file":
            target = tmp_path / argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif kind == "run":
            run_block(block, tmp_path, exit_code=int(argument.removeprefix("exit=")), place=place)
        elif kind == "proved by":
            assert_proved(block, ROOT / argument, place)
        else:
            assert kind in {"generated", "text"}, f"{place}: the block says nothing about how it is executed"


def run_block(block: Block, folder: Path, *, exit_code: int, place: str) -> None:
    commands = read_commands(block)
    codes = [run_command(command, folder, place=place) for command in commands]

    assert commands, f"{place}: no command"
    assert codes[-1] == exit_code, f"{place}: exit {codes[-1]}"


def run_command(command: Command, folder: Path, *, place: str) -> int:
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    printed = done.stdout + done.stderr
    missing = find_mismatch(command.expected, printed)
    assert missing is None, f"{place}: {command.line}\nexpected: {missing}\nprinted:\n{printed}"
    return done.returncode


def assert_proved(block: Block, script: Path, place: str) -> None:
    text = script.read_text(encoding="utf-8")
    for command in read_commands(block):
        assert f'bash -euc "{command.line}"' in text, f"{place}: {script.name} does not run {command.line!r}"


def generated(name: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_readme_lists_every_option() -> None:
    rows = [f"| `{option.flag}` | `{option.variable}` | `{option.key}` | {option.help} |" for option in OPTIONS]

    assert generated("options").strip().splitlines()[2:] == rows


def test_the_readme_lists_every_verb() -> None:
    choices = next(action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    verbs = re.findall(r"^\| `(\w+)", generated("verbs"), re.MULTILINE)

    assert verbs == list(choices)


def test_a_wrong_digit_on_a_page_is_noticed() -> None:
    printed = "mlrun: 3 runs of tumours (2 passed, 1 failed)\nstore: .pytest_mlrun\n"

    assert find_mismatch(("mlrun: 3 runs of tumours ...", "store: ..."), printed) is None
    assert find_mismatch(("mlrun: 4 runs of tumours ...",), printed) == "mlrun: 4 runs of tumours ..."
    assert find_mismatch(("store: ...", "mlrun: ..."), printed) == "mlrun: ..."
