"""Say whether a goal is met."""

from __future__ import annotations


def goal_line(goal: str, found: str, *, met: bool) -> str:
    """Return a line of Markdown that says what was found and whether it is met."""
    return f"- {'met' if met else 'NOT MET'}: {goal}: {found}"
