"""Train the recorded run again in a child process, and compare what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.code import Tree
from pytest_mlrun.audit.comparing import compare, describe_randomness, list_numbers
from pytest_mlrun.audit.environment import read_environment
from pytest_mlrun.audit.processes import Ended, run_child
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.records.audit import AuditedMetric, AuditedPillar, AuditVerdict
from pytest_mlrun.records.reproduction import Reproduction
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.store import Store

_METHOD: Final = "the recorded test run again in a fresh process of the rebuilt environment"
# Places on the machine of the record: here they would lead elsewhere, or nowhere.
_PLACES: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONEXECUTABLE", "LD_PRELOAD", "LD_LIBRARY_PATH")
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
    variables, not_set = _variables(case, scratch, environ)
    store = _make_store(case, run, scratch)
    test = run.test.partition("[")[0]
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", test, "--mlrun"]
    command += ["--mlrun-store", str(store.path), "--mlrun-from", run.run_id]
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
    reproduction = compare(run, again, case.store, store, overrides={})
    return _describe(reproduction, run, again, ended, not_set)


def _make_store(case: Case, run: RunRecord, scratch: Path) -> Store:
    from pytest_mlrun.store.bundle import open_bundle
    from pytest_mlrun.store.bundle_write import export_run

    bundle = scratch / "recorded.mlrun"
    export_run(case.store.path, run.run_id, bundle, choice="none")
    store = Store.open(scratch / "store", create=True)
    store.take_bundle(open_bundle(bundle))
    return store


def _variables(case: Case, scratch: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the child's environment variables, and which of the record were not set."""
    document = read_environment(case) or {}
    told = document.get("variables")
    recorded = {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}
    not_set = sorted(name for name, text in recorded.items() if name in _PLACES or "***" in text)
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    hash_seed = case.text("rand.hash_seed")
    return {
        **{name: environ[name] for name in _PASSED if name in environ},
        "PATH": environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "LC_ALL": "C.UTF-8",
        **{name: text for name, text in recorded.items() if name not in not_set},
        **({"PYTHONHASHSEED": hash_seed} if hash_seed else {}),
        "PYTHONNOUSERSITE": "1",
    }, not_set


def _find_again(store: Store, run: RunRecord) -> RunRecord | None:
    try:
        runs = store.reader().runs()
    except MlrunError:
        return None
    mine = [
        other
        for other in runs
        if other.run_id != run.run_id
        and other.test == run.test
        and (other.parent_id is None) == (run.parent_id is None)
        and dict(other.params) == dict(run.params)
        and not other.status.startswith("running")
    ]
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


def _describe(
    reproduction: Reproduction, run: RunRecord, again: RunRecord, ended: Ended, not_set: list[str]
) -> Replayed:
    findings = [f"environment variable {name} of the record was not set" for name in not_set]
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
        cure="see where they part: pytest-mlrun audit -v" if ended.good or bad else "",
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
