"""Say who is at work, for events that bear a name."""

from __future__ import annotations

import json


def find_who() -> str:
    """Return such as ``ada@laptop``."""
    from pytest_mlrun.pillars.machine import find_machine

    machine = {name: json.loads(text) for name, text in find_machine().items()}
    return f"{machine['who.user']}@{machine['host.name']}"
