"""Read the fenced blocks of a page, each with the comment above it that says what to do with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- (?P<directive>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        directive: ``file: NAME`` writes it, ``run: exit=N`` runs its commands, ``cell`` is a cell of the page's one
            notebook and ``prints`` what that cell prints, ``ci`` is a pipeline whose commands are read, ``elsewhere:
            PROGRAM`` is another program's Python and only compiled, ``proved by: FILE`` names what runs it, ``text``
            is no code.
        language: Word after the fence.
        text: Its lines.
        line: Line of the page.
    """

    directive: str
    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """One command of a console block, and the lines it must print, in order."""

    line: str
    expected: tuple[str, ...]


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    content = page.read_text(encoding="utf-8")
    return [
        Block(
            directive=found["directive"] or "",
            language=found["language"],
            text=found["text"],
            line=content[: found.start("text")].count("\n"),
        )
        for found in _BLOCK.finditer(content)
    ]


def read_commands(block: Block) -> list[Command]:
    """Return the commands of a console block: lines that begin with ``$``, each with the output below it."""
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:], ()))
        elif commands and line.strip():
            last = commands[-1]
            commands[-1] = Command(last.line, (*last.expected, line.rstrip()))
    return commands


def find_mismatch(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first expected line that is not printed after those before it; ``...`` stands for anything."""
    lines = iter([line.rstrip() for line in printed.splitlines()])
    for wanted in expected:
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if wanted.strip() != "..." and not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None
