"""A fact is computed by one process and read by the others."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_mlrun.errors import StoreError, StoreWriteError
from pytest_mlrun.store.shared import LOCK_TIMEOUT_S, Shared


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


class Counting:
    def __init__(self, value: dict[str, object]) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> dict[str, object]:
        self.calls += 1
        return self.value


def test_the_first_asker_computes_and_the_second_reads(store: Path) -> None:
    compute = Counting({"cores": 2})

    answers = [Shared(store).once("machine", compute), Shared(store).once("machine", compute)]

    assert answers == [{"cores": 2}, {"cores": 2}]
    assert compute.calls == 1


def test_the_computing_process_gets_what_the_others_get(store: Path) -> None:
    shared = Shared(store)

    computed = shared.once("k", lambda: {"files": ("a", 1), "nested": {"x": None}})

    assert computed == shared.get("k") == {"files": ["a", 1], "nested": {"x": None}}


def test_after_a_failed_computation_the_next_asker_computes(store: Path) -> None:
    shared = Shared(store)

    def fail() -> dict[str, object]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared.once("k", fail)

    assert shared.get("k") is None
    assert shared.once("k", lambda: {"v": 1}) == {"v": 1}


def test_after_a_crash_of_the_computing_process_the_next_asker_computes(store: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pytest_mlrun.store.shared import Shared\n"
        "Shared(Path(sys.argv[1])).once('k', lambda: os._exit(9))"
    )
    dead = subprocess.run([sys.executable, "-c", script, str(store)], check=False)

    assert dead.returncode == 9
    assert Shared(store, timeout_s=5).once("k", lambda: {"v": 1}) == {"v": 1}


def test_of_many_askers_at_once_one_computes(store: Path) -> None:
    compute = Counting({"v": 1})
    ready = threading.Barrier(4)
    answers: list[object] = []

    def ask() -> None:
        ready.wait()
        answers.append(Shared(store).once("k", compute))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [{"v": 1}] * 4
    assert compute.calls == 1


def test_waiting_has_an_end(store: Path) -> None:
    with (
        Shared(store).lock("k"),
        pytest.raises(StoreError, match="not free within 0 s") as caught,
        Shared(store, timeout_s=0).lock("k"),
    ):
        pass

    assert "lsof" in caught.value.next_step
    assert LOCK_TIMEOUT_S == 1800


def test_a_lock_on_one_key_leaves_the_others_free(store: Path) -> None:
    shared = Shared(store, timeout_s=0)

    with shared.lock("a"):
        assert shared.once("b", lambda: {"v": 1}) == {"v": 1}


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "/absolute/root", "a/b", "", ".", "..", "x" * 5000, "tab\tnul\0", "\udcff", "日本", "a:b*?"],
)
def test_any_text_is_a_key_and_stays_in_the_folder(store: Path, key: str) -> None:
    shared = Shared(store)

    shared.put(key, {"v": key.isascii()})

    assert shared.get(key) == {"v": key.isascii()}
    assert [file.parent for file in store.rglob("*.json")] == [store / "shared"]
    assert shared.folder(key).parent == store / "shared"


def test_keys_that_differ_only_in_what_file_names_cannot_hold_are_two_facts(store: Path) -> None:
    shared = Shared(store)

    for number, key in enumerate(("a/b", "a_b", "a:b", "A/B")):
        shared.put(key, {"v": number})

    assert [shared.get(key) for key in ("a/b", "a_b", "a:b", "A/B")] == [{"v": 0}, {"v": 1}, {"v": 2}, {"v": 3}]


def test_a_later_fact_replaces_an_earlier_one(store: Path) -> None:
    shared = Shared(store)
    shared.put("k", {"v": 1})

    shared.put("k", {"v": 2})

    assert shared.get("k") == {"v": 2}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\0" * 40, b"[]", b'{"key": "k"}', b'{"key": "k", "value": 3}', b"\xff"]
)
def test_an_unreadable_fact_is_computed_again(store: Path, content: bytes) -> None:
    shared = Shared(store)
    shared.put("k", {"v": 1})
    (file,) = (store / "shared").glob("*.json")
    file.write_bytes(content)

    assert shared.get("k") is None
    assert shared.once("k", lambda: {"v": 2}) == {"v": 2}


def test_forgetting_a_prefix_keeps_the_other_facts(store: Path) -> None:
    shared = Shared(store)
    for key in ("s1-/a", "s1-/b", "s2-/a"):
        shared.once(key, lambda: {"v": 1})
    (shared.folder("s1-/a") / "fetched.bin").write_bytes(b"x")

    shared.forget("s1-")

    assert shared.get("s1-/a") is None
    assert shared.get("s1-/b") is None
    assert shared.get("s2-/a") == {"v": 1}
    assert sorted(path.suffix for path in (store / "shared").iterdir()) == [".json", ".lock"]


def test_forgetting_leaves_a_lock_that_somebody_holds(store: Path) -> None:
    shared = Shared(store, timeout_s=0)
    shared.put("k", {"v": 1})

    with shared.lock("k"):
        shared.forget("k")

        with pytest.raises(StoreError, match="not free"), shared.lock("k"):
            pass


def test_forgetting_before_anything_was_shared_does_nothing(store: Path) -> None:
    Shared(store).forget("")

    assert list(store.iterdir()) == []


def test_a_store_that_cannot_be_written_says_so(store: Path) -> None:
    (store / "shared").write_text("a file where the folder should be")

    with pytest.raises(StoreWriteError, match="the run store cannot be written"):
        Shared(store).once("k", lambda: {"v": 1})
    with pytest.raises(StoreWriteError, match="the run store cannot be written"):
        Shared(store).folder("k")
