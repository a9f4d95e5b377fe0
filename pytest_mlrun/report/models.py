"""Turn what the registry says into lines for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pytest_mlrun.records.event import Endpoint, Event, ModelState, ModelVersion
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.facts import short_digest, show_size
from pytest_mlrun.report.table import Column, Layout, clean_text, lay_out, wrap_text

_LABEL = 13
_SHORT_COMMIT = 10


def show_instant(time_us: int) -> str:
    """Return an instant as an auditor reads it, whatever the time zone of the machine."""
    return f"{datetime.fromtimestamp(time_us / 1e6, tz=UTC):%Y-%m-%d %H:%MZ}"


def show_day(time_us: int) -> str:
    """Return the day of an instant, in UTC."""
    return f"{datetime.fromtimestamp(time_us / 1e6, tz=UTC):%Y-%m-%d}"


def standing_of_version(state: ModelState, version: int) -> str:
    """Return the aliases of a version, or that it is archived."""
    return ", ".join(state.aliases_of(version)) or ("archived" if version in state.archived else "")


def endpoints_of(state: ModelState, version: int) -> list[Endpoint]:
    """Return the places that serve a version, by its number or by an alias that it holds."""
    held = state.aliases_of(version)
    return [point for point in state.endpoints.values() if point.version == version or point.alias in held]


def lay_out_models(states: Sequence[ModelState], *, width: int | None) -> Layout:
    """Return a table of all versions, the newest of each model first."""
    columns = [
        Column("version", cut="middle", least=12),
        Column("alias"),
        Column("run"),
        Column("name", cut="middle", least=12, rank=1),
        Column("commit", rank=2),
        Column("registered", rank=1),
        Column("by", cut="end", least=8, rank=3),
    ]
    rows = [
        (
            version.ref,
            standing_of_version(state, version.version) or "-",
            version.run_id[-8:],
            version.run_name,
            version.commit[:_SHORT_COMMIT] or "-",
            show_instant(version.registered_us),
            version.principal or version.who,
        )
        for state in states
        for version in reversed(list(state.versions.values()))
    ]
    return lay_out(columns, rows, width=width)


def history_lines(state: ModelState, *, width: int | None) -> Iterator[str]:
    """Yield what happened to a model, the oldest first: the changelog of its aliases."""
    for event in state.events:
        head = f"{event.number:06}  {show_instant(event.time_us)}  {describe_event(event)}"
        yield from wrap_text(clean_text(head), width, hanging=8)
        yield from wrap_text(clean_text(f"        {event.who}: {event.note or '(no note)'}"), width, hanging=8)


def describe_event(event: Event) -> str:
    """Return what an event did, in a sentence without a full stop."""
    describe = _DESCRIBE.get(event.kind)
    return event.kind if describe is None else describe(f"{event.model}/{event.body.get('version')}", event)


def _registered(ref: str, event: Event) -> str:
    signer = event.body["principal"]
    return (
        f"{ref} registered: run {str(event.body['run_id'])[-8:]}, {f'signed by {signer}' if signer else 'not signed'}"
    )


def _promoted(ref: str, event: Event) -> str:
    before, archives = event.body["before"], event.body["archives"]
    was = f", {event.model}/{before} before" if before is not None else ""
    return f"{ref} is {event.body['alias']}{was}{', archived now' if archives is not None else ''}"


def _approved(ref: str, event: Event) -> str:
    said = event.body["statement"]
    known = said if isinstance(said, dict) else {}
    return f"{ref} approved for {known.get('alias')} by {event.body['principal']} as {known.get('role')}"


def _endpoint_added(ref: str, event: Event) -> str:
    alias = event.body["alias"]
    return f"{event.body['endpoint']} serves {f'{event.model}@{alias}' if alias else ref}"


_DESCRIBE: Final[Mapping[str, Callable[[str, Event], str]]] = {
    "registered": _registered,
    "promoted": _promoted,
    "approved": _approved,
    "audited": lambda ref, event: f"{ref} audited: {event.body['verdict']}",
    "endpoint_added": _endpoint_added,
    "endpoint_removed": lambda _, event: f"{event.body['endpoint']} serves {event.model} no longer",
}


def version_lines(state: ModelState, version: ModelVersion, *, width: int | None) -> list[str]:
    """Return what the registry says of a version: who, when, why, where it serves."""
    standing = standing_of_version(state, version.version)
    lines = [f"{version.ref}  ·  {standing}" if standing else version.ref]
    lines += [f"{label:<{_LABEL}}{text}" for label, text in _pairs(state, version)]
    return [part for line in lines for part in wrap_text(clean_text(line), width, hanging=_LABEL)]


def record_lines(version: ModelVersion, *, width: int | None) -> list[str]:
    """Return what the registry knows of a version's run, for where the store does not have it."""
    pairs = [
        ("run", f"{version.run_id}  {version.run_name}"),
        ("digest", version.run_digest),
        ("test", f"{version.test}  ·  experiment {version.experiment}"),
        ("code", version.commit or "no commit"),
        *(("data", f"{name}  {digest}") for name, digest in version.data.items()),
        ("randomness", f"seed {version.seed}" if version.seed is not None else "no seed recorded"),
        *(("param", f"{name} = {text}") for name, text in version.params.items()),
    ]
    lines = [f"{label:<{_LABEL}}{text}" for label, text in pairs]
    return [part for line in lines for part in wrap_text(clean_text(line), width, hanging=_LABEL)]


