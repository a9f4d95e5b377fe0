"""The environment pillar: equal environments give equal bytes, and no secret is among them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import cast

import pytest

from pytest_mlrun.pillars import environment as environment_module
from pytest_mlrun.pillars.environment import Environment, find_environment
from pytest_mlrun.pillars.numerics import find_numerics, max_threads

SECTIONS = {
    *("format", "python", "system", "cpu", "distributions", "locks", "image_digest", "numerics", "variables"),
}


def variables(environ: dict[str, str], root: Path) -> object:
    return find_environment(root, environ=environ).document["variables"]


def test_the_document_is_canonical_json_and_its_digest_is_over_those_bytes(tmp_path: Path) -> None:
    environment = find_environment(tmp_path)

    encoded = environment.encode()

    assert set(environment.document) == SECTIONS
    assert json.loads(encoded) == environment.document
    assert encoded == json.dumps(json.loads(encoded), sort_keys=True, separators=(",", ":")).encode()


def test_two_processes_of_one_environment_give_equal_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pytest_mlrun.pillars.environment import find_environment;"
        "sys.stdout.buffer.write(find_environment(Path(sys.argv[1])).encode())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTEST_XDIST_WORKER": f"gw{seed}"},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert found[0] == found[1]
    assert json.loads(found[0])["numerics"]["numpy"] is None


def test_the_context_holds_the_main_facts(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("version = 1\n")

    environment = find_environment(tmp_path, environ={"PYTEST_MLRUN_IMAGE_DIGEST": "sha256:77"})

    context = {key: json.loads(text) for key, text in environment.context().items()}
    distributions = cast("list[object]", environment.document["distributions"])
    assert context == {
        "env.digest": environment.digest,
        "env.python": ".".join(str(part) for part in sys.version_info[:3]),
        "env.implementation": "cpython",
        "env.platform": cast("dict[str, str]", environment.document["system"])["platform"],
        "env.lock": "uv.lock",
        "env.lock_kind": "uv",
        "env.lock_digest": "sha256:dbab12665d98aef021ba64953c61b0ed8a908cfb56a1c01e2fcb4b052b71a2a1",
        "env.image_digest": "sha256:77",
        "env.distributions": len(distributions),
        "env.threads": max_threads(find_numerics()),
    }


def test_the_context_without_lock_image_and_libraries_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        environment_module, "find_numerics", lambda: {"thread_pools": None, "numpy": None, "torch": None}
    )

    context = find_environment(tmp_path, environ={}).context()

    facts = ("env.lock", "env.lock_kind", "env.lock_digest", "env.image_digest", "env.threads")
    assert {context[fact] for fact in facts} == {"null"}


def test_variables_that_decide_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    environ = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "/home/me/lib:/opt/lib",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "XLA_FLAGS": "--proxy=https://me:hunter2@host/",
    }

    assert variables(environ, tmp_path) == environ | {
        "PYTHONPATH": "~/lib:/opt/lib",
        "XLA_FLAGS": "--proxy=https://host/",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "AWS_SECRET_ACCESS_KEY", "LANGCHAIN_ENDPOINT", "LD_SDK", "TZDIR", "PYTEST_XDIST_WORKER"),
        *("TORCH_TOKEN", "MKL_LICENSE_KEY", "JAX_PASSWORD", "NCCL_CREDENTIALS", "CUDA_SECRET"),
        *("TF_VAR_database", "PYTHONHASHSEED", "PYTHONUNBUFFERED"),
    ],
)
def test_other_variables_and_secrets_are_never_kept(tmp_path: Path, name: str) -> None:
    assert variables({name: "hunter2"}, tmp_path) == {}


def test_no_absolute_home_path_is_in_the_document(tmp_path: Path) -> None:
    import numpy as np  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    encoded = find_environment(tmp_path, environ={}).encode().decode()

    assert sys.prefix not in encoded
    assert f'"{Path.home()}/' not in encoded


def test_loaded_numeric_libraries_are_described() -> None:
    import numpy as np

    numerics = find_numerics()

    pools = cast("list[dict[str, object]]", numerics["thread_pools"])
    described = cast("dict[str, object]", numerics["numpy"])
    assert any(pool["user_api"] == "blas" for pool in pools)
    assert all("/" not in str(pool["file"]) for pool in pools)
    assert described["version"] == np.__version__
    assert set(cast("dict[str, object]", described["simd"])) <= {"baseline", "found", "not found"}
    assert max_threads(numerics) == max(cast("int", pool["num_threads"]) for pool in pools)


def test_torch_is_described_when_it_is_loaded_and_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    before = find_numerics()["torch"]
    monkeypatch.setitem(sys.modules, "torch", _make_torch())

    described = cast("dict[str, object]", find_numerics()["torch"])

    assert before is None
    assert described["version"] == "2.9.0+cpu"
    assert described["cpu_capability"] == "AVX512"
    assert (described["threads"], described["deterministic_algorithms"]) == (4, True)
    assert described["devices"] == ["GPU 0", "GPU 1"]


def test_a_torch_that_lacks_or_refuses_a_setting_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise RuntimeError("mix of the legacy and new APIs")

    torch = _make_torch()
    torch.__dict__["get_num_interop_threads"] = refuse
    del torch.__dict__["backends"], torch.__dict__["cuda"]
    monkeypatch.setitem(sys.modules, "torch", torch)

    described = cast("dict[str, object]", find_numerics()["torch"])

    assert (described["interop_threads"], described["cudnn_benchmark"], described["threads"]) == (None, None, 4)
    assert "devices" not in described


def test_a_stand_in_for_torch_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))

    assert find_numerics()["torch"] is None


def test_without_threadpoolctl_the_pools_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)

    numerics = find_numerics()

    assert numerics["thread_pools"] is None
    assert max_threads(numerics) is None


def test_an_interpreter_without_a_lock_is_told_from_one_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    assert cast("dict[str, object]", find_environment(tmp_path).document["python"])["gil"] is False


def test_a_system_with_another_c_library_is_named_by_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_names: object) -> str:
        raise ValueError("unrecognized configuration name")

    def fail_to_open() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(os, "confstr", fail)
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("platform.freedesktop_os_release", fail_to_open)

    system = cast("dict[str, str]", find_environment(tmp_path).document["system"])

    assert (system["libc"], system["os"]) == ("", sys.platform)


def test_a_document_of_another_making_has_a_context_too() -> None:
    document = {"python": None, "system": None, "distributions": None, "numerics": None, "image_digest": None}

    assert Environment(document, ()).context()["env.python"] == "null"


def _make_torch() -> types.ModuleType:
    torch = types.ModuleType("torch")
    flags = types.SimpleNamespace(deterministic=True, benchmark=False, allow_tf32=False)
    torch.__dict__.update(
        {
            "__version__": "2.9.0+cpu",
            "version": types.SimpleNamespace(git_version="c0ffee", cuda=None),
            "__config__": types.SimpleNamespace(show=lambda: "PyTorch built with: GCC"),
            "get_num_threads": lambda: 4,
            "get_num_interop_threads": lambda: 2,
            "are_deterministic_algorithms_enabled": lambda: True,
            "cuda": types.SimpleNamespace(
                is_initialized=lambda: True, device_count=lambda: 2, get_device_name=lambda device: f"GPU {device}"
            ),
            "backends": types.SimpleNamespace(
                cpu=types.SimpleNamespace(get_cpu_capability=lambda: "AVX512"),
                cudnn=flags,
                cuda=types.SimpleNamespace(matmul=flags),
            ),
        }
    )
    return torch
