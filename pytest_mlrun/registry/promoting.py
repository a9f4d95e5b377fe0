"""Give an alias to a version, if the alias's policy is met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_mlrun.errors import PolicyError, RegistryDamagedError, RegistryError, SignatureError
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.records.event import Event, ModelState, ModelVersion, Value
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.approving import Count, check_registration, count_approvals, with_authors
from pytest_mlrun.registry.commits import check_kept_elsewhere
from pytest_mlrun.registry.log import append
from pytest_mlrun.registry.signers import find_past_signers, read_signers
from pytest_mlrun.rules.policy import Evidence, Policy, Unmet, judge, read_policy

FindRun = Callable[[str], RunRecord]


@dataclass(frozen=True, slots=True)
class Promotion:
    """An alias that was given.

    Attributes:
        event: The event.
        before: Version that held the alias; None if nobody did.
        archived: Whether that version is archived now.
        policy: What the alias needs.
        approved_by: Whose approvals count.
    """

    event: Event
    before: int | None
    archived: bool
    policy: Policy
    approved_by: tuple[str, ...]


def policy_of(project: Project, alias: str) -> Policy:
    """Return what an alias needs; nothing, where ``mlrun.toml`` does not say."""
    return read_policy(alias, project.aliases.get(alias, {}), where=str(project.config_file))


def asks_for_nobody(project: Project, alias: str) -> bool:
    """Return whether a version takes an alias without any approval, on the way to nothing that asks for one."""
    beyond = (policy_of(project, other) for other in project.aliases)
    guarded = (policy.approvals for policy in beyond if policy.alias == alias or alias in policy.predecessors)
    return not any(guarded)


def promote(
    project: Project,
    state: ModelState,
    version: ModelVersion,
    alias: str,
    *,
    who: str,
    note: str,
    find: FindRun,
) -> Promotion:
    """Give an alias to a version; its holder loses it in the same event.

    Args:
        project: The project.
        state: What the model's events say.
        version: The version.
        alias: The alias.
        who: Who promotes.
        note: Why.
        find: Finds a run by its id.

    Raises:
        PolicyError: The policy is not met; every requirement that is missing is named.
        RegistryError: The version holds the alias already, or its commit is kept on one machine only.
        RegistryDamagedError: A run's record is not the one that was registered.
        LostRaceError: Somebody else wrote the model's next event first.
    """
    before = state.aliases.get(alias)
    if before == version.version:
        raise RegistryError(f"{version.ref} is {alias!r} already", next_step=f"pytest-mlrun history {version.model}")
    policy, now = policy_of(project, alias), now_us()
    count = Count((), (), ())
    if policy.approvals and version.principal:
        key = _check_registrar(project, state, version)
        known = with_authors(project, version)
        count = count_approvals(state, known, policy, read_signers(project), registrar_key=key, now_us=now)
    unmet = judge(policy, _evidence(state, version, policy, count, find), now_us=now)
    if unmet:
        raise _refusal(version, alias, unmet)
    repository = open_repository(project.root)
    if version.commit and isinstance(repository, Repository):
        check_kept_elsewhere(repository, version.commit, model=version.model, version=version.version)
    archived = before is not None and policy.archives and state.aliases_of(before) == [alias]
    approvals: list[Value] = list(count.numbers)
    body: dict[str, Value] = {
        "version": version.version,
        "alias": alias,
        "before": before,
        "archives": before if archived else None,
        "policy": _plain(policy),
        "approvals": approvals,
    }
    event = append(project.root, state.events, model=version.model, kind="promoted", who=who, note=note, body=body)
    return Promotion(event, before, archived, policy, count.signers)


def _check_registrar(project: Project, state: ModelState, version: ModelVersion) -> str:
    """Return the key that signed a registration: whom to exclude must not be what a text file says.

    Raises:
        SignatureError: It does not hold.
    """
    event = next(event for event in state.events if event.digest == version.event)
    signers = find_past_signers(project, str(event.body.get("signers", "")))
    reason, key = "its signers were never on the protected branch", ""
    if signers is not None:
        reason, key = check_registration(event, version, signers)
    if reason:
        raise SignatureError(
            f"the registration of {version.ref} is not signed by {version.principal}",
            details=(reason,),
            next_step="look at it: pytest-mlrun verify; then register the run again",
        )
    return key


def find_record(run_id: str, digest: str, *, ref: str, find: FindRun) -> RunRecord:
    """Return a registered run's record, held to the digest that was registered.

    Raises:
        RegistryDamagedError: It is another one.
        StoreError: It is not in the store.
    """
    record = find(run_id)
    if record.digest != digest:
        raise RegistryDamagedError(
            f"run {record.short_id} is not the one registered as {ref}",
            details=(f"registered {digest}", f"found      {record.digest}"),
            next_step="restore the store from a copy: pytest-mlrun verify",
        )
    return record


def _evidence(state: ModelState, version: ModelVersion, policy: Policy, count: Count, find: FindRun) -> Evidence:
    records: list[RunRecord] = []
    if policy.requires:
        records.append(find_record(version.run_id, version.run_digest, ref=version.ref, find=find))
        if version.judge_id:
            records.append(find_record(version.judge_id, version.judge_digest, ref=version.ref, find=find))
    held: dict[str, int] = {}
    for tenure in state.tenures:
        if tenure.version == version.version:
            held.setdefault(tenure.alias, tenure.since_us)
    return Evidence(
        ref=version.ref,
        clean=_clean(records),
        data={name: str(json.loads(records[0].context.get(f"data.{name}.kept", "null")) or "") for name in version.data}
        if records
        else {},
        gates=[verdict.decision for record in records for verdict in record.gates],
        audits=state.audits.get(version.version, ()),
        registered_us=version.registered_us,
        held=held,
        approved_by=count.signers,
        refused=count.refused,
        signed=bool(version.principal),
    )


def _clean(records: Sequence[RunRecord]) -> bool | None:
    if not records or "code.commit" not in records[0].context or records[0].context["code.commit"] == "null":
        return None
    dirty: bool | None = json.loads(records[0].context.get("code.dirty", "null"))
    return None if dirty is None else not dirty


def _refusal(version: ModelVersion, alias: str, unmet: Sequence[Unmet]) -> PolicyError:
    width = max(len(one.requirement) for one in unmet)
    lines = [
        line for one in unmet for line in (f"{one.requirement:<{width}}  {one.found}", f"{'':<{width}}  → {one.cure}")
    ]
    count = "1 requirement is" if len(unmet) == 1 else f"{len(unmet)} requirements are"
    return PolicyError(
        f"{version.ref} cannot be {alias!r}: {count} not met",
        details=tuple(lines),
        where=f"[aliases.{alias}] of mlrun.toml",
        next_step="do what the arrows say, then run the same command again",
    )


def _plain(policy: Policy) -> dict[str, Value]:
    return {
        "requires": list(policy.requires),
        "approvals": policy.approvals,
        "roles": list(policy.roles),
        "predecessors": list(policy.predecessors),
        "min_age": policy.min_age,
        "archives": policy.archives,
    }
