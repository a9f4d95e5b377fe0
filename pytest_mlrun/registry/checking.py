"""Check a registry: chain, signatures, quorums, and that each run is still the one that was registered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from pytest_mlrun.errors import MlrunError, RegistryDamagedError, RegistryError
from pytest_mlrun.records.event import Approval, Event, ModelState, ModelVersion
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.approving import check_approval, check_registration, instant_of_counting, with_authors
from pytest_mlrun.registry.fold import fold
from pytest_mlrun.registry.log import FOLDER, list_models, path_of, read_log
from pytest_mlrun.registry.promoting import policy_of
from pytest_mlrun.registry.registering import find_difference
from pytest_mlrun.registry.signers import Signers, find_past_signers

FindRun = Callable[[str], RunRecord | None]
_NAME_CHARS: Final = len("000001.json")


@dataclass(frozen=True, slots=True)
class RegistryFinding:
    """Something in a registry that is not as it was written, or that does not count.

    Attributes:
        path: The file.
        run_ids: Runs concerned, as far as they can be named.
        message: A sentence without a full stop.
        kind: ``registry``.
    """

    path: str
    run_ids: tuple[str, ...]
    message: str
    kind: str = "registry"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at.

    Attributes:
        models: Number of models.
        events: Number of events.
        signatures: Number of signatures that hold.
        findings: What is wrong, the first event first.
        absent: Registered runs that the store does not have.
    """

    models: int
    events: int
    signatures: int
    findings: tuple[RegistryFinding, ...]
    absent: tuple[str, ...]


def check_registry(project: Project, *, find: FindRun) -> Checked:
    """Check every model of a project.

    Args:
        project: The project.
        find: Returns the run of an id as the store has it, or None.
    """
    checked = [check_model(project, model, find=find) for model in list_models(project.root)]
    return Checked(
        len(checked),
        sum(one.events for one in checked),
        sum(one.signatures for one in checked),
        tuple(finding for one in checked for finding in one.findings),
        tuple(run_id for one in checked for run_id in one.absent),
    )


def check_model(project: Project, model: str, *, find: FindRun) -> Checked:
    """Check one model of a project.

    Args:
        project: The project.
        model: Name of the model.
        find: Returns the run of an id as the store has it, or None.
    """
    check = _ModelCheck(project, model)
    findings = list(check.run())
    found, absent = _check_runs(project, check.state, find)
    return Checked(1, len(check.state.events), check.signatures, (*findings, *found), tuple(absent))


