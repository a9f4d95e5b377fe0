"""Say what follows from a model's events: versions, aliases, approvals, endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from pytest_mlrun.errors import RegistryDamagedError
from pytest_mlrun.records.event import (
    Approval,
    Endpoint,
    Event,
    ModelState,
    ModelVersion,
    StoredModel,
    Tenure,
    Value,
)


@dataclass(slots=True)
class _Open:
    """A state that is being built."""

    versions: dict[int, ModelVersion] = field(default_factory=dict)
    tenures: list[Tenure] = field(default_factory=list)
    archived: set[int] = field(default_factory=set)
    approvals: list[Approval] = field(default_factory=list)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    audits: dict[int, tuple[str, ...]] = field(default_factory=dict)


def fold(model: str, events: Sequence[Event], *, until_us: int | None = None) -> ModelState:
    """Return what events say.

    Args:
        model: Name of the model.
        events: In order, as ``read_events`` returns them.
        until_us: Only what had happened at this instant; everything if None.

    Raises:
        RegistryDamagedError: An event says what no event of its kind says.
    """
    seen = tuple(event for event in events if until_us is None or event.time_us <= until_us)
    state = _Open()
    for event in seen:
        apply = _APPLY.get(event.kind)
        if apply is None:
            continue  # of a later release
        try:
            apply(state, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RegistryDamagedError(
                f"event {event.number:06} of {model!r} lacks what {event.kind!r} events say: {error}",
                where=f"mlrun-registry/{model}/{event.number:06}.json",
                next_step="restore the file as it was committed: git log -- mlrun-registry",
            ) from error
    return ModelState(
        model,
        seen,
        state.versions,
        tuple(state.tenures),
        frozenset(state.archived),
        tuple(state.approvals),
        state.endpoints,
        state.audits,
    )


def version_body(version: ModelVersion) -> dict[str, Value]:
    """Return what a ``registered`` event says of a version; the rest is in the event's own fields."""
    return {
        "version": version.version,
        "run_id": version.run_id,
        "run_digest": version.run_digest,
        "run_name": version.run_name,
        "experiment": version.experiment,
        "test": version.test,
        "commit": version.commit,
        "authors": list(version.authors),
        "seed": version.seed,
        "data": dict(version.data),
        "params": dict(version.params),
        "files": [
            {"name": file.name, "digest": file.digest, "size_bytes": file.size_bytes, "unsafe": file.unsafe}
            for file in version.files
        ],
        "judge_id": version.judge_id,
        "judge_digest": version.judge_digest,
        "principal": version.principal,
    }


def _register(state: _Open, event: Event) -> None:
    body = event.body
    number = _int(body["version"])
    if number != len(state.versions) + 1:
        raise ValueError(f"version {number} after {len(state.versions)}")
    seed = body["seed"]
    state.versions[number] = ModelVersion(
        model=event.model,
        version=number,
        run_id=_text(body["run_id"]),
        run_digest=_text(body["run_digest"]),
        run_name=_text(body["run_name"]),
        experiment=_text(body["experiment"]),
        test=_text(body["test"]),
        commit=_text(body["commit"]),
        authors=tuple(_text(author) for author in cast("list[Value]", body["authors"])),
        seed=None if seed is None else _int(seed),
        data=_texts(body["data"]),
        params=_texts(body["params"]),
        files=tuple(StoredModel(**file) for file in cast("list[dict[str, Value]]", body["files"])),  # type: ignore[arg-type]
        judge_id=_text(body["judge_id"]),
        judge_digest=_text(body["judge_digest"]),
        registered_us=event.time_us,
        who=event.who,
        principal=_text(body["principal"]),
        note=event.note,
        event=event.digest,
    )


def _promote(state: _Open, event: Event) -> None:
    alias, version = _text(event.body["alias"]), _known(state, event)
    for at, tenure in enumerate(state.tenures):
        if tenure.alias == alias and tenure.until_us is None:
            state.tenures[at] = replace(tenure, until_us=event.time_us)
    state.tenures.append(Tenure(alias, version, event.time_us, None, event.number, event.who, event.note))
    state.archived.discard(version)
    archives = event.body["archives"]
    if archives is not None:
        state.archived.add(_int(archives))


def _approve(state: _Open, event: Event) -> None:
    statement = cast("Mapping[str, Value]", event.body["statement"])
    state.approvals.append(
        Approval(
            number=event.number,
            version=_known(state, event),
            alias=_text(statement["alias"]),
            role=_text(statement["role"]),
            principal=_text(event.body["principal"]),
            expires_us=_int(statement["expires_us"]),
            statement=dict(statement),
            signature=_text(event.body["signature"]),
            signers=_text(event.body["signers"]),
            time_us=event.time_us,
            who=event.who,
            note=event.note,
        )
    )


def _audit(state: _Open, event: Event) -> None:
    version = _known(state, event)
    digest = event.body.get("run_digest")
    if digest is not None and digest != state.versions[version].run_digest:
        raise ValueError("it is about another run than the version's")
    state.audits[version] = (*state.audits.get(version, ()), _text(event.body["verdict"]))


def _add_endpoint(state: _Open, event: Event) -> None:
    name, alias, version = _text(event.body["endpoint"]), _text(event.body["alias"]), _int(event.body["version"])
    if not alias:
        _known(state, event)
    state.endpoints[name] = Endpoint(name, alias, version, event.time_us)


def _remove_endpoint(state: _Open, event: Event) -> None:
    del state.endpoints[_text(event.body["endpoint"])]


_APPLY: Final[Mapping[str, Callable[[_Open, Event], None]]] = {
    "registered": _register,
    "promoted": _promote,
    "approved": _approve,
    "audited": _audit,
    "endpoint_added": _add_endpoint,
    "endpoint_removed": _remove_endpoint,
}


def _known(state: _Open, event: Event) -> int:
    version = _int(event.body["version"])
    if version not in state.versions:
        raise ValueError(f"there is no version {version}")
    return version


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _texts(value: Value) -> dict[str, str]:
    return {name: _text(text) for name, text in cast("dict[str, Value]", value).items()}
