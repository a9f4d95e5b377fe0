"""Nothing trains on data that is not what was locked, and nothing is hashed twice."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.errors import DataChangedError, DataError
from pytest_mlrun.pillars.snapshots.lockfile import write_lock
from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.verify import VerifiedCache, verify_snapshot
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.records.snapshot import Manifest
from pytest_mlrun.store.remote import fetch_uri
from pytest_mlrun.store.shared import Shared

CHURN = DataSource("churn", "data/churn")


class Counting:
    """A hasher that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> Manifest:
        self.calls += 1
        return hash_source(path)


def later() -> int:
    """Return a time at which files written now are no longer fresh."""
    return time.time_ns() + 60_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "data" / "churn"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"1,2,3\n")
    (folder / "b.csv").write_bytes(b"4,5,6\n")
    return tmp_path / "project"


@pytest.fixture
def cache(tmp_path: Path) -> Shared:
    return Shared(tmp_path / "store")


@pytest.fixture
def locked(root: Path) -> Manifest:
    return hash_source(root / "data" / "churn")


def test_unchanged_data_is_returned_as_a_snapshot(root: Path, locked: Manifest) -> None:
    snapshot = verify_snapshot(CHURN, root, locked)

    assert snapshot.name == "churn"
    assert snapshot.path == root / "data" / "churn"
    assert snapshot.source == "data/churn"
    assert snapshot.manifest == locked
    assert os.fspath(snapshot) == str(root / "data" / "churn")
    assert (snapshot / "a.csv").read_bytes() == b"1,2,3\n"


def test_a_path_may_be_absolute(root: Path, locked: Manifest, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"

    snapshot = verify_snapshot(replace(CHURN, source=str(root / "data" / "churn")), elsewhere, locked)

    assert snapshot.path == root / "data" / "churn"


def test_a_single_file_may_be_moved(root: Path) -> None:
    file = root / "data" / "churn" / "a.csv"
    locked = hash_source(file)
    file.rename(root / "renamed.csv")

    assert verify_snapshot(replace(CHURN, source="renamed.csv"), root, locked).manifest == locked


def test_data_that_was_never_locked_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"^data 'churn' has no digest in mlrun.lock") as caught:
        verify_snapshot(CHURN, root, None)

    assert caught.value.next_step == "pytest-mlrun data lock churn"
    assert caught.value.where == str(root / "mlrun.lock")


def test_missing_data_is_refused(root: Path, locked: Manifest) -> None:
    with pytest.raises(DataError, match=r"^data 'churn' was not found: data/gone.csv") as caught:
        verify_snapshot(replace(CHURN, source="data/gone.csv"), root, locked)

    assert caught.value.where == str(root / "data" / "gone.csv")
    assert "[data.churn]" in caught.value.next_step


def test_a_tilde_is_not_expanded(root: Path, locked: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))

    with pytest.raises(DataError, match="'~' is not expanded"):
        verify_snapshot(replace(CHURN, source="~/data/churn"), root, locked)


@pytest.mark.parametrize("source", [".", "..", "data/.."])
def test_the_project_s_own_folder_is_no_data(root: Path, locked: Manifest, source: str) -> None:
    with pytest.raises(DataError, match=r"data 'churn' is the folder of mlrun.toml itself"):
        verify_snapshot(replace(CHURN, source=source), root, locked)


def test_one_changed_byte_is_found_and_named(root: Path) -> None:
    file = root / "data" / "churn" / "a.csv"
    locked = hash_source(file)
    file.write_bytes(b"1,2,4\n")
    found = hash_source(file)

    with pytest.raises(DataChangedError) as caught:
        verify_snapshot(replace(CHURN, source="data/churn/a.csv"), root, locked)

    assert str(caught.value) == (
        f"data 'churn' changed: expected sha256 {locked.digest[7:13]}…, found {found.digest[7:13]}…\n"
        "  changed: a.csv (still 6 bytes)\n"
        "  where: data/churn/a.csv\n"
        "  next:  if intended: pytest-mlrun data lock churn"
    )
    assert len(caught.value.headline) <= 72


