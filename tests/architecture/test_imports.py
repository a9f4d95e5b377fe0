"""A session without experiments must not pay for us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["numpy", "pyarrow", "sklearn", "scipy", "filelock", "pytest_mlrun.session.session", "pytest_mlrun.store"]
IDLE = """
import json, os, sys
started = []
watched = {"subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn"}
sys.addaudithook(lambda event, args: started.append(event) if event in watched else None)
import pytest
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
print(json.dumps({"code": int(code), "modules": sorted(sys.modules), "started": started}))
"""


def run_idle(folder: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", IDLE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_mlrun.plugin"},
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("arguments", [[], ["--mlrun"], ["--mlrun", "-v"], ["--collect-only"]], ids=" ".join)
def test_a_session_without_experiments_loads_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n")

    result = run_idle(tmp_path, *arguments)

    assert result["code"] == 0
    assert [name for name in HEAVY if name in result["modules"]] == []  # type: ignore[operator]


def test_a_session_without_experiments_starts_no_process_and_writes_no_file(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n")

    result = run_idle(tmp_path, "--mlrun")

    assert result["started"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["test_plain.py"]


def test_experiments_that_are_skipped_load_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_sweep.py").write_text("def test_sweep(mlrun): raise AssertionError\n")

    result = run_idle(tmp_path)

    assert result["code"] == 0
    assert [name for name in HEAVY if name in result["modules"]] == []  # type: ignore[operator]
    assert [path.name for path in tmp_path.iterdir()] == ["test_sweep.py"]


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, pytest_mlrun; print([name for name in sys.modules if name.startswith('pytest_mlrun.')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
