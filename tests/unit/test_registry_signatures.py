"""Who may give an alias: signed approvals by people who neither wrote nor registered the version."""

from __future__ import annotations

import subprocess

import pytest

from pytest_mlrun.records.identity import now_us
from tests.unit.registry_desk import CONFIG, Desk

DAY_US = 86_400_000_000


@pytest.fixture
def signed(desk: Desk) -> Desk:
    """One version, registered and signed by ada, trained on a commit of hers."""
    desk.register("first")
    return desk


def reasons(said: str) -> str:
    """Return what a refused promotion says of approvals."""
    return next(line for line in said.splitlines() if line.startswith("  approvals"))


def test_an_approved_version_takes_the_alias(signed: Desk) -> None:
    approved = signed.approve("churn/1", key="bob")
    code, said = signed.promote("churn/1")

    assert (
        approved[1].splitlines()[0].startswith("churn/1 approved for production by bob@example.org as ml-lead, until")
    )
    assert (code, said.splitlines()[:2]) == (
        0,
        ["churn@production is churn/1", "  met:        approved by bob@example.org"],
    )
    assert signed.do("verify")[1].splitlines()[-1] == "the registry holds: 1 model, 3 events, 2 signatures"


def test_without_an_approval_the_missing_one_is_named_with_its_cure(signed: Desk) -> None:
    code, said = signed.promote("churn/1")

    assert (code, said.splitlines()[:3]) == (
        1,
        [
            "error: churn/1 cannot be 'production': 1 requirement is not met",
            "  approvals  0 of 1 by ml-lead",
            "             → ask for one: pytest-mlrun approve churn/1 production --note '…'",
        ],
    )


def test_an_unsigned_registration_is_never_promoted_where_approvals_count(desk: Desk) -> None:
    config = (desk.path / "mlrun.toml").read_text()
    (desk.path / "mlrun.toml").write_text("")
    desk.record("first")
    desk.do("register", "first", "--name", "churn")
    (desk.path / "mlrun.toml").write_text(config)
    desk.commit("unsigned")
    desk.approve("churn/1", key="bob")

    _, said = desk.promote("churn/1")

    assert reasons(said) == "  approvals  its registration is not signed, so nobody knows whom to exclude"


def test_who_registered_cannot_approve(desk: Desk) -> None:
    _let_sign(desk, "bob", "mlrun-register,mlrun-approve-ml-lead")
    desk.register("first", key="bob")

    code, said = desk.approve("churn/1", key="bob")

    assert (code, said.splitlines()[0]) == (2, "error: bob@example.org cannot approve churn/1: they registered it")


def test_a_key_that_registered_cannot_approve_under_another_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    line = desk.signer("bob", "mlrun-register,mlrun-approve-ml-lead").replace("bob@", "bob@example.org,robert@")
    (desk.path / "signers").write_text(line)
    desk.commit("bob has two names")
    desk.register("first", key="bob")
    with monkeypatch.context() as patch:  # as a program of his own would do it
        patch.setattr("pytest_mlrun.registry.approving._excluded", lambda *_: "")
        assert desk.approve("churn/1", key="bob")[0] == 0
    _rewrite(desk, 2, lambda body: {**body, "principal": "robert@example.org"})

    _, said = desk.promote("churn/1")

    assert reasons(said) == "  approvals  0 of 1 by ml-lead; robert@example.org: their key registered it"


@pytest.mark.parametrize("trailer", ["", "\n\nCo-authored-by: Bob <bob@example.org>"], ids=["author", "co-author"])
def test_who_wrote_the_commit_cannot_approve(trailer: str, desk: Desk) -> None:
    author = [] if trailer else ["--author=Bob <Bob@Example.org>"]
    desk.git("commit", "-q", "--allow-empty", "-m", f"a better model{trailer}", *author)
    desk.register("first")

    code, said = desk.approve("churn/1", key="bob")

    assert (code, said.splitlines()[0]) == (2, "error: bob@example.org cannot approve churn/1: they wrote its commit")


def test_a_key_of_another_role_cannot_approve(signed: Desk) -> None:
    _let_sign(signed, "carol", "mlrun-approve-risk")

    code, said = signed.approve("churn/1", key="carol")

    assert (code, said.splitlines()[0]) == (2, "error: the key carol may not sign for mlrun-approve-ml-lead")
    assert 'key is not permitted for use in signature namespace "mlrun-approve-ml-lead"' in said


def test_a_line_without_namespaces_lets_nobody_sign(signed: Desk) -> None:
    public = signed.key("carol").with_suffix(".pub").read_text()
    with (signed.path / "signers").open("a") as file:
        file.write(f"carol@example.org {public}")
    signed.commit("a key for commits")

    code, said = signed.approve("churn/1", key="carol")

    assert (code, "the protected branch does not know it" in said) == (2, True)