class _ModelCheck:
    """The check of one model's log.

    Args:
        project: The project.
        model: Name of the model.

    Attributes:
        state: What its intact events say.
        signatures: Number of signatures that hold.
    """

    def __init__(self, project: Project, model: str) -> None:
        self._project = project
        self._model = model
        self._valid: dict[int, tuple[Approval, str]] = {}
        self._registrars: dict[int, str] = {}
        self._past: dict[str, Signers | None] = {}
        self.state = ModelState(model)
        self.signatures = 0

    def run(self) -> Iterator[RegistryFinding]:
        """Yield what is wrong."""
        log = read_log(self._project.root, self._model)
        if log.broken is not None:
            yield RegistryFinding(str(log.broken), (), f"event {log.broken.stem} of {self._model!r}: {log.reason}")
        yield from self._strange_files()
        try:
            self.state = fold(self._model, log.events)
        except RegistryDamagedError as error:
            yield RegistryFinding(str(self._project.root / error.where), (), error.headline)
            return
        checks = {"registered": self._registered, "approved": self._approved, "promoted": self._promoted}
        for event in self.state.events:
            reason = checks[event.kind](event) if event.kind in checks else ""
            if reason:
                message = f"event {event.number:06} of {self._model!r}: {reason}"
                yield RegistryFinding(str(path_of(self._project.root, event)), (), message)

    def _strange_files(self) -> Iterator[RegistryFinding]:
        folder = self._project.root / FOLDER / self._model
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.endswith(".json") and not (len(entry.name) == _NAME_CHARS and entry.name[:6].isdecimal()):
                yield RegistryFinding(
                    entry.path, (), f"{entry.name} is no event of {self._model!r}: its name is no number"
                )

    def _signers(self, digest: str) -> Signers | str:
        if digest not in self._past:
            try:
                self._past[digest] = find_past_signers(self._project, digest)
            except MlrunError as error:
                return error.headline
        found = self._past[digest]
        return "its signers were never on the protected branch" if found is None else found

    def _registered(self, event: Event) -> str:
        version = self.state.versions[cast("int", event.body["version"])]
        if not version.principal:
            return ""
        signers = self._signers(str(event.body.get("signers", "")))
        if isinstance(signers, str):
            return signers
        reason, self._registrars[version.version] = check_registration(event, version, signers)
        self.signatures += not reason
        return reason

    def _approved(self, event: Event) -> str:
        approval = next(one for one in self.state.approvals if one.number == event.number)
        signers = self._signers(approval.signers)
        if isinstance(signers, str):
            return signers
        version = self.state.versions[approval.version]
        with suppress(RegistryError):  # a shallow checkout lacks the commit: its authors are those of the event
            version = with_authors(self._project, version)
        reason, key = check_approval(
            approval,
            version,
            (approval.role,),
            signers,
            time_us=approval.time_us,
            before_us=approval.time_us,
        )
        if not reason:
            self.signatures += 1
            self._valid[event.number] = approval, key
        return reason

    def _promoted(self, event: Event) -> str:
        body = event.body
        version, alias = cast("int", body["version"]), str(body["alias"])
        policy = cast("dict[str, int]", body["policy"])
        needed = policy["approvals"]
        roles = cast("list[str]", body["policy"]["roles"]) if isinstance(body["policy"], dict) else []
        if self.state.aliases.get(alias) == version and self._began_last(event, alias):
            # Who holds an alias now must meet what it needs now: the event alone could ask for nothing.
            in_force = policy_of(self._project, alias)
            needed, roles = (
                max(needed, in_force.approvals),
                list(in_force.accepted_roles) if in_force.approvals else roles,
            )
        if needed and not self.state.versions[version].principal:
            return f"{self._model}/{version} is {alias!r}, and its registration is not signed"
        given = [self._valid[number] for number in cast("list[int]", body["approvals"]) if number in self._valid]
        counted_us = instant_of_counting(self.state.events, event)
        counted = [
            (approval, key)
            for approval, key in given
            if (approval.version, approval.alias) == (version, alias)
            and (not roles or approval.role in roles)
            and key != self._registrars.get(version)
            and approval.expires_us > counted_us
        ]
        people = min(len({approval.principal for approval, _ in counted}), len({key for _, key in counted}))
        if people >= needed:
            return ""
        return f"{self._model}/{version} is {alias!r} with {people} of {needed} approvals"

    def _began_last(self, event: Event, alias: str) -> bool:
        return max(tenure.number for tenure in self.state.tenures if tenure.alias == alias) == event.number


def _check_runs(project: Project, state: ModelState, find: FindRun) -> tuple[list[RegistryFinding], list[str]]:
    findings: list[RegistryFinding] = []
    absent: list[str] = []
    for version in state.versions.values():
        path = str(project.root / FOLDER / state.model)
        for run_id, digest in _runs_of(version):
            record = find(run_id)
            other = find_difference(version, record) if record is not None and run_id == version.run_id else ""
            if record is None:
                absent.append(run_id)
            elif record.digest != digest:
                message = f"run {run_id[-8:]} is not the one registered as {version.ref}: its digest differs"
                findings.append(RegistryFinding(path, (run_id,), message))
            elif other:
                message = f"{version.ref} says another {other!r} than the record of run {run_id[-8:]}"
                findings.append(RegistryFinding(path, (run_id,), message))
    return findings, absent


def _runs_of(version: ModelVersion) -> Iterator[tuple[str, str]]:
    yield version.run_id, version.run_digest
    if version.judge_id:
        yield version.judge_id, version.judge_digest


def has_registry(root: Path) -> bool:
    """Whether a project has a registry."""
    return (root / FOLDER).is_dir()
