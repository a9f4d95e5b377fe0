"""Find the model version that a name stands for."""

from __future__ import annotations

from pathlib import Path

from pytest_mlrun.errors import RegistryError
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.registry.fold import fold
from pytest_mlrun.registry.log import list_models, read_events
from pytest_mlrun.registry.refs import VersionRef, expect_ref
from pytest_mlrun.rules.suggest import did_you_mean


def resolve(project_dir: Path, ref: str) -> ModelVersion:
    """Return the version that ``churn/3``, ``churn@production`` or one of MLflow's spellings names.

    Args:
        project_dir: Folder of ``mlrun.toml``.
        ref: As typed.

    Returns:
        The version; ``run_id`` and ``run_digest`` say which run it is and what its record must be.

    Raises:
        RegistryError: It names no version.
        RegistryDamagedError: The registry of the model is not what was written.
    """
    found = expect_ref(ref)
    return choose(read_state(project_dir, found.model), found)


def read_state(project_dir: Path, model: str, *, until_us: int | None = None) -> ModelState:
    """Return what a model's events say.

    Args:
        project_dir: Folder of ``mlrun.toml``.
        model: Name of the model.
        until_us: Only what had happened at this instant; everything if None.

    Raises:
        RegistryError: There is no such model.
        RegistryDamagedError: Its registry is not what was written.
    """
    events = read_events(project_dir, model)
    if not events:
        known = list_models(project_dir)
        raise RegistryError(
            f"there is no model {model!r}{did_you_mean(model, known)}",
            details=(f"known: {', '.join(known)}",) if known else (),
            where=str(project_dir / "mlrun-registry"),
            next_step=f"register a run: pytest-mlrun register RUN --name {model}",
        )
    return fold(model, events, until_us=until_us)


def choose(state: ModelState, ref: VersionRef) -> ModelVersion:
    """Return the version of a model that is meant.

    Args:
        state: What the model's events say.
        ref: As it was named.

    Raises:
        RegistryError: There is no such version, or nobody holds the alias.
    """
    if not ref.alias:
        if ref.version in state.versions:
            return state.versions[ref.version]
        raise RegistryError(
            f"there is no {ref}",
            details=(f"versions: {', '.join(map(str, state.versions)) or 'none'}",),
            next_step=f"look at them: pytest-mlrun history {ref.model}",
        )
    aliases = state.aliases
    alias = find_alias(ref, aliases)
    if alias in aliases:
        return state.versions[aliases[alias]]
    newest = f"{ref.model}/{max(state.versions, default=1)}"
    raise RegistryError(
        f"no version of {ref.model!r} is {ref.alias!r}{did_you_mean(ref.alias, aliases)}",
        details=(f"aliases: {', '.join(f'{name} = {ref.model}/{held}' for name, held in sorted(aliases.items()))}",)
        if aliases
        else (),
        next_step=f"promote one: pytest-mlrun promote {newest} {ref.alias} --note '…'",
    )


def find_alias(ref: VersionRef, aliases: dict[str, int]) -> str:
    """Return the alias that is meant: MLflow's stages are spelt with a capital, our aliases mostly without."""
    return ref.alias.lower() if ref.stage and ref.alias not in aliases else ref.alias