def test_an_unknown_key_cannot_approve(signed: Desk) -> None:
    code, said = signed.approve("churn/1", key="eve")

    assert (code, said.splitlines()[1]) == (2, "  the protected branch does not know it")


def test_who_adds_herself_on_her_branch_cannot_approve(signed: Desk) -> None:
    signed.git("checkout", "-q", "-b", "eve")
    with (signed.path / "signers").open("a") as file:
        file.write(signed.signer("eve", "mlrun-approve-ml-lead"))
    signed.git("commit", "-qam", "add myself")

    code, said = signed.approve("churn/1", key="eve")

    assert (code, said.splitlines()[:2]) == (
        2,
        [
            "error: the key eve may not sign for mlrun-approve-ml-lead",
            "  the protected branch does not know it",
        ],
    )


def test_an_expired_approval_does_not_count(signed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    signed.approve("churn/1", key="bob", more=("--expires", "1d"))
    monkeypatch.setattr("pytest_mlrun.registry.promoting.now_us", lambda: now_us() + 2 * DAY_US)

    _, said = signed.promote("churn/1")

    assert reasons(said).startswith("  approvals  0 of 1 by ml-lead; bob@example.org: it expired on 20")


def test_a_key_that_is_no_longer_valid_does_not_count(signed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    signed.approve("churn/1", key="bob")
    _let_sign(signed, "bob", "mlrun-approve-ml-lead", options=' valid-before="20200101"')

    _, said = signed.promote("churn/1")

    assert "0 of 1 by ml-lead; bob@example.org: the signature of bob@example.org" in reasons(said)


def test_a_revoked_key_does_not_count(signed: Desk) -> None:
    signed.approve("churn/1", key="bob")
    command = ["ssh-keygen", "-q", "-k", "-f", "revoked", str(signed.key("bob").with_suffix(".pub"))]
    subprocess.run(command, cwd=signed.path, check=True, timeout=60)
    (signed.path / "mlrun.toml").write_text(CONFIG.replace('"signers"', '"signers"\nrevoked = "revoked"'))
    signed.commit("revoke bob")

    _, said = signed.promote("churn/1")

    assert "0 of 1 by ml-lead; bob@example.org: the signature of bob@example.org" in reasons(said)


def test_one_person_is_no_quorum_of_two(signed: Desk) -> None:
    (signed.path / "mlrun.toml").write_text(CONFIG.replace("approvals = 1", "approvals = 2"))
    _let_sign(signed, "carol", "mlrun-approve-ml-lead")
    signed.approve("churn/1", key="bob")
    signed.approve("churn/1", key="bob")

    alone = signed.promote("churn/1")
    signed.approve("churn/1", key="carol")
    both = signed.promote("churn/1")

    assert reasons(alone[1]) == "  approvals  1 of 2 by ml-lead"
    assert (both[0], both[1].splitlines()[1]) == (
        0,
        "  met:        approved by bob@example.org, approved by carol@example.org",
    )


def test_one_key_under_two_names_is_no_quorum_of_two(signed: Desk) -> None:
    (signed.path / "mlrun.toml").write_text(CONFIG.replace("approvals = 1", "approvals = 2"))
    line = signed.signer("bob", "mlrun-approve-ml-lead")
    with (signed.path / "signers").open("a") as file:
        file.write(line.replace("bob@", "robert@"))
    signed.commit("another name")
    signed.approve("churn/1", key="bob")
    signed.approve("churn/1", key="bob")
    _rewrite(signed, 3, lambda body: {**body, "principal": "robert@example.org"})

    _, said = signed.promote("churn/1")

    assert reasons(said) == "  approvals  1 of 2 by ml-lead"


def test_an_approval_of_another_version_does_not_count(signed: Desk) -> None:
    signed.register("second")
    signed.approve("churn/1", key="bob")
    _rewrite(signed, 3, lambda body: {**body, "version": 2})

    _, said = signed.promote("churn/2")

    assert reasons(said) == "  approvals  0 of 1 by ml-lead; bob@example.org: it approves another run"


def test_a_statement_that_was_changed_after_it_was_signed_does_not_count(signed: Desk) -> None:
    signed.approve("churn/1", key="bob", more=("--expires", "1d"))
    _rewrite(signed, 2, lambda body: {**body, "statement": {**body["statement"], "expires_us": now_us() + 99 * DAY_US}})

    _, said = signed.promote("churn/1")
    verified = signed.do("verify")

    assert "0 of 1 by ml-lead; bob@example.org: the signature of bob@example.org" in reasons(said)
    assert verified[0] == 3
    assert (
        "damaged: event 000002 of 'churn': the signature of bob@example.org for mlrun-approve-ml-lead does not hold"
        in (verified[1].replace("; Could", "\n; Could"))
    )


def test_a_registrar_who_was_written_in_by_hand_is_found_out(signed: Desk) -> None:
    _let_sign(signed, "ada", "mlrun-register,mlrun-approve-ml-lead")
    _rewrite(signed, 1, lambda body: {**body, "principal": "mallory@example.org"})
    signed.approve("churn/1", key="bob")

    code, said = signed.promote("churn/1")

    assert (code, said.splitlines()[0]) == (
        2,
        "error: the registration of churn/1 is not signed by mallory@example.org",
    )
    assert signed.do("verify")[0] == 3


def test_an_author_who_was_taken_out_of_the_event_cannot_approve(desk: Desk) -> None:
    desk.git("commit", "-q", "--allow-empty", "-m", "a better model", "--author=Bob <bob@example.org>")
    desk.register("first")
    _rewrite(desk, 1, lambda body: {**body, "authors": []})

    code, said = desk.approve("churn/1", key="bob")

    assert (code, said.splitlines()[0]) == (2, "error: bob@example.org cannot approve churn/1: they wrote its commit")


@pytest.mark.parametrize(
    ("field", "value"), [("commit", "0" * 40), ("seed", 43), ("data", {}), ("params", {"depth": "4"}), ("files", [])]
)
def test_an_event_that_says_other_than_its_run_is_found_out(field: str, value: object, plain: Desk) -> None:
    _rewrite(plain, 1, lambda body: {**body, field: value})

    code, out, _ = plain.do("verify")

    assert code == 3
    assert f"damaged: churn/1 says another {field!r} than the record of run 00000001" in out.splitlines()


def test_a_promotion_that_was_written_by_hand_is_found_out(signed: Desk) -> None:
    signed.approve("churn/1", key="bob")
    signed.promote("churn/1")
    _rewrite(signed, 3, lambda body: {**body, "approvals": [], "policy": {**body["policy"], "approvals": 0}})

    code, out, _ = signed.do("verify")

    assert code == 3
    assert "damaged: event 000003 of 'churn': churn/1 is 'production' with 0 of 1 approvals" in out.splitlines()


def test_going_back_needs_no_new_approval_even_after_the_old_one_expired(
    signed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.register("second")
    for ref in ("churn/1", "churn/2"):
        signed.approve(ref, key="bob", more=("--expires", "1d"))
        signed.promote(ref)
    monkeypatch.setattr("pytest_mlrun.registry.promoting.now_us", lambda: now_us() + 2 * DAY_US)

    code, said = signed.promote("churn/1")

    assert (code, said.splitlines()[0]) == (0, "churn@production is churn/1, churn/2 before (archived)")


def test_without_ssh_keygen_nothing_is_approved_promoted_or_said_to_hold(
    signed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.approve("churn/1", key="bob")
    tools = signed.keys / "bin"
    tools.mkdir()
    (tools / "git").symlink_to(_which("git"))
    key = str(signed.key("bob"))
    monkeypatch.setenv("PATH", str(tools))

    approved = signed.do("approve", "churn/1", "production", "--note", "x", "--key", key)
    promoted = signed.promote("churn/1")
    verified = signed.do("verify")

    assert approved[0] == 2
    assert "ssh-keygen is not installed: nothing can be signed or verified" in approved[2]
    assert promoted[0] == 2
    assert verified[0] == 3


def test_signers_that_left_keep_what_they_signed(signed: Desk) -> None:
    signed.approve("churn/1", key="bob")
    signed.promote("churn/1")
    (signed.path / "signers").write_text(signed.signer("ada", "mlrun-register"))
    signed.commit("bob left")

    assert signed.do("verify")[0] == 0


def _let_sign(desk: Desk, name: str, namespaces: str, *, options: str = "") -> None:
    """Have a line merged: in place of the one that somebody has."""
    path = desk.path / "signers"
    others = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(f"{name}@")]
    path.write_text("".join(others) + desk.signer(name, namespaces, options=options))
    desk.commit(f"signers: {name}")


def _rewrite(desk: Desk, number: int, change: object) -> None:
    """Write an event anew, and all that follow, as somebody could who knows the format: the chain holds."""
    from dataclasses import replace

    from pytest_mlrun.registry.encoding import compute_event_digest, encode
    from pytest_mlrun.registry.log import path_of, read_events

    prev = ""
    for event in read_events(desk.path, "churn"):
        body = change(dict(event.body)) if event.number == number else event.body  # type: ignore[operator]
        fresh = replace(event, body=body, prev=prev)
        fresh = replace(fresh, digest=compute_event_digest(fresh))
        path_of(desk.path, fresh).write_bytes(encode(fresh))
        prev = fresh.digest


def _which(program: str) -> str:
    from shutil import which

    found = which(program)
    assert found is not None
    return found