def test_files_that_changed_appeared_and_vanished_are_named(root: Path, locked: Manifest) -> None:
    folder = root / "data" / "churn"
    (folder / "a.csv").write_bytes(b"longer than before\n")
    (folder / "b.csv").unlink()
    (folder / "c").mkdir()
    (folder / "c" / "new.csv").touch()

    with pytest.raises(DataChangedError) as caught:
        verify_snapshot(CHURN, root, locked)

    assert caught.value.details == ("changed: a.csv (6 → 19 bytes)", "appeared: c/new.csv", "vanished: b.csv")


def test_of_many_files_ten_of_each_sort_are_named(root: Path, locked: Manifest) -> None:
    for number in range(25):
        (root / "data" / "churn" / f"new{number:02}.csv").touch()

    with pytest.raises(DataChangedError) as caught:
        verify_snapshot(CHURN, root, locked)

    assert caught.value.details[0] == "appeared: new00.csv"
    assert caught.value.details[9:] == ("appeared: new09.csv", "appeared: and 15 more")


def test_a_folder_in_place_of_a_file_is_said_to_be_one(root: Path) -> None:
    locked = hash_source(root / "data" / "churn" / "a.csv")

    with pytest.raises(DataChangedError) as caught:
        verify_snapshot(CHURN, root, locked)

    assert caught.value.details == ("was a file, is a folder",)


def test_without_a_cache_every_call_hashes(root: Path, locked: Manifest) -> None:
    hasher = Counting()

    for _ in range(2):
        verify_snapshot(CHURN, root, locked, hasher=hasher, clock_ns=later)

    assert hasher.calls == 2


def test_with_a_cache_untouched_data_is_hashed_once(root: Path, locked: Manifest, cache: Shared) -> None:
    hasher = Counting()

    snapshots = [verify_snapshot(CHURN, root, locked, cache=cache, hasher=hasher, clock_ns=later) for _ in range(3)]

    assert hasher.calls == 1
    assert snapshots[0] == snapshots[2]


