"""Decide whether a model version may take an alias: every requirement that is not met, with its cure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.rules.suggest import did_you_mean

Requirement = Literal["clean_tree", "data_kept", "gates_passed", "replayed"]
REQUIREMENTS: Final[tuple[Requirement, ...]] = ("clean_tree", "data_kept", "gates_passed", "replayed")
_KEYS: Final = ("requires", "approvals", "roles", "predecessors", "min_age", "archives")
_SPAN: Final = re.compile(r"(\d{1,5})([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 24 * 7}
_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_HOUR_US: Final = 3_600_000_000
_MOST_APPROVALS: Final = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """``[aliases.<name>]``: what a version needs to take an alias.

    Attributes:
        alias: The alias.
        requires: Any of ``clean_tree``, ``data_kept``, ``gates_passed``, ``replayed``.
        approvals: How many signers must have approved.
        roles: Roles in which they may approve; several are alternatives.
        predecessors: Aliases of which the version must have held one.
        min_age: How long before it must have taken that alias, or been registered: `"14d"`.
        archives: Whether the version that held the alias is archived.
    """

    alias: str
    requires: tuple[Requirement, ...] = ()
    approvals: int = 0
    roles: tuple[str, ...] = ()
    predecessors: tuple[str, ...] = ()
    min_age: str = ""
    archives: bool = False

    @property
    def min_age_us(self) -> int:
        """The age in microseconds."""
        span = _SPAN.fullmatch(self.min_age)
        return int(span[1]) * _HOURS[span[2]] * _HOUR_US if span else 0

    @property
    def accepted_roles(self) -> tuple[str, ...]:
        """The roles in which an approval may be given, where none is named too."""
        return self.roles or ("approver",)

    @property
    def guards(self) -> bool:
        """Whether anything is asked of a version."""
        return bool(self.requires or self.approvals or self.predecessors or self.min_age)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that a version does not meet.

    Attributes:
        requirement: Such as ``replayed``.
        found: What there is instead, a sentence without a full stop.
        cure: What to do about it.
    """

    requirement: str
    found: str
    cure: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a version.

    Attributes:
        ref: Its name, ``churn/3``.
        clean: Whether its commit describes the code wholly; None where the record does not say.
        data: Name of each snapshot to how it is kept: ``copy``, ``reference``, or empty where the record does not say.
        gates: Decision of each gate, of its own run and of the one that judged it.
        audits: Verdicts of its audits.
        registered_us: When it was registered.
        held: Alias to when the version first held it.
        approved_by: Signers whose approval counts.
        refused: Why other approvals do not count, one sentence each.
        signed: Whether the registration is signed, so that the registrar is known.
    """

    ref: str
    clean: bool | None
    data: Mapping[str, str]
    gates: Sequence[str]
    audits: Sequence[str]
    registered_us: int
    held: Mapping[str, int]
    approved_by: Sequence[str]
    refused: Sequence[str]
    signed: bool


def read_policy(alias: str, values: Mapping[str, object], *, where: str) -> Policy:
    """Read ``[aliases.<name>]``.

    Args:
        alias: Its name.
        values: The section.
        where: The file.

    Raises:
        ConfigError: It says something that cannot be meant.
    """
    section = _Section(alias, values, where)
    section.refuse_unknown()
    requires, roles = section.words("requires"), section.words("roles")
    for word in requires:
        if word not in REQUIREMENTS:
            hint = did_you_mean(word, REQUIREMENTS)
            raise section.wrong("requires", f"cannot be {word!r}{hint}", f"any of: {', '.join(REQUIREMENTS)}")
    for word in roles:
        if not _ROLE.fullmatch(word):
            raise section.wrong("roles", f"cannot be {word!r}", 'letters, digits, "_" and "-": roles = ["ml-lead"]')
    if roles and not section.approvals():
        raise section.wrong("roles", "says who may approve, and approvals asks for nobody", "approvals = 1")
    return Policy(
        alias,
        tuple(word for word in REQUIREMENTS if word in requires),
        section.approvals(),
        roles,
        section.words("predecessors"),
        section.min_age(),
        section.archives(),
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """``[aliases.<name>]`` as written, which knows where it stands."""

    alias: str
    values: Mapping[str, object]
    where: str

    def wrong(self, key: str, found: str, write: str) -> ConfigError:
        headline = f"mlrun.toml: aliases.{self.alias}.{key} {found}"
        return ConfigError(headline, where=f"{self.where}, [aliases.{self.alias}]", next_step=f"write it as {write}")

    def refuse_unknown(self) -> None:
        for key in self.values:
            if key not in _KEYS:
                raise ConfigError(
                    f"mlrun.toml: unknown key {key!r} in [aliases.{self.alias}]{did_you_mean(key, _KEYS)}",
                    where=f"{self.where}, [aliases.{self.alias}]",
                    next_step=f"it takes: {', '.join(_KEYS)}",
                )

    def words(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise self.wrong(key, f"must be a list of texts, not {found!r:.60}", f'{key} = ["…"]')
        return tuple(found)

    def approvals(self) -> int:
        found = self.values.get("approvals", 0)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _MOST_APPROVALS:
            raise self.wrong("approvals", f"must be a whole number from 0 to 20, not {found!r:.60}", "approvals = 1")
        return found

    def min_age(self) -> str:
        found = self.values.get("min_age", "")
        if not isinstance(found, str) or (found and not _SPAN.fullmatch(found)):
            raise self.wrong("min_age", f"must be hours, days or weeks, not {found!r:.60}", 'min_age = "14d"')
        return found

    def archives(self) -> bool:
        found = self.values.get("archives", False)
        if not isinstance(found, bool):
            raise self.wrong("archives", f"must be true or false, not {found!r:.60}", "archives = true")
        return found


def judge(policy: Policy, known: Evidence, *, now_us: int) -> tuple[Unmet, ...]:
    """Return what is missing; nothing if the version may take the alias.

    A version that held the alias before has met its conditions of time and order: going back must not wait.

    Args:
        policy: What the alias needs.
        known: What is known of the version.
        now_us: Microseconds since the epoch.
    """
    unmet = [found for word in policy.requires if (found := _CHECKS[word](known)) is not None]
    if policy.alias not in known.held:
        unmet += _judge_order(policy, known, now_us)
    if policy.approvals:
        unmet += _judge_approvals(policy, known)
    return tuple(unmet)


def _clean_tree(known: Evidence) -> Unmet | None:
    if known.clean is True:
        return None
    found = "it was trained on uncommitted changes" if known.clean is False else "its record names no commit"
    return Unmet("clean_tree", found, "commit, then train and register again: pytest --mlrun --mlrun-clean-tree")


def _data_kept(known: Evidence) -> Unmet | None:
    lost = sorted(name for name, kept in known.data.items() if kept not in {"copy", "reference"})
    if known.data and not lost:
        return None
    if not known.data:
        return Unmet(
            "data_kept", "it names no data", "pin what it reads: [data.<name>] in mlrun.toml, data= in the marker"
        )
    found = f"its record does not say that data {', '.join(map(repr, lost))} is kept"
    return Unmet("data_kept", found, f'say keep = "copy" in [data.{lost[0]}], then train and register again')


def _gates_passed(known: Evidence) -> Unmet | None:
    bad = [decision for decision in known.gates if decision != "PASS"]
    if known.gates and not bad:
        return None
    if not known.gates:
        return Unmet("gates_passed", "no gate judged it", 'write one: mlrun.assert_floor("val_roc_auc", 0.8)')
    found = f"{len(bad)} of {len(known.gates)} gates did not pass: {', '.join(sorted(set(bad)))}"
    return Unmet("gates_passed", found, "train a version that passes them all")


def _replayed(known: Evidence) -> Unmet | None:
    told = [verdict for verdict in known.audits if verdict != "INCONCLUSIVE"]
    if told and told[-1] in {"REPRODUCED_EXACTLY", "REPRODUCED"}:
        return None
    found = f"its audits say {', '.join(known.audits)}" if known.audits else "nobody has reproduced it yet"
    return Unmet("replayed", found, f"reproduce it: pytest-mlrun audit {known.ref}")


_CHECKS: Final = {
    "clean_tree": _clean_tree,
    "data_kept": _data_kept,
    "gates_passed": _gates_passed,
    "replayed": _replayed,
}


def _judge_order(policy: Policy, known: Evidence, now_us: int) -> list[Unmet]:
    unmet = []
    since = [known.held[alias] for alias in policy.predecessors if alias in known.held]
    if policy.predecessors and not since:
        first = policy.predecessors[0]
        wanted = " or ".join(repr(alias) for alias in policy.predecessors)
        cure = f"pytest-mlrun promote {known.ref} {first} --note '…'"
        unmet.append(Unmet("predecessors", f"it has never been {wanted}", cure))
    start_us = min(since) if since else known.registered_us
    age_us = now_us - start_us
    if policy.min_age and age_us < policy.min_age_us:
        what = f"been {first_held!r}" if (first_held := _first_held(policy, known)) else "been registered"
        rest = -(-(policy.min_age_us - age_us) // _HOUR_US)
        wait = f"{rest} h" if rest < 48 else f"{-(-rest // 24)} days"  # noqa: PLR2004 - two days
        unmet.append(Unmet("min_age", f"it has not {what} for {policy.min_age}", f"wait {wait}"))
    return unmet


def _first_held(policy: Policy, known: Evidence) -> str:
    held = [alias for alias in policy.predecessors if alias in known.held]
    return min(held, key=lambda alias: known.held[alias], default="")


def _judge_approvals(policy: Policy, known: Evidence) -> list[Unmet]:
    if not known.signed:
        cure = "sign the registration of the next version: pytest-mlrun register RUN --name … --key ~/.ssh/id_ed25519"
        return [Unmet("approvals", "its registration is not signed, so nobody knows whom to exclude", cure)]
    count = len(known.approved_by)
    if count >= policy.approvals:
        return []
    roles = " or ".join(policy.accepted_roles)
    found = f"{count} of {policy.approvals} by {roles}" + "".join(f"; {reason}" for reason in known.refused)
    return [Unmet("approvals", found, f"ask for one: pytest-mlrun approve {known.ref} {policy.alias} --note '…'")]
