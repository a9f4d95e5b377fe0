"""Train the recorded run again in a child process, and compare what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.code import Tree
from pytest_mlrun.audit.comparing import describe_randomness, list_numbers
from pytest_mlrun.audit.environment import read_environment
from pytest_mlrun.audit.processes import Ended, run_child
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.project import read_project
from pytest_mlrun.recorder.accounts import take_recorded
from pytest_mlrun.recorder.replay_environment import replay_environment
from pytest_mlrun.recorder.reproducing import compare_replay
from pytest_mlrun.records.audit import AuditedMetric, AuditedPillar, AuditVerdict
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.reproduction import Reproduction
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.bundle_write import export_run
from pytest_mlrun.store.store import Store

_METHOD: Final = "the recorded test run again in a fresh process of the rebuilt environment"
_PASSED: Final = ("PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_TAIL: Final = 6


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the replay gave.

    Attributes:
        verdict: What it says; empty where there is nothing to compare.
        pillar: What a report says of it.
        randomness: What a report says of the generators.
        level: Distance of the two environments.
        level_reasons: Why it is that far.
        metrics: Recorded and replayed numbers.
        divergence: Where the two first differ.
        context: What the replayed run recorded of itself.
    """

    verdict: AuditVerdict | None = None
    pillar: AuditedPillar = field(default_factory=lambda: AuditedPillar("replay", "unchecked", "not checked"))
    randomness: AuditedPillar = field(default_factory=lambda: AuditedPillar("randomness", "unchecked", "not checked"))
    level: str = ""
    level_reasons: tuple[str, ...] = ()
    metrics: tuple[AuditedMetric, ...] = ()
    divergence: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


def replay(
    case: Case,
    tree: Tree,
    python: Path,
    *,
    scratch: Path,
    log: Path,
    environ: Mapping[str, str],
    timeout_s: float,
) -> Replayed:
    """Train again, and compare.

    Args:
        case: What is audited; its run is there.
        tree: The recorded code, with the data in its place.
        python: Interpreter of the rebuilt environment.
        scratch: Folder of the audit.
        log: File for what the child writes.
        environ: The auditor's environment variables.
        timeout_s: How long it may take.
    """
    run = case.run
    if run is None:
        return Replayed()
    document = read_environment(case)
    bundle, store = scratch / "recorded.mlrun", scratch / "store"
    export_run(case.store.path, run.run_id, bundle)
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", run.test, "--mlrun"]
    command += ["--mlrun-replay", str(bundle), "--mlrun-store", str(store)]
    command += ["-n0"] if _has_xdist(document) else []
    project = _project_of(case, tree)
    variables = replay_environment(
        run.context, document, _here(scratch, environ, project), handed_on=project.replay.environment
    )
    ended = run_child(command, folder=tree.project, environ=variables, log=log, timeout_s=timeout_s)
    if ended.status is None:
        said = f"the training was not done after {timeout_s:.0f} s"
        pillar = AuditedPillar(
            "replay",
            "fail",
            said,
            method=_METHOD,
            findings=(said,),
            cure="give it more time: --timeout S",
            infrastructure=True,
        )
        return Replayed(pillar=pillar)
    again = _find_again(store, run)
    if again is None:
        return Replayed(pillar=_describe_failure(ended))
    recorded = take_recorded(run, case.store.reader(), where=str(case.store.path))
    reproduction = compare_replay(recorded, again, Store.open(store).reader(), project)
    return _describe(reproduction, case, run, again)


def _project_of(case: Case, tree: Tree) -> Project:
    """Return what the recorded ``mlrun.toml`` says, tolerances among it."""
    file = tree.project / "mlrun.toml"
    return read_project(file) if file.is_file() else case.project


def _has_xdist(document: Mapping[str, object] | None) -> bool:
    distributions = document.get("distributions") if document else None
    return isinstance(distributions, list) and any(
        isinstance(entry, dict) and entry.get("name") == "pytest-xdist" for entry in distributions
    )


def _here(scratch: Path, environ: Mapping[str, str], project: Project) -> dict[str, str]:
    """Return what the training may know of this machine: where programs are, its devices, what the project names."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    passed = {name: environ[name] for name in (*_PASSED, *project.replay.environment) if name in environ}
    return {"PATH": os.defpath, **passed, "HOME": str(home), "TMPDIR": str(scratch)}


def _find_again(path: Path, run: RunRecord) -> RunRecord | None:
    try:
        store = Store.open(path)
        store.recover()
        runs = store.reader().runs()
    except MlrunError:
        return None
    wanted = json.dumps(run.run_id)
    mine = [other for other in runs if other.context.get("replay.of") == wanted and other.parent_id is None]
    return mine[-1] if mine else None


def _describe_failure(ended: Ended) -> AuditedPillar:
    lines = [line.strip() for line in ended.output.splitlines() if line.strip(" =-")]
    marked = [line for line in lines if line.startswith(("E  ", "ERROR", "error:"))]
    said = f"the recorded test did not run again: pytest ended with status {ended.status}"
    return AuditedPillar(
        "replay",
        "fail",
        said,
        method=_METHOD,
        findings=(said, *dict.fromkeys((marked or lines)[-_TAIL:])),
        cure="check out the commit and run the test there: pytest --mlrun",
    )


def _describe(reproduction: Reproduction, case: Case, run: RunRecord, again: RunRecord) -> Replayed:
    findings: list[str] = []
    if again.outcome != run.outcome:
        why = again.cause_detail or again.cause or "no cause known"
        findings.append(f"the test {again.outcome or again.status}, and {run.outcome or run.status} then: {why}")
    findings += reproduction.findings
    bad = reproduction.verdict not in {"REPRODUCED_EXACTLY", "REPRODUCED", "CONSISTENT"}
    pillar = AuditedPillar(
        "replay",
        "fail" if bad else "finding" if findings else "pass",
        reproduction.reason,
        method=_METHOD,
        evidence={"run": again.digest},
        findings=(reproduction.reason, *findings) if bad else tuple(findings),
        not_checked=("network, and files outside the scratch folder, could be reached",),
        cure=f"see where they part: git checkout {case.text('code.commit')[:10]} && pytest-mlrun replay {run.short_id}",
    )
    return Replayed(
        reproduction.verdict,
        pillar,
        describe_randomness(run, reproduction),
        reproduction.level or "",
        reproduction.why or ("nothing that decides a number differs",),
        list_numbers(reproduction),
        reproduction.divergence,
        dict(again.context),
    )