def change_and_restore_times(folder: Path) -> None:
    before = (folder / "a.csv").stat()
    (folder / "a.csv").write_bytes(b"1,2,4\n")
    os.utime(folder / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_with_a_copy_of_the_same_times(folder: Path) -> None:
    before = (folder / "a.csv").stat()
    (folder / "t").write_bytes(b"1,2,4\n")
    os.utime(folder / "t", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / "t").rename(folder / "a.csv")


def add_file(folder: Path) -> None:
    (folder / "c.csv").touch()


def remove_file(folder: Path) -> None:
    (folder / "b.csv").unlink()


def rename_file(folder: Path) -> None:
    (folder / "b.csv").rename(folder / "c.csv")


def swap_files(folder: Path) -> None:
    (folder / "a.csv").rename(folder / "t")
    (folder / "b.csv").rename(folder / "a.csv")
    (folder / "t").rename(folder / "b.csv")


@pytest.mark.parametrize(
    "change",
    [
        change_and_restore_times,
        replace_with_a_copy_of_the_same_times,
        add_file,
        remove_file,
        rename_file,
        swap_files,
    ],
)
def test_no_change_hides_from_the_cache(
    root: Path, locked: Manifest, cache: Shared, change: Callable[[Path], None]
) -> None:
    verify_snapshot(CHURN, root, locked, cache=cache, clock_ns=later)

    change(root / "data" / "churn")

    with pytest.raises(DataChangedError, match="data 'churn' changed"):
        verify_snapshot(CHURN, root, locked, cache=cache, clock_ns=later)


def test_a_changed_snapshot_stays_changed(root: Path, locked: Manifest, cache: Shared) -> None:
    change_and_restore_times(root / "data" / "churn")

    for _ in range(2):
        with pytest.raises(DataChangedError):
            verify_snapshot(CHURN, root, locked, cache=cache, clock_ns=later)


def test_files_that_were_touched_but_not_changed_are_hashed_again(root: Path, locked: Manifest, cache: Shared) -> None:
    hasher = Counting()
    verify_snapshot(CHURN, root, locked, cache=cache, hasher=hasher, clock_ns=later)

    os.utime(root / "data" / "churn" / "a.csv", (1, 1))
    verify_snapshot(CHURN, root, locked, cache=cache, hasher=hasher, clock_ns=later)

    assert hasher.calls == 2


def test_files_written_less_than_two_seconds_ago_are_not_trusted(root: Path, locked: Manifest, cache: Shared) -> None:
    hasher = Counting()
    newest_ns = max(file.stat().st_ctime_ns for file in (root / "data" / "churn").iterdir())
    for clock in (lambda: newest_ns + 2_000_000_000, lambda: newest_ns + 2_000_000_001, later):
        verify_snapshot(CHURN, root, locked, cache=cache, hasher=hasher, clock_ns=clock)

    assert hasher.calls == 2


def test_a_file_dated_in_the_future_is_not_trusted(root: Path, locked: Manifest, cache: Shared) -> None:
    hasher = Counting()
    os.utime(root / "data" / "churn" / "a.csv", (4e9, 4e9))

    for _ in range(2):
        verify_snapshot(CHURN, root, locked, cache=cache, hasher=hasher, clock_ns=later)

    assert hasher.calls == 2


def test_another_lock_does_not_trust_what_this_one_verified(root: Path, locked: Manifest, cache: Shared) -> None:
    verify_snapshot(CHURN, root, locked, cache=cache, clock_ns=later)
    other = replace(locked, digest=f"sha256:{'0' * 64}")

    with pytest.raises(DataChangedError, match="expected sha256 000000…"):
        verify_snapshot(CHURN, root, other, cache=cache, clock_ns=later)


def test_a_copy_elsewhere_is_hashed_for_itself(root: Path, locked: Manifest, cache: Shared, tmp_path: Path) -> None:
    hasher = Counting()
    copy = tmp_path / "copy"
    (copy / "data").mkdir(parents=True)
    (root / "data" / "churn").rename(copy / "data" / "churn")
    (root / "data" / "churn").symlink_to(copy / "data" / "churn")

    for project in (root, copy):
        verify_snapshot(CHURN, project, locked, cache=cache, hasher=hasher, clock_ns=later)

    assert hasher.calls == 2


def test_a_change_during_the_hash_is_not_trusted(root: Path, locked: Manifest, cache: Shared) -> None:
    def hash_then_change(path: Path) -> Manifest:
        found = hash_source(path)
        change_and_restore_times(path)
        return found

    verify_snapshot(CHURN, root, locked, cache=cache, hasher=hash_then_change, clock_ns=later)

    with pytest.raises(DataChangedError):
        verify_snapshot(CHURN, root, locked, cache=cache, clock_ns=later)


WORKER = """
import os, sys, time
from pathlib import Path
from pytest_mlrun.pillars.snapshots.lockfile import read_lock
from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.verify import verify_snapshot
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.store.shared import Shared

root, store, counter = map(Path, sys.argv[1:])

def hasher(path):
    with counter.open("a") as file:
        file.write("hashed\\n")
    return hash_source(path)

sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
locked = read_lock(root / "mlrun.lock")["churn"]
clock = lambda: time.time_ns() + 60_000_000_000
source = DataSource("churn", "data/churn")
print(verify_snapshot(source, root, locked, cache=Shared(store), hasher=hasher, clock_ns=clock).digest)
"""


def test_four_processes_hash_a_snapshot_once(root: Path, locked: Manifest, tmp_path: Path) -> None:
    write_lock(root / "mlrun.lock", {"churn": locked})
    counter = tmp_path / "counter"
    command = [sys.executable, "-c", WORKER, str(root), str(tmp_path / "store"), str(counter)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"

    # All four stand ready: from here on they race.
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [worker.communicate()[0].strip() for worker in workers]

    assert answers == [locked.digest] * 4
    assert counter.read_text() == "hashed\n"


# -- URIs ----------------------------------------------------------------------------------------------------------


class Fetching:
    """A fetch that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, uri: str, into: Path) -> Path:
        self.calls += 1
        return fetch_uri(uri, into)


@pytest.fixture(params=["data/churn", "data/churn/a.csv"])
def remote(request: pytest.FixtureRequest, root: Path) -> DataSource:
    return replace(CHURN, source=(root / request.param).as_uri())


def local(source: DataSource) -> Path:
    return Path(source.source.removeprefix("file://"))


def test_a_uri_is_fetched_once_and_verified(root: Path, remote: DataSource, cache: Shared) -> None:
    locked, fetch = hash_source(local(remote)), Fetching()

    snapshots = [verify_snapshot(remote, root, locked, cache=cache, fetch=fetch, clock_ns=later) for _ in range(2)]

    assert fetch.calls == 1
    assert snapshots[0].path != local(remote)
    assert snapshots[0].path.name == local(remote).name
    assert hash_source(snapshots[1].path) == locked
    assert snapshots[0].source == remote.source


def test_a_fetched_copy_that_somebody_changed_is_fetched_again(root: Path, remote: DataSource, cache: Shared) -> None:
    locked, fetch = hash_source(local(remote)), Fetching()
    copy = verify_snapshot(remote, root, locked, cache=cache, fetch=fetch, clock_ns=later).path
    file = copy / "a.csv" if copy.is_dir() else copy
    file.write_bytes(b"1,2,4\n")

    snapshot = verify_snapshot(remote, root, locked, cache=cache, fetch=fetch, clock_ns=later)

    assert fetch.calls == 2
    assert hash_source(snapshot.path) == locked


def test_a_half_fetched_copy_is_fetched_again(root: Path, remote: DataSource, cache: Shared) -> None:
    locked = hash_source(local(remote))

    def die(uri: str, into: Path) -> Path:
        (into / "half").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_snapshot(remote, root, locked, cache=cache, fetch=die)

    snapshot = verify_snapshot(remote, root, locked, cache=cache, fetch=fetch_uri)

    assert hash_source(snapshot.path) == locked


def test_a_uri_whose_content_changed_is_refused_and_its_copy_removed(
    root: Path, remote: DataSource, cache: Shared, tmp_path: Path
) -> None:
    locked = hash_source(local(remote))
    change_and_restore_times(root / "data" / "churn")

    with pytest.raises(DataChangedError, match="data 'churn' changed") as caught:
        verify_snapshot(remote, root, locked, cache=cache, fetch=fetch_uri)

    assert caught.value.where == remote.source
    assert list((tmp_path / "store").rglob("*.csv")) == []


def test_a_uri_that_cannot_be_fetched_leaves_nothing(root: Path, locked: Manifest, cache: Shared) -> None:
    gone = replace(CHURN, source=(root / "gone.csv").as_uri())

    with pytest.raises(DataError, match="nothing was found at file://"):
        verify_snapshot(gone, root, locked, cache=cache, fetch=fetch_uri)


def test_without_a_cache_a_uri_is_fetched_for_this_process_only(root: Path, remote: DataSource, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from pytest_mlrun.pillars.snapshots.manifest import hash_source\n"
        "from pytest_mlrun.pillars.snapshots.verify import verify_snapshot\n"
        "from pytest_mlrun.records.project import DataSource\n"
        "from pytest_mlrun.store.remote import fetch_uri\n"
        "source, locked = DataSource('churn', sys.argv[1]), hash_source(Path(sys.argv[2]))\n"
        "snapshot = verify_snapshot(source, Path('/'), locked, fetch=fetch_uri)\n"
        "print(snapshot.path, hash_source(snapshot.path) == locked)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script, remote.source, str(local(remote))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ).stdout.split()

    assert printed[1] == "True"
    assert Path(printed[0]).is_relative_to(tmp_path)
    assert not Path(printed[0]).exists()


def test_a_forked_child_that_ends_leaves_its_parent_s_copy_alone(
    root: Path, remote: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    snapshot = verify_snapshot(remote, root, hash_source(local(remote)), fetch=fetch_uri)

    with monkeypatch.context() as in_child:
        in_child.setattr(os, "getpid", lambda: -1)
        at_exit[0]()
    survived = snapshot.path.exists()
    at_exit[0]()

    assert survived
    assert not snapshot.path.exists()


def test_a_uri_needs_somebody_to_fetch_it(root: Path, locked: Manifest, remote: DataSource) -> None:
    with pytest.raises(DataError, match="data 'churn' is far away and nothing here can fetch it"):
        verify_snapshot(remote, root, locked)


def test_shared_facts_are_a_cache_for_verification(cache: Shared) -> None:
    accepted: VerifiedCache = cache

    assert accepted.get("k") is None
