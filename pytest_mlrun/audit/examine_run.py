"""Say what an audit of a recorded run would lack today, from what is cheap to ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.environment import read_environment
from pytest_mlrun.audit.interpreter import check_interpreter
from pytest_mlrun.audit.locks import normalize, read_pins
from pytest_mlrun.audit.symptom import Symptom, examine_times, symptom
from pytest_mlrun.errors import CodeError, MlrunError
from pytest_mlrun.pillars.dependency_locks import find_dependency_locks
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.project import read_project
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.commits import check_kept_elsewhere

_OWN: Final = "pytest-mlrun"
_NAMED: Final = 4
_LOCK_IT: Final = "uv lock, or: uv pip compile --generate-hashes pyproject.toml -o requirements.txt, and commit it"


def examine_run(case: Case, environ: Mapping[str, str]) -> Iterator[Symptom]:
    """Yield what an audit of a recorded run would lack today, from what is cheap to ask.

    Args:
        case: The run.
        environ: Environment variables.
    """
    yield from _examine_registration(case)
    yield from _examine_code(case)
    yield from _examine_kept(case)
    pillar, _ = check_interpreter(case, environ)
    yield Symptom("interpreter", pillar.status != "pass", pillar.said, pillar.cure)
    yield from _examine_environment(case)
    yield from _examine_randomness(case)
    yield from _examine_metrics(case)


def _examine_registration(case: Case) -> Iterator[Symptom]:
    if case.version is None:
        yield Symptom(
            "registration",
            lacks=True,
            said="it is not registered: nothing outside the store says what its record is",
            cure=f"pytest-mlrun register {case.subject.run_id[-8:]} --name MODEL",
        )
        return
    signed = case.version.principal
    yield symptom(
        "registration",
        signed,
        f"{case.version.ref}, signed by {signed}",
        f"{case.version.ref} is not signed: nobody knows who registered it",
        "sign the next one: pytest-mlrun register RUN --name … --key ~/.ssh/id_ed25519",
    )


def _examine_code(case: Case) -> Iterator[Symptom]:
    commit = case.text("code.commit")
    repository = open_repository(case.project.root)
    if not commit or isinstance(repository, str):
        said = "the record names no commit" if not commit else str(repository)
        yield Symptom("commit", lacks=True, said=said, cure="train it from a commit of a git repository")
        return
    try:
        repository.ask("cat-file", "-e", f"{commit}^{{commit}}")
    except CodeError:
        cure = "git fetch origin 'refs/mlrun/*:refs/mlrun/*'"
        yield Symptom("commit", lacks=True, said=f"{commit[:10]} is not in this repository", cure=cure)
        return
    yield _examine_reach(case, repository, commit)
    if case.fact("code.dirty"):
        said = "it was trained on uncommitted changes: an audit applies the recorded patch, and says so"
        yield Symptom("clean tree", lacks=True, said=said, cure="commit, and train again")
    omitted = case.fact("code.patch_omitted")
    if isinstance(omitted, list) and omitted:
        paths = ", ".join(str(entry["path"]) for entry in omitted[:_NAMED])
        yield Symptom("patch", lacks=True, said=f"it does not hold {paths}", cure="commit them, and train again")


def _examine_reach(case: Case, repository: Repository, commit: str) -> Symptom:
    """Say whether another machine has the commit."""
    if case.version is not None:
        try:
            check_kept_elsewhere(repository, commit, model=case.version.model, version=case.version.version)
        except MlrunError as error:
            return Symptom("commit", lacks=True, said=error.headline, cure=error.next_step)
        return Symptom("commit", lacks=False, said=f"{commit[:10]} is kept by its ref, on the remote too")
    held = repository.ask("for-each-ref", "--contains", commit, "--format=%(refname)", "refs/remotes").decode().split()
    return symptom(
        "commit",
        held,
        f"{commit[:10]} is on {held[0] if held else ''}",
        f"{commit[:10]} is on this machine only",
        "git push",
    )


def _examine_kept(case: Case) -> Iterator[Symptom]:
    run = case.run
    names = [
        name.removeprefix("data.").removesuffix(".digest")
        for name, text in (run.context.items() if run else ())
        if name.startswith("data.") and name.endswith(".digest") and text != "null"
    ]
    if run is None or not names:
        yield Symptom(
            "data",
            lacks=True,
            said="the record names no data: what it read is not known",
            cure="pin it: [data.<name>] in mlrun.toml, and data= in the marker",
        )
        return
    for name in sorted(names):
        if case.text(f"data.{name}.kept") != "copy":
            cure = f'write keep = "copy" under [data.{name}] in mlrun.toml, and train again'
            yield Symptom(f"data {name}", lacks=True, said="no copy is kept, only its digest", cure=cure)
            continue
        missing = list(_find_missing(case, name))
        yield symptom(
            f"data {name}",
            not missing,
            "every file is in the store",
            f"not in the store: {', '.join(missing[:_NAMED])}",
            "merge the store that has them: pytest-mlrun merge OTHER",
        )


def _find_missing(case: Case, name: str) -> Iterator[str]:
    from pytest_mlrun.recorder.restoring import read_kept_listing

    run = case.run
    if run is None:
        return
    reader = case.store.reader()
    try:
        manifest = read_kept_listing(run, name, lambda artifact: reader.read_artifact(run, artifact))
    except MlrunError as error:
        yield error.headline
        return
    for entry in manifest.files:
        if not case.store.objects.holds(f"sha256:{entry.sha256}", entry.size_bytes):
            yield entry.path


def _examine_environment(case: Case) -> Iterator[Symptom]:
    document = read_environment(case)
    listed = document.get("distributions") if document else None
    if not isinstance(listed, list):
        yield Symptom("environment", lacks=True, said="the record does not say what was installed", cure="train again")
        return
    distributions = [entry for entry in listed if isinstance(entry, dict) and entry.get("name") != _OWN]
    yield from _examine_lock(case, distributions)
    local = [
        str(entry["name"])
        for entry in distributions
        if isinstance(entry.get("url"), str) and entry["url"].startswith(("/", "~", "../"))
    ]
    if local:
        said = f"{', '.join(local[:_NAMED])} came from a folder outside the repository"
        yield Symptom("distributions", lacks=True, said=said, cure="publish them to an index, and train again")
    unknown = [str(entry["name"]) for entry in distributions if not entry.get("record") and not entry.get("url")]
    if unknown:
        said = f"the files of {', '.join(unknown[:_NAMED])} are not known: their installer wrote no RECORD"
        yield Symptom("installed files", lacks=True, said=said, cure="train in a virtual environment made by uv or pip")


def _examine_lock(case: Case, distributions: list[dict[str, object]]) -> Iterator[Symptom]:
    path = case.text("env.lock")
    if not path:
        yield Symptom("lock file", lacks=True, said="none: distributions are installed by version", cure=_LOCK_IT)
        return
    lock = next((lock for lock in find_dependency_locks(case.project.root) if lock.path == path), None)
    if lock is None or lock.digest != case.text("env.lock_digest"):
        yield Symptom("lock file", lacks=False, said=f"{path} changed since then: an audit reads that of the commit")
        return
    try:
        pins = read_pins(case.project.root / path, lock.kind)
    except ValueError as error:
        yield Symptom("lock file", lacks=True, said=str(error), cure=_LOCK_IT)
        return
    open_ = [
        str(entry["name"])
        for entry in distributions
        if not entry.get("url") and (normalize(str(entry["name"])), str(entry["version"])) not in pins.hashes
    ]
    more = f" and {len(open_) - _NAMED} more" if len(open_) > _NAMED else ""
    yield symptom(
        "lock file",
        not open_,
        f"{path} pins the bytes of every distribution",
        f"{path} does not pin the bytes of {', '.join(open_[:_NAMED])}{more}",
        _LOCK_IT,
    )


def _examine_randomness(case: Case) -> Iterator[Symptom]:
    hash_seed = case.fact("rand.hash_seed")
    yield symptom(
        "hash seed",
        hash_seed is not None,
        f"PYTHONHASHSEED was {hash_seed}",
        "PYTHONHASHSEED was not set: the order of a set of texts is another in each process",
        "PYTHONHASHSEED=0 pytest --mlrun",
    )
    unpinned = case.fact("rand.unpinned")
    names = ", ".join(map(str, unpinned)) if isinstance(unpinned, list) else ""
    yield symptom(
        "generators",
        not names,
        f"pinned: {', '.join(_pinned(case)) or 'none was used'}",
        f"not pinned: {names}",
        "seed them from mlrun.seed",
    )
    drawn = case.fact("randomness.unpinned")
    lines = [str(line) for line in drawn] if isinstance(drawn, list) else []
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    yield symptom(
        "draws",
        not lines,
        "none without a seed were seen" if case.fact("rand.entropy") == "detect" else "not looked for",
        f"without a seed: {', '.join(lines[:_NAMED])}{more}",
        "draw from mlrun.rng, or seed them from mlrun.seed",
    )


def _pinned(case: Case) -> list[str]:
    run = case.run
    found = json.loads(run.context.get("rand.pinned", "[]")) if run else []
    return [str(name) for name in found]


def _examine_metrics(case: Case) -> Iterator[Symptom]:
    metrics = case.run.metrics if case.run else {}
    yield symptom(
        "metrics",
        metrics,
        f"{len(metrics)} to compare",
        "no metric was logged: nothing can be compared",
        "log one: mlrun.log_metric(name, value)",
    )
    evaluated = {name for name in metrics if case.fact(f"evaluated.{name}")}
    yield from examine_times(_recorded_project(case).times(metrics.keys() - evaluated), again=", and train again")


def _recorded_project(case: Case) -> Project:
    """Return what ``mlrun.toml`` says in the commit: an audit asks no other; that of today if it cannot be read."""
    repository = open_repository(case.project.root)
    if isinstance(repository, str) or case.project.config_file is None:
        return case.project
    with TemporaryDirectory(prefix="mlrun-") as folder:
        path = Path(folder, case.project.config_file.name)
        try:
            inside = case.project.config_file.relative_to(repository.root).as_posix()
            path.write_bytes(repository.ask("show", f"{case.text('code.commit')}:{inside}"))
            return read_project(path)
        except (MlrunError, ValueError):
            return case.project
