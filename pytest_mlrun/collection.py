"""Find, while a test is collected, what nobody can have meant: a misspelt mark, a run in a longer-lived fixture."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MarkerError

if TYPE_CHECKING:
    import pytest

# Fixtures of ours, and the scopes that a fixture which takes them may have.
_SCOPES = {
    "mlrun": ("function",),
    "mlrun_seed": ("function",),
    "mlrun_data": ("function",),
    "mlrun_clean_tree": ("function",),
    "mlrun_module": ("function", "class", "module"),
}
_LIKE = 0.8


def check_spelling(definition: pytest.Item, config: pytest.Config) -> None:
    """Refuse a mark that is nearly ``mlrun``: the experiment would be recorded without what the mark says.

    Raises:
        MarkerError: If there is one, and nobody registered it.
    """
    for mark in definition.iter_markers():
        if mark.name != "mlrun" and get_close_matches(mark.name.lower(), ["mlrun"], cutoff=_LIKE):
            if mark.name == "mlrun_select" or mark.name in _registered(config):
                continue
            raise MarkerError(
                f"{definition.name}: unknown marker {mark.name!r}; did you mean 'mlrun'?",
                where=definition.nodeid,
                next_step=f"write @pytest.mark.mlrun(…); if {mark.name} is yours, register it: markers = {mark.name}",
            )


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