def version_object(state: ModelState, version: ModelVersion) -> dict[str, Plain]:
    """Return everything that the registry says of a version, as plain values."""
    return {
        "version": version.ref,
        "model": version.model,
        "number": version.version,
        "aliases": list(state.aliases_of(version.version)),
        "archived": version.version in state.archived,
        "run_id": version.run_id,
        "run_digest": version.run_digest,
        "run_name": version.run_name,
        "experiment": version.experiment,
        "test": version.test,
        "commit": version.commit,
        "authors": list(version.authors),
        "seed": version.seed,
        "data": dict(version.data),
        "params": {name: json.loads(text) for name, text in version.params.items()},
        "files": [
            {"name": file.name, "digest": file.digest, "size_bytes": file.size_bytes, "unsafe": file.unsafe}
            for file in version.files
        ],
        "judge_id": version.judge_id,
        "registered_us": version.registered_us,
        "who": version.who,
        "principal": version.principal,
        "note": version.note,
        "approvals": [
            {
                "alias": approval.alias,
                "role": approval.role,
                "principal": approval.principal,
                "time_us": approval.time_us,
                "expires_us": approval.expires_us,
                "note": approval.note,
            }
            for approval in state.approvals
            if approval.version == version.version
        ],
        "audits": list(state.audits.get(version.version, ())),
        "endpoints": [point.name for point in endpoints_of(state, version.version)],
    }


def _pairs(state: ModelState, version: ModelVersion) -> Iterator[tuple[str, str]]:
    signed = f"signed by {version.principal}" if version.principal else "not signed"
    yield "registered", _join(show_instant(version.registered_us), version.who, signed, version.note)
    for tenure in state.tenures:
        if tenure.version == version.version:
            until = f" until {show_instant(tenure.until_us)}" if tenure.until_us is not None else ""
            yield (
                "promoted",
                _join(f"{tenure.alias} since {show_instant(tenure.since_us)}{until}", tenure.who, tenure.note),
            )
    for approval in state.approvals:
        if approval.version == version.version:
            given = f"for {approval.alias} by {approval.principal} as {approval.role}"
            dated = f"{show_day(approval.time_us)}, counts until {show_day(approval.expires_us)}"
            yield "approved", _join(given, dated, approval.note)
    if not any(approval.version == version.version for approval in state.approvals):
        yield "approved", "by nobody"
    yield from _audits(state, version)
    for point in endpoints_of(state, version.version):
        yield "serves", _join(point.name, f"follows {point.alias}" if point.alias else "", show_instant(point.since_us))
    for file in version.files:
        unsafe = "UNSAFE to load" if file.unsafe else ""
        yield "model", _join(file.name, show_size(file.size_bytes), short_digest(file.digest), unsafe)
    if version.judge_id:
        yield "judged by", f"run {version.judge_id[-8:]}"
    if version.commit:
        yield "kept by", f"refs/mlrun/{version.model}-{version.version} at {version.commit[:_SHORT_COMMIT]}"


def _audits(state: ModelState, version: ModelVersion) -> Iterator[tuple[str, str]]:
    audits = [event for event in state.events if event.kind == "audited" and event.body["version"] == version.version]
    for event in audits:
        yield "audited", _join(str(event.body["verdict"]), show_instant(event.time_us), event.who, event.note)
    if not audits:
        yield "audited", "never"


def _join(*parts: str) -> str:
    return "  ·  ".join(part for part in parts if part)
