"""Hold what an audit starts from: a record, and what the registry says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.records.audit import AuditedPillar, AuditSubject
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord

if TYPE_CHECKING:
    from pytest_mlrun.store.store import Store


@dataclass(frozen=True, slots=True)
class Case:
    """What is audited.

    Attributes:
        ref: As it was asked for.
        project: The project; its registry lies beside its ``mlrun.toml``.
        store: The store that has the run.
        run: The run; None if its record, or the registry's, is not what was written.
        version: The model version; None for a run that is not registered.
        state: What the model's events say; None for such a run.
        broken: Why there is no run.
        subject: What a report says of all this.
    """

    ref: str
    project: Project
    store: Store
    subject: AuditSubject
    run: RunRecord | None = None
    version: ModelVersion | None = None
    state: ModelState | None = None
    broken: MlrunError | None = None

    def fact(self, name: str) -> object:
        """Return a fact of the run's context, or None."""
        return None if self.run is None else json.loads(self.run.context.get(name, "null"))

    def text(self, name: str) -> str:
        """Return a fact of the run's context as text; empty if it has none."""
        found = self.fact(name)
        return "" if found is None else str(found)


def describe_subject(
    ref: str, run: RunRecord | None, version: ModelVersion | None, state: ModelState | None
) -> AuditSubject:
    """Return what a report says of the run and the version that are audited.

    Args:
        ref: As it was asked for.
        run: The run, if it could be read.
        version: The version, if one is meant.
        state: What its model's events say.
    """
    subject = AuditSubject(ref)
    if run is not None:
        subject = replace(
            subject,
            run_id=run.run_id,
            run_digest=run.digest,
            run_name=run.name,
            experiment=run.experiment,
            test=run.test,
            commit=str(json.loads(run.context.get("code.commit", "null")) or ""),
            params=dict(run.params),
            files={file.name: file.digest for file in run.artifacts if file.role == "model"},
        )
    if version is not None and state is not None:
        subject = replace(
            subject,
            model=version.model,
            version=version.version,
            aliases=tuple(state.aliases_of(version.version)),
            run_id=version.run_id,
            run_digest=version.run_digest,
            run_name=version.run_name,
            experiment=version.experiment,
            test=version.test,
            commit=version.commit,
        )
    return subject


def timed(check: Callable[[], AuditedPillar]) -> AuditedPillar:
    """Return what a check found, and how long it took."""
    began = time.monotonic()
    found = check()
    return replace(found, took_ms=round((time.monotonic() - began) * 1000))
