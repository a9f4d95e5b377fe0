"""The registry through its verbs: versions, aliases, history, endpoints, files."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.errors import RegistryError
from pytest_mlrun.records.event import Value
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.log import append, read_events
from pytest_mlrun.registry.resolve import resolve
from tests.unit.registry_desk import DATA, MODEL, Desk


def test_registering_names_the_version_what_to_commit_and_what_to_push(desk: Desk) -> None:
    (desk.path / "mlrun.toml").write_text("")
    run = desk.record("first")

    code, out, _ = desk.do("register", "first", "--name", "churn")

    assert (code, out.splitlines()) == (
        0,
        [
            f"churn/1: run {run.short_id}  first",
            "  commit it:  git add mlrun-registry",
            "  then push:  git push origin HEAD refs/mlrun/churn-1",
        ],
    )
    assert desk.git("rev-parse", "refs/mlrun/churn-1") == desk.git("rev-parse", "HEAD")


def test_versions_count_on_and_a_run_is_registered_once(plain: Desk) -> None:
    plain.record("third")

    again = plain.do("register", "first", "--name", "churn")
    third = plain.do("register", "third", "--name", "churn")
    other = plain.do("register", "first", "--name", "churn-eu")

    assert (again[0], again[2].splitlines()[0]) == (2, "error: run 00000001 is churn/1 already")
    assert [third[1].split(":")[0], other[1].split(":")[0]] == ["churn/3", "churn-eu/1"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"outcome": "failed", "cause": "gate"}, "it failed: gate"),
        ({"status": "killed", "outcome": "error"}, "it is killed"),
        ({"facts": {"pinned": "false"}}, "it was recorded outside pytest, unpinned"),
        ({"artifacts": ()}, "it logged no model"),
    ],
    ids=["failed", "killed", "unpinned", "no model"],
)
def test_a_run_that_can_be_no_version_is_refused(changes: dict[str, object], found: str, desk: Desk) -> None:
    desk.record("bad", **changes)

    code, _, err = desk.do("register", "bad", "--name", "churn")

    assert (code, err.splitlines()[0]) == (2, f"error: run 00000001 cannot be registered: {found}")
    assert not (desk.path / "mlrun-registry").exists()


@pytest.mark.parametrize("name", ["../churn", "a/b", "churn@x", "", "-x", "churn.lock", "a..b"])
def test_a_name_that_could_leave_its_folder_or_break_a_git_ref_is_refused(name: str, desk: Desk) -> None:
    (desk.path / "mlrun.toml").write_text("")
    desk.record("first")

    code, _, err = desk.do("register", "first", f"--name={name}")

    assert code == 2
    assert "cannot name a model" in err or "--name is needed" in err


def test_of_a_run_that_judged_a_winner_the_winner_is_registered(desk: Desk) -> None:
    (desk.path / "mlrun.toml").write_text("")
    winner = desk.record("winner")
    judge = desk.record("judge", artifacts=(), facts={"selection.winner": json.dumps(winner.run_id)})

    _, out, _ = desk.do("register", "judge", "--name", "churn", "--json")

    registered = json.loads(out)
    assert (registered["run_id"], registered["judge_id"]) == (winner.run_id, judge.run_id)


def test_promoting_moves_an_alias_and_says_who_had_it(plain: Desk) -> None:
    first = plain.promote("churn/1", "champion")
    second = plain.promote("churn/2", "champion")
    back = plain.promote("models:/churn/1", "champion")

    assert [first[1].splitlines()[0], second[1].splitlines()[0], back[1].splitlines()[0]] == [
        "churn@champion is churn/1",
        "churn@champion is churn/2, churn/1 before",
        "churn@champion is churn/1, churn/2 before",
    ]
    assert resolve(plain.path, "churn@champion").version == 1


def test_the_version_before_is_archived_in_the_same_event_and_comes_back_with_its_alias(plain: Desk) -> None:
    (plain.path / "mlrun.toml").write_text("[aliases.production]\narchives = true\n")
    plain.promote("churn/1")

    said = plain.promote("churn/2")[1]

    assert said.splitlines()[0] == "churn@production is churn/2, churn/1 before (archived)"
    assert _aliases(plain) == {"churn/1": (True, []), "churn/2": (False, ["production"])}
    plain.promote("churn/1")
    assert _aliases(plain) == {"churn/1": (False, ["production"]), "churn/2": (True, [])}
    assert len(list((plain.path / "mlrun-registry" / "churn").glob("*.json"))) == 5


def test_what_a_policy_requires_is_read_from_the_records(plain: Desk) -> None:
    policy = 'requires = ["clean_tree", "data_kept", "gates_passed", "replayed"]'
    (plain.path / "mlrun.toml").write_text(f"[aliases.production]\n{policy}\n")
    facts = {"data.churn.kept": '"copy"'}
    plain.record("kept", facts=facts)
    plain.record("dirty", gates=(), facts={**facts, "code.dirty": "true"})
    for name in ("kept", "dirty"):
        plain.do("register", name, "--name", "churn")
    plain.commit("register")
    for version in (3, 4):
        body: dict[str, Value] = {"version": version, "verdict": "REPRODUCED"}
        events = read_events(plain.path, "churn")
        append(plain.path, events, model="churn", kind="audited", who="eva@ci", note="quarterly", body=body)

    bare, kept, dirty = plain.promote("churn/1"), plain.promote("churn/3"), plain.promote("churn/4")

    assert (bare[0], _unmet(bare[1])) == (1, ["data_kept", "replayed"])
    assert kept[1].splitlines()[:2] == [
        "churn@production is churn/3",
        "  met:        clean_tree, data_kept, gates_passed, replayed",
    ]
    assert (dirty[0], _unmet(dirty[1])) == (1, ["clean_tree", "gates_passed"])


def test_a_promotion_needs_a_note_and_changes_nothing_without(plain: Desk) -> None:
    code, _, err = plain.do("promote", "churn/1", "champion")

    assert (code, err.splitlines()[0]) == (2, "error: --note is needed: it is what history shows")
    assert _aliases(plain) == {"churn/1": (False, []), "churn/2": (False, [])}


def test_a_commit_that_one_machine_keeps_is_not_promoted(plain: Desk) -> None:
    plain.git("push", "-q", "origin", "--delete", "refs/mlrun/churn-1")

    code, said = plain.promote("churn/1", "champion")

    assert (code, said.splitlines()[0]) == (2, "error: the commit of churn/1 is kept on this machine only")
    assert said.splitlines()[-1] == "  next:  git push origin refs/mlrun/churn-1"


@pytest.mark.parametrize(
    ("ref", "version"),
    [
        ("churn/2", 2),
        ("churn@champion", 1),
        ("models:/churn/2", 2),
        ("models:/churn@champion", 1),
        ("models:/churn/Champion", 1),
    ],
)
def test_every_spelling_of_a_version_names_it_where_a_run_is_named(ref: str, version: int, plain: Desk) -> None:
    plain.promote("churn/1", "champion")

    code, out, _ = plain.do("show", ref, "--json")

    assert code == 0
    assert json.loads(out)["name"] == {1: "first", 2: "second"}[version]
    assert resolve(plain.path, ref).version == version


@pytest.mark.parametrize(
    ("ref", "headline"),
    [
        ("churn/9", "there is no churn/9"),
        ("churn@champoin", "no version of 'churn' is 'champoin'; did you mean 'champion'?"),
        ("chrn/1", "there is no model 'chrn'; did you mean 'churn'?"),
        ("churn", "'churn' names no model version"),
        ("churn/0", "'churn/0' names no model version"),
        ("../x/1", "'../x/1' names no model version"),
    ],
)
def test_a_name_of_no_version_is_an_error_that_helps(ref: str, headline: str, plain: Desk) -> None:
    plain.promote("churn/1", "champion")

    with pytest.raises(RegistryError) as caught:
        resolve(plain.path, ref)

    assert caught.value.headline == headline


def test_a_registered_run_is_found_with_its_digest(plain: Desk) -> None:
    version = resolve(plain.path, "churn/1")

    stored = json.loads(plain.do("show", "churn/1", "--json")[1])

    assert (version.run_id, version.run_digest) == (stored["run_id"], stored["digest"])
    assert (version.seed, version.data, version.params) == (42, {"churn": DATA}, {"depth": "3"})
    assert version.authors == ("ada@example.org",)


def test_one_screen_says_run_commit_data_seed_params_and_approval(plain: Desk) -> None:
    plain.promote("churn/1", "champion")

    _, out, _ = plain.do("show", "churn@champion")

    for wanted in (
        "churn/1  ·  champion",
        "approved     by nobody",
        "audited      never",
        "run          01900000-0000-7000-8000-000000000001",
        "  depth  3",
        f"code         {plain.git('rev-parse', 'refs/mlrun/churn-1')[:10]}  ·  clean",
        "data         churn  ·  sha256:dddddddd…",
        "randomness   seed 42",
    ):
        assert wanted in out.splitlines()


def test_without_the_store_the_registry_still_says_what_it_knows(plain: Desk) -> None:
    (plain.path / ".pytest_mlrun").rename(plain.remote / "elsewhere")

    code, out, err = plain.do("show", "churn/1")

    assert code == 2
    assert f"data         churn  {DATA}" in out.splitlines()
    assert "randomness   seed 42" in out.splitlines()
    assert err.startswith("error: the run of churn/1 is in no store here: ")


def test_history_is_the_changelog(plain: Desk) -> None:
    plain.promote("churn/1", "champion")

    lines = plain.do("history", "churn")[1].splitlines()

    assert [line[27:] for line in lines[::2]] == [
        "churn/1 registered: run 00000001, not signed",
        "churn/2 registered: run 00000002, not signed",
        "churn/1 is champion",
    ]
    assert [line.split(": ")[1] for line in lines[1::2]] == ["the first", "the second", "because"]


def test_models_at_a_day_are_those_of_that_day(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    today = f"{datetime.now(tz=UTC).astimezone():%Y-%m-%d}"

    then = plain.do("models", "--at", "2020-02-29")
    now = plain.do("models", "--at", today)

    assert (then[0], then[1]) == (0, "")
    assert "no model version at that time" in then[2]
    assert [line.split()[:2] for line in now[1].splitlines()[1:]] == [["churn/2", "-"], ["churn/1", "champion"]]


def test_whence_finds_a_version_by_endpoint_digest_and_file(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    plain.do("endpoint", "add", "https://ml/churn", "churn@champion")
    plain.do("endpoint", "add", "batch-job", "churn/1")
    served = plain.path / "found.bin"
    served.write_bytes(MODEL + b"second")
    digest = hashlib.sha256(MODEL + b"first").hexdigest()

    first = [plain.do("whence", thing, "--json") for thing in ("https://ml/churn", digest[:12], "sha256:" + digest)]
    second = plain.do("whence", "found.bin", "--json")

    assert [json.loads(out)["version"] for _, out, _ in first] == ["churn/1"] * 3
    assert json.loads(first[0][1])["endpoints"] == ["https://ml/churn", "batch-job"]
    assert json.loads(second[1])["version"] == "churn/2"


def test_an_endpoint_follows_its_alias_and_can_be_removed(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    plain.do("endpoint", "add", "https://ml/churn", "churn@champion")
    plain.promote("churn/2", "champion")

    followed = json.loads(plain.do("whence", "https://ml/churn", "--json")[1])["version"]
    twice = plain.do("endpoint", "add", "https://ml/churn", "churn/1")
    removed = plain.do("endpoint", "remove", "https://ml/churn")
    gone = plain.do("whence", "https://ml/churn")

    assert followed == "churn/2"
    assert twice[2].splitlines()[0] == "error: https://ml/churn serves 'churn' already"
    assert removed[1].splitlines()[0] == "https://ml/churn serves churn no longer"
    assert (gone[0], gone[2].splitlines()[0]) == (2, "error: no model version is https://ml/churn")


def test_fetch_writes_the_verified_files_and_what_they_are(plain: Desk) -> None:
    plain.promote("churn/1", "champion")

    code, _, _ = plain.do("fetch", "churn@champion", "-o", "served")

    about = json.loads((plain.path / "served" / "model.json").read_text())
    assert code == 0
    assert (plain.path / "served" / "model.skops").read_bytes() == MODEL + b"first"
    assert (about["version"], about["data"], about["commit"]) == (
        "churn/1",
        {"churn": DATA},
        plain.git("rev-parse", "refs/mlrun/churn-1"),
    )


def test_fetch_writes_nothing_if_a_byte_is_not_what_was_registered(plain: Desk) -> None:
    digest = hashlib.sha256(MODEL + b"first").hexdigest()
    stored = plain.path / ".pytest_mlrun" / "objects" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"another model!")

    code, _, _ = plain.do("fetch", "churn/1", "-o", "served")

    assert code == 3
    assert not (plain.path / "served").exists()


def test_another_run_under_the_registered_id_is_damage(plain: Desk) -> None:
    (plain.path / ".pytest_mlrun").rename(plain.remote / "elsewhere")
    plain.record("first", run_id=_first(plain).run_id, params={"depth": "4"})

    shown = plain.do("show", "churn/1")
    verified = plain.do("verify")

    assert (shown[0], shown[2].splitlines()[0]) == (3, "error: run 00000001 is not the one registered as churn/1")
    assert verified[0] == 3
    assert "damaged: run 00000001 is not the one registered as churn/1: its digest differs" in verified[1]


def _unmet(said: str) -> list[str]:
    lines = [line.split() for line in said.splitlines() if line.startswith("  ")]
    return [words[0] for words in lines if words[0] not in {"→", "where:", "next:"}]


def _first(desk: Desk) -> RunRecord:
    import pytest_mlrun

    return pytest_mlrun.open_store(desk.remote / "elsewhere").runs()[0]


def _aliases(desk: Desk) -> dict[str, tuple[bool, list[str]]]:
    lines = [json.loads(line) for line in desk.do("models", "--json")[1].splitlines()]
    return {line["version"]: (line["archived"], line["aliases"]) for line in lines}


def test_the_tables_of_a_narrow_terminal_fit(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    console = plain.console(folder=Path(plain.path), width=60)
    main(["models"], console=console)
    main(["history", "churn"], console=console)

    lines = console.out.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 60
