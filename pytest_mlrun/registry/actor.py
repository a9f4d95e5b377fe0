"""Say who acts, as their machine knows them."""

from __future__ import annotations

import json


def find_actor() -> str:
    """Return the user and the host: ``ada@laptop``."""
    from pytest_mlrun.pillars.machine import find_machine

    machine = {name: json.loads(text) for name, text in find_machine().items()}
    return f"{machine['who.user']}@{machine['host.name']}"
