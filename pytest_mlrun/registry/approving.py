"""Approve a version for an alias, and count the approvals that hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pytest_mlrun.errors import SignatureError
from pytest_mlrun.records.event import Approval, Event, ModelState, ModelVersion, Value
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.commits import expect_repository, find_authors
from pytest_mlrun.registry.encoding import canonical, clean
from pytest_mlrun.registry.log import append
from pytest_mlrun.registry.registering import registration_statement
from pytest_mlrun.registry.signers import REGISTER, Signers, find_key, namespace_of, read_signers, sign_statement
from pytest_mlrun.registry.signing import verify
from pytest_mlrun.rules.policy import Policy


@dataclass(frozen=True, slots=True)
class Count:
    """Approvals of one version for one alias.

    Attributes:
        numbers: Events of those that count.
        signers: Who gave them; each counts once.
        refused: Why others do not count, one sentence each.
    """

    numbers: tuple[int, ...]
    signers: tuple[str, ...]
    refused: tuple[str, ...]


def approve(
    project: Project,
    state: ModelState,
    version: ModelVersion,
    *,
    alias: str,
    role: str,
    key: str | None,
    expires_us: int,
    who: str,
    note: str,
) -> Event:
    """Sign a yes to a version, and add it to the model's log.

    Args:
        project: The project.
        state: What the model's events say.
        version: The version.
        alias: Alias that it may take.
        role: Role of the signer.
        key: Path of the key, if one was typed.
        expires_us: From when the approval no longer counts.
        who: Who writes, as the machine says.
        note: Why.

    Raises:
        SignatureError: The signer may not approve this.
        RegistryError: There are no signers, no key, or somebody else was faster.
    """
    signers = read_signers(project)
    version = with_authors(project, version)
    statement: dict[str, Value] = {
        "kind": "mlrun-approval",
        "v": 1,
        "model": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "run_digest": version.run_digest,
        "registered": version.event,
        "alias": alias,
        "role": role,
        "note": clean(note),
        "expires_us": expires_us,
        "nonce": os.urandom(16).hex(),
    }
    signature, principal, _ = sign_statement(
        statement, key=find_key(key, project), namespace=namespace_of(role), signers=signers
    )
    reason = _excluded(principal, version)
    if reason:
        raise SignatureError(
            f"{principal} cannot approve {version.ref}: {reason}",
            next_step="ask somebody who neither wrote the code nor registered it",
        )
    body: dict[str, Value] = {
        "version": version.version,
        "statement": statement,
        "principal": principal,
        "signature": signature,
        "signers": signers.digest,
    }
    return append(project.root, state.events, model=version.model, kind="approved", who=who, note=note, body=body)


def count_approvals(
    state: ModelState,
    version: ModelVersion,
    policy: Policy,
    signers: Signers,
    *,
    registrar_key: str,
    now_us: int,
) -> Count:
    """Count the approvals of a version that hold now.

    Args:
        state: What the model's events say.
        version: The version.
        policy: What the alias needs.
        signers: Who may sign now.
        registrar_key: The key that signed the registration.
        now_us: Microseconds since the epoch.
    """
    # Going back to a version must not wait for signatures that were given for it before.
    held = [one for one in state.tenures if (one.alias, one.version) == (policy.alias, version.version)]
    held_us = max((one.since_us for one in held), default=0)
    numbers: list[int] = []
    names: list[str] = []
    keys: set[str] = set()
    refused: list[str] = []
    for approval in state.approvals:
        if (approval.version, approval.alias) != (version.version, policy.alias):
            continue
        reason, key = check_approval(
            approval, version, policy.accepted_roles, signers, time_us=now_us, before_us=held_us or now_us
        )
        if not reason and key == registrar_key:
            reason = "their key registered it"
        if not reason and (approval.principal in names or key in keys):
            continue  # the same person, again
        if reason:
            refused.append(f"{approval.principal}: {reason}")
            continue
        numbers.append(approval.number)
        names.append(approval.principal)
        keys.add(key)
    return Count(tuple(numbers), tuple(names), tuple(refused))


def instant_of_counting(events: Sequence[Event], promotion: Event) -> int:
    """Return the instant at which an approval that a promotion counted must not have expired.

    Args:
        events: The model's events.
        promotion: One of them: going back to a version, it asks for what counted when the alias was last given to it.
    """
    same = {name: promotion.body[name] for name in ("version", "alias")}
    given = [
        one.time_us
        for one in events
        if one.kind == "promoted" and one.number < promotion.number and same.items() <= one.body.items()
    ]
    return max(given, default=promotion.time_us)


def check_approval(
    approval: Approval,
    version: ModelVersion,
    roles: Sequence[str],
    signers: Signers,
    *,
    time_us: int,
    before_us: int,
) -> tuple[str, str]:
    """Return why an approval does not count, or nothing, and the key that made it.

    Args:
        approval: The approval.
        version: What must have been approved.
        roles: Roles that count.
        signers: Who may sign.
        time_us: Instant at which the key must be valid.
        before_us: Instant at which the approval must not have expired.
    """
    said = approval.statement
    about = {
        "kind": "mlrun-approval",
        "v": 1,
        "model": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "run_digest": version.run_digest,
        "registered": version.event,
    }
    if {name: said.get(name) for name in about} != about:
        return "it approves another run", ""
    if approval.role not in roles:
        return f"role {approval.role} does not count", ""
    if approval.expires_us <= before_us:
        return f"it expired on {datetime.fromtimestamp(approval.expires_us / 1e6, tz=UTC):%Y-%m-%d}", ""
    excluded = _excluded(approval.principal, version)
    if excluded:
        return excluded, ""
    try:
        return "", verify(
            canonical(said),
            approval.signature,
            principal=approval.principal,
            namespace=namespace_of(approval.role),
            signers=signers.content,
            revoked=signers.revoked,
            time_us=time_us,
        )
    except SignatureError as error:
        return "; ".join([error.headline, *error.details[:1]]), ""


def with_authors(project: Project, version: ModelVersion) -> ModelVersion:
    """Return a version with the authors that git names added to those of its event, which no signature covers.

    Args:
        project: The project.
        version: The version.

    Raises:
        RegistryError: Its commit is not in this repository.
    """
    if not version.commit:
        return version
    found = find_authors(expect_repository(project.root, purpose="to know who wrote the code"), version.commit)
    return replace(version, authors=tuple(dict.fromkeys([*version.authors, *found])))


def check_registration(event: Event, version: ModelVersion, signers: Signers) -> tuple[str, str]:
    """Return why the signature of a registration does not hold, or nothing, and the key that made it.

    Args:
        event: The ``registered`` event.
        version: What it registered.
        signers: Who could sign then.
    """
    try:
        return "", verify(
            canonical(registration_statement(version)),
            str(event.body["signature"]),
            principal=version.principal,
            namespace=REGISTER,
            signers=signers.content,
            time_us=event.time_us,
        )
    except KeyError:
        return "it names a signer and has no signature", ""
    except SignatureError as error:
        return "; ".join([error.headline, *error.details[:1]]), ""


def _excluded(principal: str, version: ModelVersion) -> str:
    if principal.lower() == version.principal.lower():
        return "they registered it"
    return "they wrote its commit" if principal.lower() in version.authors else ""
