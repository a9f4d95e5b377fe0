"""Audit a recorded run: the cheap questions first, the dear ones only if the answers can still be yes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case, timed
from pytest_mlrun.audit.code import Tree, check_code
from pytest_mlrun.audit.data import check_data
from pytest_mlrun.audit.environment import check_environment
from pytest_mlrun.audit.independence import describe_independence
from pytest_mlrun.audit.installing import Installer
from pytest_mlrun.audit.interpreter import Interpreter, check_interpreter
from pytest_mlrun.audit.own_copy import own_version
from pytest_mlrun.audit.record import check_approvals, check_record
from pytest_mlrun.audit.replaying import Replayed, replay
from pytest_mlrun.audit.scratch import scratch_folder
from pytest_mlrun.pillars.facts import digest_of
from pytest_mlrun.pillars.machine import find_machine
from pytest_mlrun.records.audit import PILLARS, AuditedPillar, AuditRecord, AuditVerdict
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.registry.actor import find_actor

_MACHINE: Final = ("host.name", "host.cpu", "host.cores", "host.kernel", "env.platform", "env.python", "who.user")

Tell = Callable[[str], None]
"""Hears which pillar is being checked."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to audit.

    Attributes:
        environ: The auditor's environment variables.
        timeout_s: How long making the environment, and then the training, may take.
        cache: Folder to keep downloads in between audits; None to keep none.
    """

    environ: Mapping[str, str]
    timeout_s: float = 3600.0
    cache: Path | None = None


@dataclass(slots=True)
class _Audit:
    """An audit under way."""

    case: Case
    settings: Settings
    tell: Tell
    scratch: Path
    pillars: dict[str, AuditedPillar] = field(default_factory=dict)
    replayed: Replayed | None = None

    @property
    def log(self) -> Path:
        """File for what child processes write."""
        return self.scratch / "log"

    def check(self, name: str, check: Callable[[], AuditedPillar]) -> AuditedPillar:
        """Check a pillar, and keep what was found."""
        self.tell(name)
        self.pillars[name] = timed(check)
        return self.pillars[name]

    @property
    def failed(self) -> AuditedPillar | None:
        """The first pillar that failed."""
        return next((self.pillars[name] for name in PILLARS if self._status(name) == "fail"), None)

    def _status(self, name: str) -> str:
        return self.pillars[name].status if name in self.pillars else ""


def audit(case: Case, settings: Settings, *, tell: Tell) -> AuditRecord:
    """Audit a run; return what was found. Nothing outside a scratch folder is written.

    Args:
        case: What is audited.
        settings: How.
        tell: Hears which pillar is being checked.
    """
    began_us, began = now_us(), time.monotonic()
    approvals = check_approvals(case)
    with scratch_folder() as scratch:
        under_way = _Audit(case, settings, tell, scratch)
        under_way.check("record", partial(check_record, case, approvals))
        if case.run is not None and under_way.failed is None:
            _check_pillars(under_way)
        log = digest_of(under_way.log.read_bytes()) if under_way.log.exists() else ""
    verdict, reason = _judge(under_way)
    replayed = under_way.replayed or Replayed()
    actor = find_actor()
    return AuditRecord(
        subject=case.subject,
        verdict=verdict,
        reason=reason,
        pillars=_all_pillars(under_way),
        level=replayed.level,
        level_reasons=replayed.level_reasons,
        metrics=replayed.metrics,
        divergence=replayed.divergence,
        approvals=approvals,
        independence=describe_independence(case, approvals, actor),
        recorded_on=_facts(case.run.context if case.run else {}),
        audited_on=_facts({**find_machine(), **replayed.context}),
        auditor=actor,
        tool=own_version(),
        began_us=began_us,
        took_ms=round((time.monotonic() - began) * 1000),
        log=log,
        previous=_previous(case),
    )


def _check_pillars(audit: _Audit) -> None:
    """Check what the record's own digest vouches for; all that is cheap, whatever else failed."""
    case, settings, trees, interpreters = audit.case, audit.settings, [], []

    def code() -> AuditedPillar:
        pillar, tree = check_code(case, audit.scratch)
        trees.append(tree)
        return pillar

    def interpreter() -> AuditedPillar:
        pillar, found = check_interpreter(case, settings.environ)
        interpreters.append(found)
        return pillar

    audit.check("code", code)
    audit.check("data", partial(check_data, case, trees[0], audit.scratch))
    audit.check("interpreter", interpreter)
    tree, python = trees[0], interpreters[0]
    if audit.failed is None and tree is not None and python is not None:
        _train_again(audit, tree, python)


def _train_again(audit: _Audit, tree: Tree, python: Interpreter) -> None:
    settings = audit.settings
    installer = Installer(
        audit.scratch / "environment",
        python,
        audit.scratch,
        audit.log,
        settings.environ,
        settings.cache,
        time.monotonic() + settings.timeout_s,
    )
    if audit.check("environment", partial(check_environment, audit.case, tree, installer)).status == "fail":
        return

    def run() -> AuditedPillar:
        audit.replayed = replay(
            audit.case,
            tree,
            installer.python,
            scratch=audit.scratch,
            log=audit.log,
            environ=settings.environ,
            timeout_s=settings.timeout_s,
        )
        audit.pillars["randomness"] = audit.replayed.randomness
        return audit.replayed.pillar

    audit.check("replay", run)


def _judge(audit: _Audit) -> tuple[AuditVerdict, str]:
    failed = audit.failed
    if failed is not None:
        if failed.name == "record":
            return "REJECTED", f"record: {failed.said}"
        if failed.infrastructure:
            return "INCONCLUSIVE", f"{failed.name}: {failed.said}"
    if audit.replayed is not None and audit.replayed.verdict:
        return audit.replayed.verdict, audit.replayed.pillar.said
    if failed is not None:
        return "NOT_REPRODUCIBLE", f"{failed.name}: {failed.said}"
    return "INCONCLUSIVE", "nothing was replayed"


def _all_pillars(audit: _Audit) -> tuple[AuditedPillar, ...]:
    failed = audit.failed
    why = f"not checked: {failed.name} failed" if failed is not None else "not checked"
    return tuple(
        audit.pillars.get(name, AuditedPillar(name, "unchecked", why, not_checked=(why.removeprefix("not checked: "),)))
        for name in PILLARS
    )


def _facts(context: Mapping[str, str]) -> dict[str, str]:
    return {name: str(json.loads(context[name])) for name in _MACHINE if context.get(name, "null") != "null"}


def _previous(case: Case) -> str:
    if case.state is None or case.version is None:
        return ""
    reports = [
        str(event.body.get("report", ""))
        for event in case.state.events
        if event.kind == "audited" and event.body.get("version") == case.version.version
    ]
    return next((report for report in reversed(reports) if report), "")
