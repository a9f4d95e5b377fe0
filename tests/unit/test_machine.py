"""Who, where and in which CI job: the context of a session."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import sys
from pathlib import Path

import pytest

from pytest_mlrun.pillars import cpu as cpu_module
from pytest_mlrun.pillars.ci import find_ci
from pytest_mlrun.pillars.cpu import find_cpu
from pytest_mlrun.pillars.machine import find_machine

X86 = "processor\t: 0\nmodel name\t: Maker 3000\nflags\t\t: sse2 avx fma\n\nprocessor\t: 1\nmodel name\t: Other\n"
ARM = "processor\t: 0\nFeatures\t: asimd fp\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"


def test_the_machine_is_described_by_what_the_system_says() -> None:
    context = {key: json.loads(text) for key, text in find_machine().items()}

    assert set(context) == {"who.user", "host.name", "host.cpu", "host.cores", "host.memory_bytes", "host.kernel"}
    assert context["host.name"] == socket.gethostname()
    assert context["host.memory_bytes"] > 2**20
    assert context["host.kernel"] == f"{os.uname().sysname} {os.uname().release}"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)

    assert json.loads(find_machine()["who.user"]) == f"uid {os.getuid()}"


def test_a_system_that_does_not_tell_its_memory_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", fail)

    assert find_machine()["host.memory_bytes"] == "null"


def test_the_processor_is_the_first_cores_with_its_flags_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(X86)
    (tmp_path / "b").write_text(X86.replace("sse2 avx fma", "fma avx sse2"))
    (tmp_path / "c").write_text(X86.replace("fma", "fma avx2"))

    first, same, other = (find_cpu(cpuinfo=tmp_path / name) for name in "abc")

    assert first.model == "Maker 3000"
    assert first.flags == same.flags
    assert first.flags != other.flags


def test_an_arm_processor_is_named_by_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(ARM)

    cpu = find_cpu(cpuinfo=tmp_path / "cpuinfo")

    assert cpu.model == "0x41 0xd0c 0x3"
    assert cpu.flags is not None


def test_a_system_without_cpuinfo_still_has_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")

    cpu = find_cpu(cpuinfo=tmp_path / "nothing")

    assert (cpu.model, cpu.flags) == ("arm64", None)
    assert 1 <= cpu.usable_cores <= cpu.cores


@pytest.mark.parametrize(
    ("command", "model"),
    [("#!/bin/sh\necho Maker M3 $2", "Maker M3 machdep.cpu.brand_string"), ("#!/bin/sh\nexit 1", "arm64")],
)
def test_a_mac_is_asked_for_its_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, model: str
) -> None:
    (tmp_path / "sysctl").write_text(command)
    (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setattr(cpu_module, "_SYSCTL", str(tmp_path / "sysctl"))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")

    assert find_cpu(cpuinfo=tmp_path / "nothing").model == model


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(
            {
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "team/churn",
                "GITHUB_RUN_ID": "7",
                "GITHUB_RUN_ATTEMPT": "2",
                "GITHUB_WORKFLOW": "nightly",
                "GITHUB_JOB": "train",
                "GITHUB_SHA": "c0ffee",
                "GITHUB_TOKEN": "hunter2",
            },
            ["github", "nightly/train", "https://github.com/team/churn/actions/runs/7/attempts/2", "c0ffee"],
            id="github",
        ),
        pytest.param({"GITHUB_ACTIONS": "true", "GITHUB_JOB": "a"}, ["github", "a", None, None], id="github-bare"),
        pytest.param(
            {
                "GITLAB_CI": "true",
                "CI_JOB_NAME": "train",
                "CI_JOB_URL": "https://ci:hunter2@gitlab.example/j/1",
                "CI_COMMIT_SHA": "c0ffee",
            },
            ["gitlab", "train", "https://gitlab.example/j/1", "c0ffee"],
            id="gitlab",
        ),
        pytest.param(
            {
                "JENKINS_URL": "https://j.example",
                "JOB_NAME": "t",
                "BUILD_URL": "https://j.example/1",
                "GIT_COMMIT": "c0",
            },
            ["jenkins", "t", "https://j.example/1", "c0"],
            id="jenkins",
        ),
        pytest.param(
            {
                "TF_BUILD": "True",
                "SYSTEM_JOBDISPLAYNAME": "train",
                "SYSTEM_COLLECTIONURI": "https://dev.azure.com/team/",
                "SYSTEM_TEAMPROJECT": "my churn",
                "BUILD_BUILDID": "12",
                "BUILD_SOURCEVERSION": "c0",
            },
            ["azure", "train", "https://dev.azure.com/team/my%20churn/_build/results?buildId=12", "c0"],
            id="azure",
        ),
        pytest.param(
            {
                "CIRCLECI": "true",
                "CIRCLE_JOB": "t",
                "CIRCLE_BUILD_URL": "https://circleci.com/1",
                "CIRCLE_SHA1": "c0",
            },
            ["circleci", "t", "https://circleci.com/1", "c0"],
            id="circleci",
        ),
        pytest.param(
            {
                "BUILDKITE": "true",
                "BUILDKITE_LABEL": "train",
                "BUILDKITE_BUILD_URL": "https://buildkite.com/b/1",
                "BUILDKITE_JOB_ID": "j-2",
                "BUILDKITE_COMMIT": "c0",
            },
            ["buildkite", "train", "https://buildkite.com/b/1#j-2", "c0"],
            id="buildkite",
        ),
        pytest.param({"CI": "1"}, ["unknown", None, None, None], id="unknown"),
    ],
)
def test_a_ci_job_is_recognised(environ: dict[str, str], expected: list[str | None]) -> None:
    context = find_ci(environ)

    found = [json.loads(context[f"ci.{fact}"]) for fact in ("provider", "job", "url", "commit")]
    assert found == expected
    assert "hunter2" not in str(context)


@pytest.mark.parametrize("environ", [{}, {"CI": "false"}, {"CI": "0"}, {"GITHUB_SHA": "c0"}])
def test_outside_ci_there_is_no_job(environ: dict[str, str]) -> None:
    assert find_ci(environ) == {}
