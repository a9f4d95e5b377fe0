"""What an audit says where the record, the code or the data are not what they were, without training anything."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.records.event import Event
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact
from pytest_mlrun.registry.encoding import canonical, compute_event_digest, decode, encode
from pytest_mlrun.registry.signing import sign
from pytest_mlrun.store.store import Store
from tests.unit.registry_desk import Desk

ROWS = b"age,churned\n41,0\n17,1\n"


@pytest.fixture
def signed(desk: Desk) -> Desk:
    """One version, registered by ada, approved by bob, in production."""
    desk.register("first")
    desk.approve("churn/1", key="bob")
    assert desk.promote("churn/1")[0] == 0
    desk.commit("promote churn/1")
    return desk


def audit(desk: Desk, ref: str = "churn@production", *more: str) -> tuple[int, dict[str, object]]:
    """Audit, leaving the registry as it is; return the exit code and the record."""
    code, out, err = desk.do("audit", ref, "--no-event", "--json", *more)
    assert out, err
    record: dict[str, object] = json.loads(out)
    return code, record


def pillar(record: dict[str, object], name: str) -> dict[str, object]:
    pillars = record["pillars"]
    assert isinstance(pillars, list)
    found: dict[str, object] = next(one for one in pillars if one["name"] == name)
    return found


def record_with_data(desk: Desk, *, kept: bool = True) -> str:
    """Put a run with a snapshot into the store; return the digest of the data."""
    store = Store.open(desk.path / ".pytest_mlrun", create=True)
    digest, size = store.objects.put_bytes(ROWS)
    listing = {"digest": digest, "kind": "file", "files": [["churn.csv", size, digest.removeprefix("sha256:")]]}
    listed, listed_size = store.objects.put_bytes(json.dumps(listing).encode())
    facts = {"data.churn.digest": json.dumps(digest), "data.churn.source": '"data/churn.csv"'}
    if kept:
        facts["data.churn.kept"] = '"copy"'
    role = "snapshot" if kept else "manifest"
    artifact = Artifact("data/churn.json", listed, listed_size, "application/json", role)
    desk.record("first", facts=facts, artifacts=(artifact,))
    if not kept:
        store.objects.path(digest).unlink()
    (desk.path / "mlrun.lock").write_text(
        json.dumps(
            {
                "version": 1,
                "data": {
                    "churn": {
                        "digest": digest,
                        "kind": "file",
                        "files": [{"path": "churn.csv", "size_bytes": size, "sha256": digest[7:]}],
                    }
                },
            }
        )
    )
    return digest


def rewrite(desk: Desk, number: int, change: Callable[[dict[str, object]], object]) -> None:
    """Change the body of an event, and make the chain whole again."""
    folder = desk.path / "mlrun-registry" / "churn"
    prev = ""
    for path in sorted(folder.glob("*.json")):
        plain = json.loads(path.read_bytes())
        if plain["number"] == number:
            change(plain["body"])
        plain["prev"] = prev
        event = Event(**{**plain, "digest": ""})
        event = Event(**{**plain, "digest": compute_event_digest(event)})
        path.write_bytes(encode(event))
        decode(path.read_bytes(), model="churn", number=event.number, prev=prev)
        prev = event.digest


def test_an_edited_event_is_rejected_and_every_other_pillar_says_that_it_was_not_checked(signed: Desk) -> None:
    path = signed.path / "mlrun-registry" / "churn" / "000001.json"
    path.write_text(path.read_text().replace("why not", "why so"))

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert pillar(record, "record")["said"] == (
        "the registry of 'churn' is damaged at event 000001: it is not what its digest says"
    )
    pillars = record["pillars"]
    assert isinstance(pillars, list)
    assert [(one["name"], one["status"]) for one in pillars] == [
        ("record", "fail"),
        ("code", "unchecked"),
        ("data", "unchecked"),
        ("interpreter", "unchecked"),
        ("environment", "unchecked"),
        ("randomness", "unchecked"),
        ("replay", "unchecked"),
    ]


@pytest.mark.slow
def test_a_chain_that_was_made_whole_again_is_rejected_by_the_signature(signed: Desk) -> None:
    rewrite(signed, 1, lambda body: body.update(run_digest="sha256:" + "0" * 64))

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert "is not the one registered as churn/1" in str(record["reason"])


@pytest.mark.slow
def test_another_run_under_the_registered_id_is_rejected(signed: Desk) -> None:
    made = Store.open(signed.path / ".pytest_mlrun")
    run = made.reader().runs()[0]
    shutil.rmtree(made.path)
    signed.record("first", run_id=run.run_id, metrics={"val_roc_auc": 0.99})

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    findings = pillar(record, "record")["findings"]
    assert isinstance(findings, list)
    assert findings[0] == f"run {run.short_id} is not the one registered as churn/1"
    assert findings[1] == f"registered {run.digest}"


@pytest.mark.slow
def test_a_byte_changed_in_the_runs_row_is_rejected(signed: Desk) -> None:
    (segment,) = (signed.path / ".pytest_mlrun" / "seg").glob("*.arrow")
    content = segment.read_bytes()
    segment.chmod(0o644)
    segment.write_bytes(content.replace(b"val_roc_auc", b"val_roc_auC"))

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert pillar(record, "record")["status"] == "fail"


@pytest.mark.slow
def test_an_approval_about_another_run_is_rejected(signed: Desk) -> None:
    def forge(body: dict[str, object]) -> None:
        statement = body["statement"]
        assert isinstance(statement, dict)
        statement["run_digest"] = "sha256:" + "0" * 64

    rewrite(signed, 2, forge)

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert "it approves another run" in str(pillar(record, "record")["findings"])


@pytest.mark.slow
def test_an_approval_whose_role_was_changed_is_rejected(signed: Desk) -> None:
    def forge(body: dict[str, object]) -> None:
        statement = body["statement"]
        assert isinstance(statement, dict)
        statement["role"] = "auditor"

    rewrite(signed, 2, forge)

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert "the approval of bob@example.org for production does not hold" in str(pillar(record, "record")["findings"])


@pytest.mark.slow
def test_an_approval_by_a_key_that_is_revoked_today_is_rejected(signed: Desk) -> None:
    config = (signed.path / "mlrun.toml").read_text()
    (signed.path / "mlrun.toml").write_text(config.replace("[registry]\n", '[registry]\nrevoked = "revoked"\n'))
    (signed.path / "revoked").write_bytes(signed.key("bob").with_suffix(".pub").read_bytes())
    signed.commit("bob lost his key")

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    assert record["reason"] == (
        "record: the approval of bob@example.org for production does not hold: the key that signed it is revoked"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "namespace", "lasts_us", "why"),
    [
        ("mallory", "mlrun-approve-ml-lead", None, "Could not verify signature."),
        ("bob", "mlrun-register", None, "namespace does not match"),
        ("bob", "mlrun-approve-ml-lead", 1, "it expired on "),
    ],
    ids=["unknown key", "signed in another namespace", "expired when it was promoted"],
)
def test_an_approval_that_nobody_may_count_is_rejected_whoever_made_the_chain_whole(
    signed: Desk, key: str, namespace: str, lasts_us: int | None, why: str
) -> None:
    approved = json.loads((signed.path / "mlrun-registry" / "churn" / "000002.json").read_bytes())

    def sign_again(body: dict[str, object]) -> None:
        statement = body["statement"]
        assert isinstance(statement, dict)
        if lasts_us is not None:
            statement["expires_us"] = approved["time_us"] + lasts_us
        body["signature"] = sign(canonical(statement), key=signed.key(key), namespace=namespace)

    rewrite(signed, 2, sign_again)

    code, record = audit(signed)

    assert (code, record["verdict"]) == (1, "REJECTED")
    findings = " ".join(map(str, pillar(record, "record")["findings"]))  # type: ignore[call-overload]
    assert re.search(f"bob@example.org for .* does not hold.*{why}", findings)
    assert pillar(record, "replay")["status"] == "unchecked"
    code, out, _ = signed.do("verify")
    assert (code, "churn/1 is 'production' with 0 of 1 approvals" in out) == (3, True)


@pytest.mark.slow
def test_an_approval_that_counted_once_counts_for_going_back_after_it_expired(
    signed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.register("second")
    signed.approve("churn/2", key="bob")
    assert signed.promote("churn/2")[0] == 0
    for clock in ("promoting", "log"):
        monkeypatch.setattr(f"pytest_mlrun.registry.{clock}.now_us", lambda: now_us() + 200 * 86_400_000_000)
    assert signed.promote("churn/1")[0] == 0
    signed.commit("back")

    _, record = audit(signed)

    assert pillar(record, "record")["status"] == "pass"


@pytest.mark.slow
def test_a_signer_who_has_left_since_then_still_approved_what_he_approved(signed: Desk) -> None:
    (signed.path / "signers").write_text(signed.signer("ada", "mlrun-register"))
    signed.commit("bob left")

    _, record = audit(signed)

    assert pillar(record, "record")["status"] == "pass"
    approvals = record["approvals"]
    assert isinstance(approvals, list)
    assert [(one["principal"], one["role"], one["reason"]) for one in approvals] == [("bob@example.org", "ml-lead", "")]
    assert str(approvals[0]["signers"]).startswith("sha256:")


def test_a_commit_that_is_not_here_is_named_with_what_fetches_it(desk: Desk) -> None:
    desk.record("first", facts={"code.commit": json.dumps("a" * 40)})

    code, record = audit(desk, "first")

    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    assert record["reason"] == "code: the commit aaaaaaaaaa is not in this repository"
    assert pillar(record, "code")["cure"] == "fetch what keeps it: git fetch origin 'refs/mlrun/*:refs/mlrun/*'"


@pytest.mark.slow
def test_a_shallow_clone_is_said_to_be_one(signed: Desk, tmp_path: Path) -> None:
    signed.commit("later")
    clone = tmp_path / "clone"
    signed.git("clone", "-q", "--depth", "1", f"file://{signed.remote}", str(clone))
    there = Desk(clone, signed.remote, signed.keys, signed.console, signed.make_run)

    _, record = audit(there, "churn@production", "--store", str(signed.path / ".pytest_mlrun"))

    code = pillar(record, "code")
    assert str(code["said"]).endswith("is not in this repository, whose history is cut off")
    assert code["cure"] == (
        "fetch what keeps it: git fetch origin 'refs/mlrun/churn-1:refs/mlrun/churn-1', or all: git fetch --unshallow"
    )


@pytest.mark.slow
def test_the_commit_is_found_by_its_ref_after_the_branch_was_deleted_and_collected(desk: Desk) -> None:
    desk.git("checkout", "-qb", "topic")
    (desk.path / "model.py").write_text("DEPTH = 3\n")
    desk.commit("a topic", push=False)
    desk.record("first")
    assert desk.do("register", "first", "--name", "churn", "--key", str(desk.key("ada")))[0] == 0
    desk.git("add", "-A")
    desk.git("stash", "-q")
    desk.git("checkout", "-q", "main")
    desk.git("stash", "pop", "-q")
    desk.git("branch", "-qD", "topic")
    desk.git("reflog", "expire", "--expire=now", "--all")
    desk.git("gc", "-q", "--prune=now")

    _, record = audit(desk, "churn/1")

    assert pillar(record, "code")["status"] == "pass"


@pytest.mark.slow
def test_a_byte_changed_in_a_git_object_is_found_though_git_does_not_look(desk: Desk) -> None:
    (desk.path / "model.py").write_text("DEPTH = 3\n")
    desk.commit("a model")
    desk.record("first")
    blob = desk.git("rev-parse", "HEAD:model.py")
    (desk.path / "other.py").write_text("DEPTH = 4\n")
    other = desk.git("hash-object", "-w", "other.py")
    objects = desk.path / ".git" / "objects"
    target = objects / blob[:2] / blob[2:]
    target.chmod(0o644)
    target.write_bytes((objects / other[:2] / other[2:]).read_bytes())

    code, record = audit(desk, "first")

    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    assert pillar(record, "code")["status"] == "fail"


def test_one_byte_of_the_kept_data_is_named_with_both_digests(desk: Desk) -> None:
    digest = record_with_data(desk)
    store = Store.open(desk.path / ".pytest_mlrun")
    path = store.objects.path(digest)
    path.chmod(0o644)
    path.write_bytes(ROWS.replace(b"41", b"42"))

    code, record = audit(desk, "first")

    found = "sha256:" + hashlib.sha256(ROWS.replace(b"41", b"42")).hexdigest()
    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    assert pillar(record, "data")["findings"] == [
        "data 'churn': an object is damaged: churn.csv is not what was kept",
        f"expected {digest}",
        f"found    {found}",
    ]


@pytest.mark.slow
def test_data_that_nobody_kept_and_that_changed_cannot_be_reproduced(desk: Desk) -> None:
    digest = record_with_data(desk, kept=False)
    (desk.path / "data").mkdir()
    (desk.path / "data" / "churn.csv").write_bytes(ROWS + b"18,1\n")

    code, record = audit(desk, "first")

    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    data = pillar(record, "data")
    assert data["said"] == "data 'churn': it is not kept, and changed at data/churn.csv"
    assert f"expected {digest}" in str(data["findings"])


@pytest.mark.slow
def test_data_that_nobody_kept_and_that_is_still_there_is_a_finding(desk: Desk) -> None:
    (desk.path / "mlrun.toml").write_text('[data.churn]\npath = "data/churn.csv"\n')
    (desk.path / ".gitignore").write_text(".pytest_mlrun/\ndata/\n")
    record_with_data(desk, kept=False)
    (desk.path / "data").mkdir()
    (desk.path / "data" / "churn.csv").write_bytes(ROWS)

    _, record = audit(desk, "first")

    assert pillar(record, "data")["status"] == "finding"
    assert "data 'churn' is not kept: it is still as recorded at data/churn.csv, by luck" in str(record["findings"])


@pytest.mark.slow
def test_a_run_without_data_says_that_nobody_knows_what_it_read(desk: Desk) -> None:
    desk.record("first", facts={"data.churn.digest": "null"})

    _, record = audit(desk, "first")

    assert pillar(record, "data")["status"] == "finding"
    assert "data: the run names no data: what it read" in str(record["findings"])


def test_what_cannot_be_named_is_a_mistake_and_no_verdict(desk: Desk) -> None:
    code, out, err = desk.do("audit")

    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: name what to audit: either a run or version, or an alias of all models",
        "  next:  pytest-mlrun audit churn@production, or: pytest-mlrun audit --alias production --all",
    ]


@pytest.mark.slow
def test_a_trial_inside_another_run_is_no_run_to_audit(desk: Desk) -> None:
    desk.record("first", parent_id="01900000-0000-7000-8000-0000deadbeef")

    code, out, err = desk.do("audit", "first")

    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith("is a trial inside another run, and no test of its own")
    assert err.splitlines()[-1] == "  next:  name that one: deadbeef"


@pytest.mark.slow
def test_an_audit_is_an_event_that_the_policy_counts_only_if_it_reproduced(signed: Desk) -> None:
    path = signed.path / "mlrun-registry" / "churn" / "000004.json"

    code, out, err = signed.do("audit", "churn@production", "--note", "the second quarter")

    event = json.loads(path.read_bytes())
    assert (code, event["kind"], event["note"]) == (1, "audited", "the second quarter")
    assert event["body"]["verdict"] == "NOT_REPRODUCIBLE"
    assert out.splitlines()[0] == "NOT_REPRODUCIBLE  churn/1"
    assert err.splitlines()[-1] == "commit it:  git add mlrun-registry/churn/000004.json"
    kept = Store.open(signed.path / ".pytest_mlrun").objects.read(event["body"]["report"])
    assert json.loads(kept)["subject"]["run_digest"] == event["body"]["run_digest"]
    assert signed.do("history", "churn")[1].splitlines()[-2].endswith("churn/1 audited: NOT_REPRODUCIBLE")


@pytest.mark.slow
def test_an_audit_of_another_run_than_the_version_has_damages_the_registry(signed: Desk) -> None:
    signed.do("audit", "churn@production")
    rewrite(signed, 4, lambda body: body.update(run_digest="sha256:" + "0" * 64, verdict="REPRODUCED"))

    code, out, _ = signed.do("verify")

    assert (code, "it is about another run than the version's" in out) == (3, True)


@pytest.mark.slow
def test_the_repository_and_its_index_are_byte_for_byte_what_they_were(signed: Desk) -> None:
    def everything() -> dict[str, bytes]:
        return {
            path.relative_to(signed.path).as_posix(): path.read_bytes()
            for path in sorted(signed.path.rglob("*"))
            if path.is_file() and ".pytest_mlrun" not in path.parts
        }

    before = everything()

    audit(signed)

    assert everything() == before


@pytest.mark.slow
def test_all_that_hold_an_alias_are_audited_and_summed_up(signed: Desk) -> None:
    code, out, err = signed.do("audit", "--alias", "production", "--all", "--no-event")

    assert code == 1
    assert out.splitlines()[0].startswith("NOT_REPRODUCIBLE  churn/1")
    assert signed.do("audit", "--alias", "nobody", "--all")[2].startswith("error: no model has the alias 'nobody'")
    assert err == ""
