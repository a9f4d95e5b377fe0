"""Describe what the registry of models says: events, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

# What an event's file may hold: no floats, which every language writes in another way.
Value: TypeAlias = str | int | bool | list["Value"] | dict[str, "Value"] | None

REPRODUCED = ("REPRODUCED_EXACTLY", "REPRODUCED")


@dataclass(frozen=True, slots=True)
class Event:
    """One file of a model's log: something that was done, by whom and why.

    Attributes:
        model: Name of the model.
        number: Place in the model's log, from 1 without gaps.
        prev: Digest of the event before; empty for the first.
        kind: ``registered``, ``approved``, ``promoted``, ``audited``, ``endpoint_added`` or ``endpoint_removed``.
        time_us: Microseconds since the epoch, UTC, as the writer's clock said; always later than the event before.
        who: Such as ``ada@laptop``.
        note: Why, in a sentence.
        body: What depends on the kind; ``docs/registry.md`` lists it.
        v: Version of the event's form.
        digest: ``sha256:<hex>`` over the canonical form of every other field.
    """

    model: str
    number: int
    prev: str
    kind: str
    time_us: int
    who: str
    note: str
    body: Mapping[str, Value]
    v: int = 1
    digest: str = ""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model file of a registered run.

    Attributes:
        name: Name of the artifact in the run.
        digest: ``sha256:<hex>`` of the bytes.
        size_bytes: Number of bytes.
        unsafe: Whether reading it can run code (a pickle).
    """

    name: str
    digest: str
    size_bytes: int
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A run that was registered under a model's name; ``churn/3`` names it for ever.

    Attributes:
        model: Name of the model.
        version: From 1; never used again.
        run_id: The run that trained it.
        run_digest: Digest of that run's record.
        run_name: Its name.
        experiment: Its experiment.
        test: Identity of its test.
        commit: Full id; empty where the run knew none.
        authors: Who wrote the commit, as git says: mail addresses, in lower case.
        seed: What its generators started from.
        data: Name of each snapshot to its digest.
        params: Name to JSON text.
        files: Its model files.
        judge_id: The run that judged it, where a test of winners registered it; empty otherwise.
        judge_digest: Digest of that run's record.
        registered_us: Microseconds since the epoch, UTC.
        who: Who registered it, as their machine says.
        principal: Who signed the registration, as the signers' file names them; empty if nobody did.
        note: Why.
        event: Digest of the event that registered it.
    """

    model: str
    version: int
    run_id: str
    run_digest: str
    run_name: str
    experiment: str
    test: str
    commit: str
    authors: tuple[str, ...]
    seed: int | None
    data: Mapping[str, str]
    params: Mapping[str, str]
    files: tuple[StoredModel, ...]
    judge_id: str
    judge_digest: str
    registered_us: int
    who: str
    principal: str
    note: str
    event: str

    @property
    def ref(self) -> str:
        """What people type: ``churn/3``."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A signed yes to one version under one alias.

    Attributes:
        number: Number of its event.
        version: Version approved.
        alias: Alias it may take.
        role: Role of the signer.
        principal: Signer, as the signers' file names them.
        expires_us: From when it no longer counts, in microseconds since the epoch.
        statement: What was signed.
        signature: As ``ssh-keygen -Y sign`` wrote it.
        signers: Digest of the signers' file that it was checked with.
        time_us: When it was given, as the signer's clock said.
        who: Who wrote the event, as their machine says.
        note: Why.
    """

    number: int
    version: int
    alias: str
    role: str
    principal: str
    expires_us: int
    statement: Mapping[str, Value]
    signature: str
    signers: str
    time_us: int
    who: str
    note: str


@dataclass(frozen=True, slots=True)
class Tenure:
    """The time that a version held an alias.

    Attributes:
        alias: The alias.
        version: Who held it.
        since_us: From when.
        until_us: Until when; None while it lasts.
        number: Number of the event that began it.
        who: Who promoted it.
        note: Why.
    """

    alias: str
    version: int
    since_us: int
    until_us: int | None
    number: int
    who: str
    note: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that serves a model.

    Attributes:
        name: Such as a URL.
        alias: The alias that it follows; empty if it serves one version.
        version: The version that it serves; 0 if it follows an alias.
        since_us: From when.
    """

    name: str
    alias: str
    version: int
    since_us: int


@dataclass(frozen=True, slots=True)
class ModelState:
    """What a model's events say, all or up to an instant.

    Attributes:
        model: Name of the model.
        events: In order.
        versions: By number.
        tenures: Who held which alias when, in order.
        archived: Versions that lost an alias whose policy archives, and hold none.
        approvals: In order.
        endpoints: Those that are there.
        audits: Version to the verdicts of its audits, in order.
    """

    model: str
    events: tuple[Event, ...] = ()
    versions: Mapping[int, ModelVersion] = field(default_factory=dict)
    tenures: tuple[Tenure, ...] = ()
    archived: frozenset[int] = frozenset()
    approvals: tuple[Approval, ...] = ()
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    audits: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def aliases(self) -> dict[str, int]:
        """Alias to the version that holds it."""
        return {tenure.alias: tenure.version for tenure in self.tenures if tenure.until_us is None}

    def aliases_of(self, version: int) -> list[str]:
        """Return the aliases that a version holds, sorted."""
        return sorted(alias for alias, holder in self.aliases.items() if holder == version)
