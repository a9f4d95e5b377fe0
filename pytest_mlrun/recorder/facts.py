"""Find the facts that hold for a whole session, once, however many workers share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from pytest_mlrun.records.names import COMMITTED_FILES
from pytest_mlrun.records.run import Artifact

if TYPE_CHECKING:
    from pytest_mlrun.pillars.code import CodeState
    from pytest_mlrun.store.shared import Shared
    from pytest_mlrun.store.store import Store


class _Found(TypedDict):
    """What one process finds and the others read."""

    context: dict[str, str]
    artifacts: list[dict[str, str | int]]
    code: dict[str, object]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What every run of a project shares within one session.

    Attributes:
        context: Dotted name to JSON text.
        artifacts: The environment document and, for a dirty tree, the patch.
        code: State of the working tree, without the patch's bytes.
    """

    context: Mapping[str, str]
    artifacts: tuple[Artifact, ...]
    code: CodeState


Keep = Callable[[bytes, str], tuple[str, int]]
"""Stores content that runs of this session will refer to in a role; returns digest and size."""


def find_session_facts(
    store: Store, shared: Shared, *, session_id: str, root: Path, argv: Sequence[str], keep: Keep
) -> SessionFacts:
    """Return the facts of the project at ``root``: computed by the first process to ask, read by the others.

    A working tree that changes while the session runs would otherwise give each worker another answer.
    """
    from pytest_mlrun.pillars.ci import find_ci
    from pytest_mlrun.pillars.code import CodeState
    from pytest_mlrun.pillars.machine import find_machine
    from pytest_mlrun.pillars.process import find_process

    found = cast("_Found", shared.once(f"{session_id}-{root}", lambda: _find(store, root, keep)))
    context = found["context"] | find_machine() | find_process(argv) | find_ci(os.environ)
    artifacts = tuple(Artifact(**fields) for fields in found["artifacts"])  # type: ignore[arg-type]
    code = found["code"] | {"root": root, "changed": tuple(cast("list[str]", found["code"]["changed"]))}
    return SessionFacts(context, artifacts, CodeState(**code))  # type: ignore[arg-type]


def _find(store: Store, root: Path, keep: Keep) -> _Found:
    from pytest_mlrun.pillars.code import find_code
    from pytest_mlrun.pillars.environment import find_environment

    state, environment = find_code(root, own_files=(*COMMITTED_FILES, store.path.name)), find_environment(root)
    artifacts = [_put(keep, "environment.json", environment.encode(), "application/json", "environment")]
    if state.patch is not None:
        artifacts.append(_put(keep, "code.patch", state.patch, "text/x-diff", "patch"))
    code = {name: getattr(state, name) for name in ("vcs", "commit", "dirty", "reason")}
    code["changed"] = list(state.changed)
    return {"context": {**state.context(), **environment.context()}, "artifacts": artifacts, "code": code}


def _put(keep: Keep, name: str, content: bytes, media_type: str, role: str) -> dict[str, str | int]:
    digest, size_bytes = keep(content, role)
    return {"name": name, "digest": digest, "size_bytes": size_bytes, "media_type": media_type, "role": role}
