"""The digest of a run is over a form that can be written by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import canonical_text, compute_run_digest, compute_series_digests

RECORD = RunRecord(
    run_id="0192",
    session_id="0191",
    experiment="churn",
    name='a "quoted"\nname',
    test="test_a.py::test",
    case="16-0.1",
    attempt=2,
    parent_id=None,
    status="failed",
    outcome="failed",
    cause="gate",
    cause_detail="",
    error="\x01\t\\ é \u2028 \U0001f600",
    started_us=1,
    ended_us=2,
    params={"b": "1", "a": '"x"', "\ue000": "3", "\U0001f600": "4"},
    metrics={"nan": float("nan"), "zero": -0.0, "big": float("inf")},
    tags={},
    context={"code.dirty": "false"},
    artifacts=(Artifact("m.bin", "sha256:ab", 3, unsafe=True, time_us=7),),
    gates=(Verdict("floor", "auc", "PASS", estimate=0.5, bound=0.25, n=4),),
    series={"loss": "1:sha256:cd"},
    digest="sha256:ignored",
)

EXPECTED = (
    '["mlrun-run-1",['
    '["artifacts",[[["digest","sha256:ab"],["media_type","application/octet-stream"],["name","m.bin"],'
    '["role","artifact"],["size_bytes","3"],["time_us","7"],["unsafe","true"]]]],'
    '["attempt","2"],["case","16-0.1"],["cause","gate"],["cause_detail",""],'
    '["context",[["code.dirty","false"]]],'
    '["ended_us","2"],'
    '["error","\\u0001\\t\\\\ é \u2028 \U0001f600"],'
    '["experiment","churn"],'
    '["gates",[[["alpha",["n"]],["at","last"],["baseline_digest",["n"]],["baseline_id",["n"]],'
    '["bound","3fd0000000000000"],["calibrated","false"],["claim","this model"],["decision","PASS"],'
    '["estimate","3fe0000000000000"],["gate","floor"],["high",["n"]],["low",["n"]],["m",["n"]],["margin",["n"]],'
    '["mde",["n"]],["method","value"],["metric","auc"],["n","4"],["n_eff",["n"]],["p",["n"]],'
    '["primary","false"],["reason",""],["require","value"]]]],'
    '["metrics",[["big","7ff0000000000000"],["nan","7ff8000000000000"],["zero","8000000000000000"]]],'
    '["name","a \\"quoted\\"\\nname"],'
    '["outcome","failed"],'
    '["params",[["a","\\"x\\""],["b","1"],["\ue000","3"],["\U0001f600","4"]]],'
    '["parent_id",["n"]],'
    '["run_id","0192"],'
    '["series",[["loss","1:sha256:cd"]]],'
    '["session_id","0191"],["started_us","1"],["status","failed"],["tags",[]],["test","test_a.py::test"],["v","1"]'
    "]]"
)


def test_the_canonical_form_is_the_one_written_by_hand() -> None:
    assert canonical_text(RECORD) == EXPECTED


def test_the_digest_is_the_sha256_of_that_form() -> None:
    assert compute_run_digest(RECORD) == "sha256:" + hashlib.sha256(EXPECTED.encode()).hexdigest()


def test_the_digest_does_not_cover_itself() -> None:
    assert compute_run_digest(RECORD) == compute_run_digest(replace(RECORD, digest=""))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "finished"},
        {"parent_id": ""},
        {"attempt": 1},
        {"params": {**RECORD.params, "b": "2"}},
        {"metrics": {**RECORD.metrics, "zero": 0.0}},
        {"artifacts": ()},
        {"gates": (replace(RECORD.gates[0], bound=None),)},
        {"series": {}},
        {"v": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_of_a_field_changes_the_digest(change: dict[str, object]) -> None:
    changed = replace(RECORD, **change)  # type: ignore[arg-type]

    assert compute_run_digest(changed) != compute_run_digest(RECORD)


def test_the_digest_of_a_series_is_over_big_endian_triples() -> None:
    points = [(0, 10, 0.5), (-1, 11, float("-inf")), (2, 12, float("nan"))]
    content = b"".join(struct.pack(">qqd", *point) for point in points)

    digests = compute_series_digests(
        np.array([0, -1, 2, 5]), np.array([10, 11, 12, 13]), np.array([0.5, -np.inf, np.nan, 1.0]), [3, 4]
    )

    assert digests[0] == "3:sha256:" + hashlib.sha256(content).hexdigest()
    assert digests[1] == "1:sha256:" + hashlib.sha256(struct.pack(">qqd", 5, 13, 1.0)).hexdigest()


NODE = """
const text = require('fs').readFileSync(0, 'utf8');
process.stdout.write(JSON.stringify(JSON.parse(text)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_another_language_writes_the_same_text() -> None:
    answer = subprocess.run(
        ["node", "-e", NODE], input=EXPECTED, capture_output=True, text=True, check=True, encoding="utf-8"
    )

    assert answer.stdout == EXPECTED
    assert json.loads(answer.stdout) == json.loads(EXPECTED)
