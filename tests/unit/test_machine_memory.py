"""The memory of a run is its own, and a kill for want of memory is noticed."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pytest_mlrun.pillars.memory import Peak, PeakMemory, find_oom_counter, read_oom_kills

MIB = 2**20


class FakeProcess:
    """A folder that looks like a process, whose high-water mark the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.reach(0)
        (folder / "clear_refs").write_text("")

    def reach(self, size_mib: int) -> None:
        (self.folder / "status").write_text(f"Name:\tpython\nVmHWM:\t{size_mib * 1024:>8} kB\nVmRSS:\t 1 kB\n")

    @property
    def resets(self) -> str:
        return (self.folder / "clear_refs").read_text()


@pytest.fixture
def process(tmp_path: Path) -> FakeProcess:
    return FakeProcess(tmp_path / "self")


def test_the_peak_of_a_run_is_the_mark_since_it_began(process: FakeProcess) -> None:
    memory = PeakMemory(process=process.folder)
    process.reach(900)

    memory.begin("a")
    process.reach(70)

    assert memory.end("a") == Peak(70 * MIB, "run")
    assert process.resets == "5"


def test_an_inner_run_does_not_take_the_outer_runs_peak_away(process: FakeProcess) -> None:
    memory = PeakMemory(process=process.folder)

    memory.begin("outer")
    process.reach(500)
    memory.begin("inner")
    process.reach(70)

    assert memory.end("inner") == Peak(70 * MIB, "run")
    assert memory.end("outer") == Peak(500 * MIB, "run")


def test_overlapping_runs_each_see_what_was_reached_while_they_lasted(process: FakeProcess) -> None:
    memory = PeakMemory(process=process.folder)

    memory.begin("first")
    process.reach(100)
    memory.begin("second")
    process.reach(300)
    first = memory.end("first")
    process.reach(400)

    assert (first.size_bytes, memory.end("second").size_bytes) == (300 * MIB, 400 * MIB)


def test_where_the_mark_cannot_be_reset_the_peak_is_the_processs(tmp_path: Path) -> None:
    memory = PeakMemory(process=tmp_path / "nothing")

    memory.begin("a")
    peak = memory.end("a")

    assert peak.method == "process"
    assert peak.size_bytes == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_status_without_a_mark_leaves_the_processs_peak(process: FakeProcess) -> None:
    memory = PeakMemory(process=process.folder)

    memory.begin("a")
    (process.folder / "status").write_text("Name:\tpython\n")

    assert memory.end("a").method == "process"


def test_the_real_mark_rises_with_what_a_run_touches() -> None:
    memory = PeakMemory()

    memory.begin("outer")
    memory.begin("small")
    small = memory.end("small")
    block = bytearray(64 * MIB)
    block[::4096] = b"x" * len(block[::4096])
    del block
    outer = memory.end("outer")

    if outer.method == "run":
        assert outer.size_bytes >= small.size_bytes + 60 * MIB
    else:
        assert outer.size_bytes >= 64 * MIB


def test_the_peak_is_context() -> None:
    assert Peak(5, "run").context() == {"memory.peak_bytes": "5", "memory.method": '"run"'}


def test_ending_what_never_began_is_an_error(process: FakeProcess) -> None:
    with pytest.raises(KeyError, match="never"):
        PeakMemory(process=process.folder).end("never")


@pytest.mark.parametrize(
    ("membership", "counter"),
    [
        ("0::/jobs/train\n", "jobs/train/memory.events"),
        ("0::/host/path/of/a/container\n", "memory.events"),
        ("5:cpu:/\n4:memory,hugetlb:/jobs/train\n0::/\n", "memory/jobs/train/memory.oom_control"),
        ("4:memory:/host/path\n0::/\n", "memory/memory.oom_control"),
    ],
)
def test_the_counter_of_both_kinds_of_control_groups_is_found(tmp_path: Path, membership: str, counter: str) -> None:
    file = tmp_path / "mount" / counter
    file.parent.mkdir(parents=True)
    file.write_text("low 0\nhigh 1\noom 3\noom_kill 2\n")
    (tmp_path / "cgroup").write_text(membership)

    found = find_oom_counter(membership=tmp_path / "cgroup", mount=tmp_path / "mount")

    assert found == file
    assert read_oom_kills(found) == 2


def test_without_control_groups_there_is_no_counter(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/\nnonsense\n")

    assert find_oom_counter(membership=tmp_path / "nothing", mount=tmp_path) is None
    assert find_oom_counter(membership=tmp_path / "cgroup", mount=tmp_path) is None
    assert read_oom_kills(None) is None


@pytest.mark.parametrize("content", ["oom 3\n", "oom_kill many\n", ""])
def test_a_counter_that_says_nothing_useful_counts_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "memory.events").write_text(content)

    assert read_oom_kills(tmp_path / "memory.events") is None


def test_a_counter_that_has_gone_counts_nothing(tmp_path: Path) -> None:
    assert read_oom_kills(tmp_path / "gone") is None
