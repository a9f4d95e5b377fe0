"""Processes that are measured together begin together."""
# ruff: noqa: E402 - the folder of the benchmarks may not be on the import path yet

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed wheel stays the one that is tested

from benchmarks.meeting import Meeting

COMER = """
import sys, time
from benchmarks.meeting import meet
came = time.monotonic()
meet(*map(int, sys.argv[1:]))
print(came, time.monotonic())
"""


def start(meeting: Meeting, program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, meeting.descriptors)]
    return subprocess.Popen(command, cwd=ROOT, pass_fds=meeting.descriptors, stdout=subprocess.PIPE, text=True)


def test_nobody_leaves_a_meeting_before_the_last_has_come() -> None:
    meeting = Meeting()
    processes = [start(meeting, COMER) for _ in range(3)]

    meeting.begin()
    meeting.dismiss(3)

    times = [[float(word) for word in process.communicate()[0].split()] for process in processes]
    assert max(came for came, _ in times) < min(left for _, left in times)


def test_a_process_that_dies_on_the_way_does_not_keep_the_others_waiting() -> None:
    meeting = Meeting()
    processes = [start(meeting, "raise SystemExit(3)"), start(meeting, COMER)]

    meeting.begin()
    meeting.dismiss(2)

    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [3, 0]
