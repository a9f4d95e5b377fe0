"""What an audit leaves behind: a page for people, JSON that is signed, JUnit for a CI service."""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_mlrun.records.audit import (
    AuditedApproval,
    AuditedMetric,
    AuditedPillar,
    AuditRecord,
    AuditSubject,
    encode_audit,
)
from pytest_mlrun.report.audit_junit import render_junit
from pytest_mlrun.report.audit_lines import audit_lines, summary_lines
from pytest_mlrun.report.audit_page import render_page
from tests.unit.registry_desk import Desk

RECORD = AuditRecord(
    subject=AuditSubject(
        "churn@production",
        "churn",
        3,
        ("production",),
        "01900000-0000-7000-8000-00009f3a01bc",
        "sha256:" + "a" * 64,
        "sweep-<b>7</b>",
        "churn-2026q2",
        "tests/test_churn.py::test_train",
        "c" * 40,
        {"depth": "3"},
        {"model.skops": "sha256:" + "b" * 64},
    ),
    verdict="REPRODUCED",
    reason="every number lies within its tolerance",
    pillars=(
        AuditedPillar("record", "pass", "the record is the one registered", took_ms=12),
        AuditedPillar(
            "code",
            "finding",
            "commit cccccccccc is here, whole",
            evidence={"commit": "c" * 40},
            findings=("submodule libs/x is not checked out",),
        ),
        AuditedPillar("data", "pass", "1 snapshot, every byte as recorded", not_checked=("files that nobody named",)),
        AuditedPillar("interpreter", "pass", "cpython 3.11.7, as recorded"),
        AuditedPillar("environment", "pass", "14 distributions rebuilt with uv from uv.lock", took_ms=9_100),
        AuditedPillar("randomness", "pass", "seed 1; every generator ended where it did"),
        AuditedPillar("replay", "pass", "every number lies within its tolerance", took_ms=6_200),
    ),
    level="L2",
    level_reasons=("cpu.model: EPYC → Xeon",),
    metrics=(
        AuditedMetric("val_auc", 0.1 + 0.2, 0.3, "3e-07", "L2", "close"),
        AuditedMetric("val_loss", math.nan, math.nan, "1e-06", "L2", "exact"),
        AuditedMetric("val_gone", 0.5, None, "none", "", "missing"),
    ),
    approvals=(
        AuditedApproval("bob@example.org", "ml-lead", "production", 0, 10**15, "checked", "sha256:" + "d" * 64),
    ),
    independence=("trained by ada@laptop", "NOT INDEPENDENT: who trained it audited it, on the same machine"),
    recorded_on={"host.cpu": "EPYC"},
    audited_on={"host.cpu": "Xeon"},
    auditor="eva@ci",
    tool="0.1.0",
    began_us=1_790_000_000_000_000,
    took_ms=15_600,
)
DIGEST = "sha256:" + "e" * 64


def failed(*, infrastructure: bool = False) -> AuditRecord:
    """Return an audit that a missing commit ended."""
    said = "the commit cccccccccc is not in this repository"
    code = AuditedPillar("code", "fail", said, findings=(said,), cure="git fetch origin", infrastructure=infrastructure)
    rest = tuple(
        AuditedPillar(name, "unchecked", "not checked: code failed")
        for name in ("data", "interpreter", "environment", "randomness", "replay")
    )
    return replace(
        RECORD,
        verdict="INCONCLUSIVE" if infrastructure else "NOT_REPRODUCIBLE",
        reason=f"code: {said}",
        pillars=(RECORD.pillars[0], code, *rest),
        metrics=(),
        level="",
        level_reasons=(),
    )


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [text or "" for name, text in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> _Text:
    parser = _Text()
    parser.feed(page)
    return parser


def test_the_page_says_the_verdict_first_and_loads_nothing() -> None:
    page = read(render_page(RECORD, digest=DIGEST))

    said = [text for text in page.words if text.strip()]
    said = said[next(at for at, text in enumerate(said) if text.startswith("Audit of")) :]
    assert said[:2] == ["Audit of churn/3, 2026-09-21 14:13Z", "REPRODUCED WITH FINDINGS"]
    assert page.links == []
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "b"})


def test_the_page_says_everything_that_a_reader_of_the_record_would_learn() -> None:
    text = " ".join(read(render_page(RECORD, digest=DIGEST)).words)

    for told in (
        *("sweep-<b>7</b>", "code: submodule libs/x is not checked out", "data: files that nobody named", "Xeon"),
        *("bob@example.org", "verified", "0.30000000000000004", "-5.6e-17", "nan", "missing", "3e-07", DIGEST),
        *("NOT INDEPENDENT: who trained it audited it, on the same machine.", "level L2, cpu.model: EPYC → Xeon"),
        "ssh-keygen -Y verify -f signers -I WHO -n mlrun-audit -s audit.json.sig < audit.json",
    ):
        assert told in text


