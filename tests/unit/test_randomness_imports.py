"""A library that loads in the middle of a run starts from the run's seed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_mlrun.errors import MarkerError
from pytest_mlrun.pillars.late_imports import watch_imports
from pytest_mlrun.pillars.randomness import pinned_imports

TORCH = """\
import random
loader_while_loading = type(__spec__.loader).__name__
seeds = []
def manual_seed(seed):
    seeds.append(seed)
"""


@pytest.fixture(autouse=True)
def fake_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # where an earlier test loaded the real one
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("torch", None)


def seeds() -> list[int]:
    return list(importlib.import_module("torch").seeds)


def test_a_library_is_pinned_the_moment_it_has_loaded() -> None:
    with pinned_imports(7) as pinned:
        before = list(pinned)
        found = seeds()

    assert (before, found, pinned) == ([], [7], ["torch"])


def test_a_library_is_pinned_once_however_often_it_is_imported() -> None:
    with pinned_imports(7):
        seeds()
        importlib.import_module("torch")
        reloaded = importlib.reload(sys.modules["torch"])

    assert list(reloaded.seeds) == []


def test_a_library_that_was_loaded_before_is_left_to_pin() -> None:
    seeds()

    with pinned_imports(7) as pinned:
        assert seeds() == []

    assert pinned == []


def test_a_library_that_loads_after_the_block_is_not_pinned() -> None:
    with pinned_imports(7):
        pass

    assert seeds() == []


def test_the_inner_of_two_blocks_has_the_last_word() -> None:
    with pinned_imports(1) as outer, pinned_imports(2) as inner:
        assert seeds() == [1, 2]

    assert (outer, inner) == (["torch"], ["torch"])


def test_an_outer_block_goes_on_when_an_inner_one_has_ended() -> None:
    with pinned_imports(1):
        with pinned_imports(2):
            pass
        assert seeds() == [1]


def test_the_hook_is_gone_after_the_block_and_after_an_error() -> None:
    before = list(sys.meta_path)

    with pinned_imports(7):
        during = len(sys.meta_path)
    with pytest.raises(KeyError), pinned_imports(7):
        raise KeyError

    assert during == len(before) + 1
    assert sys.meta_path == before


def test_a_hook_that_somebody_removed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.meta_path)

    with pinned_imports(7):
        monkeypatch.setattr(sys, "meta_path", list(before))
        assert seeds() == []

    assert sys.meta_path == before


def test_the_library_and_its_tools_see_its_own_loader(fake_torch: Path) -> None:
    with pinned_imports(7):
        torch = importlib.import_module("torch")

    assert torch.loader_while_loading == "SourceFileLoader"
    assert torch.__spec__ is not None
    assert torch.__loader__ is torch.__spec__.loader
    assert type(torch.__loader__).__name__ == "SourceFileLoader"
    assert inspect.getsource(torch) == TORCH


def test_looking_for_a_library_does_not_load_or_pin_it() -> None:
    with pinned_imports(7) as pinned:
        spec = importlib.util.find_spec("torch")

    assert spec is not None
    assert spec.origin is not None
    assert spec.loader is not None
    assert inspect.isabstract(spec.loader) is False
    assert spec.loader.get_source("torch") == TORCH  # type: ignore[attr-defined]
    assert (pinned, "torch" in sys.modules) == ([], False)


def test_a_library_that_fails_to_load_raises_its_own_error(fake_torch: Path) -> None:
    (fake_torch / "torch.py").write_text("raise RuntimeError('no CUDA')\n")

    with pinned_imports(7) as pinned, pytest.raises(RuntimeError, match="no CUDA"):
        importlib.import_module("torch")

    assert pinned == []


def test_a_library_that_is_not_installed_raises_import_error() -> None:
    with pinned_imports(7), pytest.raises(ModuleNotFoundError, match="tensorflow"):
        importlib.import_module("tensorflow")


def test_a_stand_in_without_generators_loads_unpinned(fake_torch: Path) -> None:
    (fake_torch / "torch.py").write_text("x = 1\n")

    with pinned_imports(7) as pinned:
        torch = importlib.import_module("torch")

    assert (torch.x, pinned) == (1, [])


def test_a_folder_without_code_loads_unpinned(fake_torch: Path) -> None:
    (fake_torch / "tensorflow").mkdir()

    with pinned_imports(7) as pinned:
        importlib.import_module("tensorflow")
    del sys.modules["tensorflow"]

    assert pinned == []


def test_an_import_in_another_thread_is_pinned() -> None:
    with pinned_imports(7) as pinned:
        thread = threading.Thread(target=seeds)
        thread.start()
        thread.join()

    assert (seeds(), pinned) == ([7], ["torch"])


def test_an_import_that_outlasts_the_block_is_not_pinned(fake_torch: Path) -> None:
    (fake_torch / "torch.py").write_text(
        "import threading\nloading.set()\nleft.wait(10)\nseeds = []\nmanual_seed = seeds.append\n".replace(
            "import threading\n", "from torch_events import loading, left\n"
        )
    )
    (fake_torch / "torch_events.py").write_text(
        "import threading\nloading, left = threading.Event(), threading.Event()\n"
    )
    events = importlib.import_module("torch_events")
    thread = threading.Thread(target=importlib.import_module, args=("torch",))

    with pinned_imports(7) as pinned:
        thread.start()
        assert events.loading.wait(10)
    events.left.set()
    thread.join()
    sys.modules.pop("torch_events")

    assert (seeds(), pinned) == ([], [])


def test_the_callback_gets_the_loaded_module() -> None:
    loaded: list[object] = []

    with watch_imports({"torch": loaded.append}):
        torch = importlib.import_module("torch")

    assert loaded == [torch]


def test_a_finder_of_the_old_kind_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [object(), *sys.meta_path])

    with pinned_imports(7):
        found = _find_with_first_finder("torch")

    assert found


def test_a_block_refuses_what_is_no_seed() -> None:
    with pytest.raises(MarkerError, match="found -1"), pinned_imports(-1):
        pass


def test_importing_a_library_does_not_disturb_the_other_generators() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)

    with pinned_imports(7):
        seeds()

    assert random.random() == expected


def test_the_real_numpy_is_pinned_when_its_random_part_loads() -> None:
    code = (
        "from pytest_mlrun.pillars import randomness as r\n"
        "with r.pinned_imports(7) as pinned:\n"
        "    import numpy, numpy.random\n"
        "    late = numpy.random.random()\n"
        "r.pin(7)\n"
        "print(pinned, late == numpy.random.random())\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "['numpy'] True\n"


def _find_with_first_finder(name: str) -> bool:
    finder = sys.meta_path[0]
    spec = finder.find_spec(name, None)
    return spec is not None
