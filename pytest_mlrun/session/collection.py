"""Find, while a test is collected, what nobody can have meant: a misspelt mark, a run in a longer-lived fixture."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_mlrun.errors import MarkerError

# Fixtures of ours, and the scopes that a fixture which takes them may have.
_SCOPES = {
    "mlrun": ("function",),
    "mlrun_seed": ("function",),
    "mlrun_data": ("function",),
    "mlrun_clean_tree": ("function",),
    "mlrun_module": ("function", "class", "module"),
}
_CHECKED = pytest.StashKey[dict[int, pytest.Mark]]()
_LIKE = 0.8
_LONGEST = 7


def check_marks(definition: pytest.Item, config: pytest.Config, *, experiment: bool) -> None:
    """Check what the marks of a test function say, and that none is nearly ``mlrun``.

    Args:
        definition: The function, before it becomes items.
        config: The pytest configuration.
        experiment: Whether the function takes a run or a pin: what marks other functions have is not ours to judge.

    Raises:
        MarkerError: If a marker has a wrong argument, or is misspelt: the experiment would be recorded without it.
    """
    for mark in definition.iter_markers():
        if mark.name == "mlrun":
            _check_once(mark, definition, config)
        elif experiment and _looks_like_ours(mark.name) and mark.name not in _registered(config):
            raise MarkerError(
                f"{definition.name}: unknown marker {mark.name!r}; did you mean 'mlrun'?",
                where=definition.nodeid,
                next_step=f"write @pytest.mark.mlrun(…); if {mark.name} is yours, register it: markers = {mark.name}",
            )


def _check_once(mark: pytest.Mark, definition: pytest.Item, config: pytest.Config) -> None:
    # The mark of a module stands for a thousand functions; kept itself, because its id is free for others once it goes.
    checked = config.stash.setdefault(_CHECKED, {})
    if id(mark) not in checked:
        from pytest_mlrun.rules.marker import read_marker

        read_marker(mark.args, mark.kwargs, owner=getattr(definition, "originalname", None) or definition.name)
        checked[id(mark)] = mark


def _looks_like_ours(name: str) -> bool:
    if len(name) > _LONGEST or not name.lower().startswith("m"):
        return False
    # Loaded when a mark comes near: most sessions have none.
    from difflib import get_close_matches

    return bool(get_close_matches(name.lower(), ["mlrun"], cutoff=_LIKE))


def check_scopes(metafunc: pytest.Metafunc) -> None:
    """Refuse a fixture that outlives the run which it takes.

    Raises:
        MarkerError: If a fixture of the test is one.
    """
    # pytest has no public way from a test to the fixtures that its fixtures take.
    info = getattr(metafunc.definition, "_fixtureinfo", None)
    fixtures: dict[str, Sequence[pytest.FixtureDef[object]]] = getattr(info, "name2fixturedefs", {})
    for name, definitions in fixtures.items():
        for taken in definitions[-1].argnames if definitions else ():
            scope = definitions[-1].scope
            if scope not in _SCOPES.get(taken, (scope,)):
                raise _outlives(name, scope, taken, metafunc.definition.nodeid)


def _registered(config: pytest.Config) -> set[str]:
    return {line.partition(":")[0].partition("(")[0].strip() for line in config.getini("markers")}


def _outlives(fixture: str, scope: str, taken: str, where: str) -> MarkerError:
    owner = "module" if taken == "mlrun_module" else "test"
    cure = f"give {fixture} the scope {'module' if owner == 'module' else 'function'}"
    if taken == "mlrun":
        cure += ", or train once for a module: a module-scoped fixture may take mlrun_module"
    return MarkerError(
        f"{fixture}: a {scope}-scoped fixture cannot take {taken}, which belongs to one {owner}",
        where=where,
        next_step=cure,
    )
