"""Do with each block of a page what the comment above it says, in a folder of the page's own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

import yaml

from pytest_mlrun.cli.parser import make_parser
from pytest_mlrun.options import OPTIONS
from tests.docs.pages import Block, Command, find_mismatch, read_blocks, read_commands

ROOT = Path(__file__).parents[2]
_CELL_ENDS = "-- the cell ends --"
_NOTEBOOK = """
import json, sys
sys.argv[0] = "notebook.ipynb"
names = {"__name__": "__main__"}
for cell in json.loads(sys.stdin.read()):
    exec(compile(cell, "<cell>", "exec"), names)
    print(%r)
"""


def run_page(page: Path, folder: Path) -> None:
    """Execute every block of a page, in order.

    Raises:
        AssertionError: If one does not do what the page shows, or does not say what is to be done with it.
    """
    blocks = read_blocks(page)
    cells = [block for block in blocks if block.directive == "cell"]
    printed: dict[int, str] = {}
    above = 0
    for block in blocks:
        place = f"{page.name}:{block.line}"
        if block.directive == "cell":
            printed = printed or _run_notebook(cells, folder, place)
            above = block.line
        elif block.directive == "prints":
            missing = find_mismatch(tuple(block.text.splitlines()), printed[above])
            assert missing is None, f"{place}: expected: {missing}\nprinted:\n{printed[above]}"
        else:
            _run_block(block, folder, place)


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of a page's commands: this interpreter's programs, and nobody's own settings."""
    scripts = Path(sys.executable).parent
    kept = {
        name: os.environ[name] for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    }
    return {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "110",
        "PYTEST_ADDOPTS": "-p no:randomly -p no:asyncio -p no:hypothesispytest -p no:cacheprovider",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        **kept,
    }


def _run_block(block: Block, folder: Path, place: str) -> None:
    kind, _, argument = block.directive.partition(": ")
    match kind:
        case "file":
            target = folder / argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        case "run":
            _run_commands(block, folder, exit_code=int(argument.removeprefix("exit=")), place=place)
        case "ci":
            check_pipeline(block.text, place)
        case "elsewhere":
            compile(block.text, f"{place}, {argument}", "exec")
        case "proved by":
            _check_proof(block, ROOT / argument, place)
        case _:
            assert kind == "text", f"{place}: the block says nothing about how it is executed"


def _run_commands(block: Block, folder: Path, *, exit_code: int, place: str) -> None:
    commands = read_commands(block)
    codes = [_run_command(command, folder, place=place) for command in commands]

    assert commands, f"{place}: no command"
    assert codes[-1] == exit_code, f"{place}: exit {codes[-1]}"


def _run_command(command: Command, folder: Path, *, place: str) -> int:
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    printed = done.stdout + done.stderr
    missing = find_mismatch(command.expected, printed)
    assert missing is None, f"{place}: {command.line}\nexpected: {missing}\nprinted:\n{printed}"
    return done.returncode


def _run_notebook(cells: list[Block], folder: Path, place: str) -> dict[int, str]:
    """Run the cells of a page in one process, as a notebook does; return what each printed, by its line."""
    done = subprocess.run(
        [sys.executable, "-c", _NOTEBOOK % _CELL_ENDS],
        input=json.dumps([cell.text for cell in cells]),
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{place}: {done.stderr}"
    return dict(zip((cell.line for cell in cells), done.stdout.split(f"{_CELL_ENDS}\n"), strict=False))


def check_pipeline(text: str, place: str) -> None:
    """Read a pipeline as YAML, and hold every command and variable of ours in it to the code.

    Raises:
        AssertionError: If it has none of our commands, or uses an option, variable or verb that does not exist.
    """
    commands = [words for line in _strings(yaml.safe_load(text)) if (words := _words(line)) is not None]
    checked = [_check_command(words, place) for words in commands]

    assert any(checked), f"{place}: no command of ours"


def _check_command(words: list[str], place: str) -> bool:
    variables = {option.variable for option in OPTIONS}
    flags = {option.flag for option in OPTIONS}
    for name in [word.partition("=")[0] for word in words]:
        assert not name.startswith("PYTEST_MLRUN") or name in variables, f"{place}: no variable {name}"
        assert not name.startswith("--mlrun") or name in flags, f"{place}: no option {name}"
    programs = [Path(word).name for word in words]
    if "pytest-mlrun" in programs:
        verb = takewhile(lambda word: word not in {"&&", "||", "|", ";"}, words[programs.index("pytest-mlrun") + 1 :])
        make_parser().parse_args(list(verb))  # leaves with a message where there is no such verb or option
        return True
    return "pytest" in words


def _words(line: str) -> list[str] | None:
    words = shlex.split(line)
    return words if any("mlrun" in word.lower() or word == "pytest" for word in words) else None


def _strings(node: object) -> Iterator[str]:
    """Yield the commands and variables of a pipeline, each a line."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if str(key).isupper():
                yield f"{key}={value}"
            elif key != "name":
                yield from _strings(value)
    elif isinstance(node, list):
        for item in node:
            yield from _strings(item)
    elif isinstance(node, str):
        yield from node.splitlines()


def _check_proof(block: Block, script: Path, place: str) -> None:
    text = script.read_text(encoding="utf-8")
    for command in read_commands(block):
        assert f'bash -euc "{command.line}"' in text, f"{place}: {script.name} does not run {command.line!r}"
