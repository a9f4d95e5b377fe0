"""What an audit would lack today, and the cure of each."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pytest_mlrun.records.run import Artifact
from pytest_mlrun.store.store import Store
from tests.unit.registry_desk import Desk

HASH = "sha256:" + "a" * 64


def examine(desk: Desk, *arguments: str) -> tuple[int, dict[str, tuple[bool, str, str]]]:
    """Return the exit code and, for each thing, whether it lacks, what is said and the cure."""
    code, out, err = desk.do("doctor", *arguments, "--json")
    assert out, err
    found = [json.loads(line) for line in out.splitlines()]
    return code, {one["what"]: (one["lacks"], one["said"], one["cure"]) for one in found}


def test_a_project_is_told_what_runs_to_come_would_lack(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.path / "mlrun.toml").write_text(
        '[data.churn]\npath = "churn.csv"\n[data.kept]\npath = "kept.csv"\nkeep = "copy"\n'
        '[registry]\nsigners = "nobody"\n'
    )
    (desk.path / "requirements.txt").write_text("numpy==2.0\n")

    code, found = examine(desk)

    assert code == 1
    assert found["git"] == (False, "the code is in a repository", "")
    assert found["lock file"][:2] == (True, "requirements.txt pins versions, not bytes")
    assert found["data churn"][0] is True
    assert found["data churn"][2] == 'write keep = "copy" under [data.churn] in mlrun.toml'
    assert found["data kept"] == (False, "runs keep a copy", "")
    assert found["signers"][:2] == (True, "nobody is not on the protected branch 'main'")
    # The console of a test has no PATH: nothing is found on it.
    assert found["ssh-keygen"][:2] == (True, "no signature can be verified or made")


def test_a_run_is_told_what_its_audit_would_lack(desk: Desk) -> None:
    store = Store.open(desk.path / ".pytest_mlrun", create=True)
    entries = [
        {"name": "numpy", "version": "2.0", "record": HASH},
        {"name": "scipy", "version": "1.0", "record": HASH},
        {"name": "house", "version": "1", "record": HASH, "url": "~/house", "editable": True},
        {"name": "old", "version": "1", "record": None},
    ]
    digest, size = store.objects.put_bytes(json.dumps({"distributions": entries}).encode())
    lock = f"numpy==2.0 --hash={HASH}\n"
    (desk.path / "requirements.txt").write_text(lock)
    desk.commit("a lock", push=False)
    locked = hashlib.sha256(lock.encode()).hexdigest()
    facts = {
        "env.python": '"3.1.4"',
        "env.lock": '"requirements.txt"',
        "env.lock_digest": json.dumps(f"sha256:{locked}"),
        "code.dirty": "true",
        "code.patch_omitted": json.dumps([{"path": ".env", "reason": "secret"}]),
        "rand.unpinned": '["jax"]',
    }
    artifact = Artifact("environment.json", digest, size, "application/json", "environment")
    desk.record("first", facts=facts, artifacts=(artifact,), metrics={})

    code, found = examine(desk, "first")

    assert code == 1
    assert {what: said for what, (lacks, said, _) in found.items() if lacks} == {
        "registration": "it is not registered: nothing outside the store says what its record is",
        "commit": f"{desk.git('rev-parse', 'HEAD')[:10]} is on this machine only",
        "clean tree": "it was trained on uncommitted changes: an audit applies the recorded patch, and says so",
        "patch": "it does not hold .env",
        "data churn": "no copy is kept, only its digest",
        "interpreter": "no cpython 3.1 is installed here; the record says 3.1.4",
        "lock file": "requirements.txt does not pin the bytes of scipy, old",
        "distributions": "house came from a folder outside the repository",
        "installed files": "the files of old are not known: their installer wrote no RECORD",
        "hash seed": "PYTHONHASHSEED was not set: the order of a set of texts is another in each process",
        "generators": "not pinned: jax",
        "metrics": "no metric was logged: nothing can be compared",
    }
    assert all(cure for lacks, _, cure in found.values() if lacks)


def test_a_metric_that_no_training_repeats_is_a_lack_until_the_recorded_file_says_what_holds_it(desk: Desk) -> None:
    config = (
        '[metrics.train_s]\nunit = "s"\n[metrics.eta_mae]\nunit = "min"\n[replay.tolerances]\neta_mae = { rel = 0 }\n'
    )
    (desk.path / "mlrun.toml").write_text(config)
    desk.commit("no tolerance", push=False)
    desk.record("first", metrics={"train_s": 2.5, "eta_mae": 1.0})
    (desk.path / "mlrun.toml").write_text(config + "train_s = { abs = inf }\n")
    desk.commit("held to nothing", push=False)
    desk.record("second", metrics={"train_s": 2.5, "eta_mae": 1.0})

    first, second, to_come = examine(desk, "first")[1], examine(desk, "second")[1], examine(desk)[1]

    assert first["metric train_s"][:2] == (
        True,
        "a time (s), which is another in each training: every audit will have diverged",
    )
    assert first["metric train_s"][2].startswith(
        "write train_s = { abs = inf } under [replay.tolerances] in mlrun.toml, and train again; if it is a result"
    )
    assert [what for found in (second, to_come) for what in found if what.startswith("metric ")] == []
    assert "metric eta_mae" not in first


def test_an_alias_on_the_way_to_one_that_asks_for_approvals_lacks_none(desk: Desk) -> None:
    config = (desk.path / "mlrun.toml").read_text()
    (desk.path / "mlrun.toml").write_text(config + 'predecessors = ["staging"]\n[aliases.staging]\n[aliases.demo]\n')

    _, found = examine(desk)

    assert {what: lacks for what, (lacks, _, _) in found.items() if what.startswith("alias ")} == {
        "alias production": False,
        "alias staging": False,
        "alias demo": True,
    }


def test_a_clone_without_a_store_is_told_which_run_it_must_have(desk: Desk) -> None:
    desk.register("first")
    run = Store.open(desk.path / ".pytest_mlrun").reader().find("first")
    shutil.rmtree(desk.path / ".pytest_mlrun")

    said = [desk.do(verb, "churn/1") for verb in ("show", "doctor", "audit", "replay")]

    assert [code for code, _, _ in said] == [2, 2, 2, 2]
    assert {err.splitlines()[0] for _, _, err in said} == {
        f"error: the run of churn/1 is in no store here: {run.short_id}"
    }
    assert "digest       sha256:" in said[0][1]


def test_what_is_said_never_touches_the_name_of_what_it_is_about(desk: Desk) -> None:
    (desk.path / "mlrun.toml").write_text('[data.a_long_name_of_data]\npath = "churn.csv"\nkeep = "copy"\n')

    _, out, _ = desk.do("doctor")

    assert "ok      data a_long_name_of_data  runs keep a copy\n" in out


@pytest.mark.slow
def test_a_commit_that_the_remote_keeps_is_no_lack(desk: Desk) -> None:
    desk.register("first")

    _, found = examine(desk, "churn/1")

    assert found["registration"] == (False, "churn/1, signed by ada@example.org", "")
    assert found["commit"] == (
        False,
        f"{desk.git('rev-parse', 'HEAD~1')[:10]} is kept by its ref, on the remote too",
        "",
    )


@pytest.mark.slow
def test_each_lack_stands_above_its_cure_and_they_are_counted(desk: Desk, tmp_path: Path) -> None:
    desk.record("first")

    code, out, _ = desk.do("doctor", "first")

    lines = out.splitlines()
    assert (code, lines[-1]) == (1, "an audit of first would lack 5 things")
    assert lines[0].startswith("lacks   registration   it is not registered")
    assert lines[1].strip().startswith("→ pytest-mlrun register ")