def test_a_page_without_a_training_says_that_no_number_was_compared_and_what_to_do() -> None:
    text = " ".join(read(render_page(failed(), digest=DIGEST)).words)

    assert "None was compared: nothing was trained." in text
    assert "git fetch origin" in text


def test_the_page_names_a_metric_as_it_is_written_and_what_is_wrong_first() -> None:
    wrong = replace(RECORD.metrics[0], name="z_last", status="differs")
    diverged = replace(RECORD, verdict="DIVERGED", reason="z_last differs", metrics=(*RECORD.metrics, wrong))

    said = [text.strip() for text in read(render_page(diverged, digest=DIGEST)).words if text.strip()]

    assert "z_last differs." in said
    assert [text for text in said if text in {"z_last", RECORD.metrics[0].name}] == ["z_last", RECORD.metrics[0].name]


def test_the_json_has_no_float_and_says_each_number_twice() -> None:
    plain = json.loads(encode_audit(RECORD), parse_float=lambda text: pytest.fail(f"a float: {text}"))

    assert (plain["kind"], plain["v"], plain["verdict"], plain["exit_code"]) == ("mlrun-audit", 1, "REPRODUCED", 0)
    first, second, third = plain["metrics"]
    assert (first["recorded"], first["recorded_hex"]) == ("0.30000000000000004", "0x1.3333333333334p-2")
    assert (second["replayed"], third["replayed"]) == ("nan", None)
    assert encode_audit(RECORD) == encode_audit(replace(RECORD))


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (RECORD, {"failures": "0", "errors": "0", "skipped": "0"}),
        (failed(), {"failures": "2", "errors": "0", "skipped": "5"}),
        (failed(infrastructure=True), {"failures": "0", "errors": "2", "skipped": "5"}),
    ],
    ids=["reproduced", "not reproducible", "inconclusive"],
)
def test_junit_has_a_case_for_each_pillar_and_one_for_the_verdict(record: AuditRecord, counts: dict[str, str]) -> None:
    suite = ET.fromstring(render_junit(record, digest=DIGEST))[0]

    assert [case.get("name") for case in suite.iter("testcase")] == [
        *("record", "code", "data", "interpreter", "environment", "randomness", "replay", "verdict")
    ]
    assert {name: suite.get(name) for name in counts} == counts
    found = {
        "failures": len(list(suite.iter("failure"))),
        "errors": len(list(suite.iter("error"))),
        "skipped": len(list(suite.iter("skipped"))),
    }
    assert {name: str(number) for name, number in found.items()} == counts


def test_what_a_record_holds_cannot_break_the_xml() -> None:
    record = replace(failed(), reason="\x00]]>&<\x1b[31m")

    assert ET.fromstring(render_junit(record, digest=DIGEST))[0].get("tests") == "8"


@pytest.mark.parametrize("width", [80, 120])
def test_the_lines_fit_the_terminal(width: int) -> None:
    record = replace(RECORD, reason="a reason of many words " * 12)

    lines = [line for line, _ in audit_lines(record, width=width, verbose=True)]

    assert max(map(len, lines)) <= width
    assert lines[0] == "REPRODUCED WITH FINDINGS  churn/3"
    assert "code         finding commit cccccccccc is here, whole" in lines


def test_several_audits_are_summed_up_a_line_each() -> None:
    lines = summary_lines([RECORD, failed()], width=100)

    assert re.fullmatch(r"churn/3 +REPRODUCED +L2 +1 +15\.6 s +every number lies within its tolerance", lines[1])
    assert re.fullmatch(r"churn/3 +NOT_REPRODUCIBLE +- +1 +15\.6 s +code: the commit cccccccccc is not in .*", lines[2])


def test_the_signed_report_is_verified_by_plain_openssh_and_one_changed_byte_is_not(desk: Desk, tmp_path: Path) -> None:
    desk.record("first", facts={"code.commit": json.dumps("a" * 40)})
    (tmp_path / "signers").write_text(desk.signer("eva", "mlrun-audit"))
    desk.do("audit", "first", "--report", "report", "--sign", str(desk.key("eva")))
    folder = desk.path / "report"
    command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "eva@example.org"]
    command += ["-n", "mlrun-audit", "-s", str(folder / "audit.json.sig")]
    content = (folder / "audit.json").read_bytes()

    good = subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)
    bad = subprocess.run(
        command, input=content.replace(b"NOT_REPRO", b"REPRO"), capture_output=True, check=False, timeout=60
    )

    assert sorted(path.name for path in folder.iterdir()) == [
        *("audit.html", "audit.json", "audit.json.sig", "audit.xml")
    ]
    assert (good.returncode, bad.returncode != 0) == (0, True), good.stderr
    assert json.loads(content)["verdict"] == "NOT_REPRODUCIBLE"


def test_a_signature_without_a_report_is_a_mistake(desk: Desk) -> None:
    code, _, err = desk.do("audit", "first", "--sign", "key")

    assert (code, err.splitlines()[0]) == (2, "error: --sign is about a report, and none is asked for")
