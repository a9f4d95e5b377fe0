"""Every run's global generators start from its seed, and tell where they ended."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from pytest_mlrun.errors import ConfigError, MarkerError
from pytest_mlrun.pillars.randomness import (
    check_seed,
    derive_seed,
    end_state,
    find_unpinnable,
    pin,
    restore,
    save,
)


class FakeTorch(types.ModuleType):
    """Torch's generators, as far as they are used here."""

    def __init__(self, devices: int = 0) -> None:
        super().__init__("torch")
        self.seeds: list[int] = []
        self.state = Tensor([0])
        self.cuda = FakeCuda(devices)

    def manual_seed(self, seed: int) -> None:
        self.seeds.append(seed)
        self.state = Tensor([seed % 256])

    def get_rng_state(self) -> Tensor:
        return self.state

    def set_rng_state(self, state: Tensor) -> None:
        self.state = state


class FakeCuda:
    """The generators of some devices."""

    def __init__(self, devices: int) -> None:
        self.states = [Tensor([device]) for device in range(devices)]

    def is_initialized(self) -> bool:
        return bool(self.states)

    def get_rng_state_all(self) -> list[Tensor]:
        return list(self.states)

    def set_rng_state(self, state: Tensor, device: int) -> None:
        self.states[device] = state


class Tensor(list[int]):
    """A tensor of bytes."""

    def tolist(self) -> list[int]:
        return list(self)


def use_pcg64() -> None:
    importlib.import_module("numpy.random").set_bit_generator(np.random.PCG64(1))


def draw() -> tuple[float, float]:
    return random.random(), float(np.random.random())


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_equal_seeds_give_equal_draws_whatever_was_drawn_before(seed: int) -> None:
    pin(seed)
    first = draw()
    np.random.standard_normal(3)
    random.gauss(0, 1)

    pinned = pin(seed)

    assert pinned[:2] == ("random", "numpy")
    assert draw() == first


def test_a_pinned_generator_draws_what_seeding_by_hand_draws() -> None:
    pin(7)
    pinned = draw()

    random.seed(7)
    np.random.seed(7)

    assert draw() == pinned


def test_a_replaced_bit_generator_is_put_right() -> None:
    pin(7)
    expected = draw()
    use_pcg64()

    pin(7)

    assert draw() == expected


def test_a_loaded_torch_and_tensorflow_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    torch, seeds = FakeTorch(), list[int]()
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.__dict__["random"] = types.SimpleNamespace(set_seed=seeds.append)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)

    pinned = pin(7)

    assert pinned == ("random", "numpy", "torch", "tensorflow")
    assert (torch.seeds, seeds) == ([7], [7])


def test_a_stand_in_without_generators_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    assert pin(7) == ("random", "numpy")
    assert set(end_state()) == {"random", "numpy"}


def test_a_module_that_is_still_loading_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = FakeTorch()
    torch.__spec__ = types.SimpleNamespace(_initializing=True)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "torch", torch)

    assert pin(7) == ("random", "numpy")


def test_pinning_imports_nothing() -> None:
    code = (
        "import sys; from pytest_mlrun.pillars import randomness as r; pinned = r.pin(1); r.end_state();"
        "print(pinned, sorted({'numpy', 'torch', 'tensorflow', 'jax'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "('random',) []\n"


def test_numpy_without_its_random_part_stays_without_it() -> None:
    code = (
        "import sys, numpy; sys.modules.pop('numpy.random', None); from pytest_mlrun.pillars import randomness as r;"
        "print(r.pin(1), 'numpy.random' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "('random',) False\n"


def test_equal_draws_end_in_equal_states_and_one_more_draw_does_not() -> None:
    states = []
    for extra in (0, 0, 1):
        pin(7)
        for _ in range(10 + extra):
            draw()
        states.append(end_state())

    assert states[0] == states[1]
    assert states[0]["random"] != states[2]["random"]
    assert states[0]["numpy"] != states[2]["numpy"]


def test_a_kept_half_of_a_normal_pair_is_part_of_the_state() -> None:
    pin(7)
    before = end_state()
    random.gauss(0, 1)
    np.random.standard_normal()
    half = end_state()
    random.gauss(0, 1)
    np.random.standard_normal()
    whole = end_state()

    assert len({before["random"], half["random"], whole["random"]}) == 3
    assert len({before["numpy"], half["numpy"], whole["numpy"]}) == 3


def test_the_state_after_pinning_is_the_same_in_every_process_and_on_every_machine() -> None:
    pin(0)

    found = end_state()

    assert {stream: found[stream] for stream in ("random", "numpy")} == {
        "random": "sha256:2fb8da6f48e5221a94cae355a950d921d62f6eff1c618becc5b1f463a24e7c21",
        "numpy": "sha256:7108071d3457a24d67528e8d3fd2154ee7eae4c8f4ad1b0f87fdd9726e5077d3",
    }


def test_the_state_of_another_bit_generator_has_a_digest_too() -> None:
    saved = save()
    use_pcg64()

    digests = [end_state()["numpy"] for _ in range(2)]
    np.random.random()
    digests.append(end_state()["numpy"])
    restore(saved)

    assert digests[0] == digests[1] != digests[2]


def test_the_state_of_torch_covers_every_device_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", FakeTorch(devices=2))

    assert set(end_state()) == {"random", "numpy", "torch", "torch.cuda.0", "torch.cuda.1"}


def test_restored_states_go_on_where_they_were_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = FakeTorch(devices=1)
    monkeypatch.setitem(sys.modules, "torch", torch)
    random.gauss(0, 1)
    saved, before = save(), end_state()
    expected = draw()

    pin(99)
    torch.cuda.states[0] = Tensor([77])
    restore(saved)

    assert end_state() == before
    assert draw() == expected


def test_restoring_puts_the_users_bit_generator_back() -> None:
    original = save()
    use_pcg64()
    saved, expected = save(), None
    expected = draw()

    pin(99)
    restore(saved)
    again = draw()
    restore(original)

    assert again == expected


def test_a_library_that_was_loaded_after_saving_keeps_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # where an earlier test loaded the real one
    saved = save()
    torch = FakeTorch()
    del torch.cuda
    monkeypatch.setitem(sys.modules, "torch", torch)
    torch.manual_seed(5)

    restore(saved)

    assert torch.state == [5]
    assert "torch" in save().streams


def test_a_library_without_global_generators_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_unpinnable()
    monkeypatch.setitem(sys.modules, "jax", types.ModuleType("jax"))

    assert (before, find_unpinnable()) == ((), ("jax",))


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_a_seed_that_every_library_takes_is_returned(seed: int) -> None:
    assert check_seed(seed) == seed


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-1, "-1"), (2**32, "4294967296"), (True, "True"), (1.0, r"1\.0"), ("42", "'42'"), (None, "None")],
)
def test_any_other_seed_is_refused(value: object, shown: str) -> None:
    with pytest.raises(MarkerError, match=f"^seed: expected a whole number from 0 to 4294967295, found {shown}\n"):
        check_seed(value, where="tests/test_a.py::test_b")


def test_a_refused_marker_says_what_to_write_and_a_long_value_is_cut() -> None:
    with pytest.raises(MarkerError) as raised:
        check_seed("x" * 100, where="tests/test_a.py::test_b")

    assert str(raised.value).splitlines() == [
        f"seed: expected a whole number from 0 to 4294967295, found '{'x' * 23}…",
        "  where: tests/test_a.py::test_b",
        "  next:  write a number: @pytest.mark.mlrun(seed=42)",
    ]


def test_a_refused_option_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="next:  write a number: --mlrun-seed 42"):
        check_seed(-1, source="option")


def test_pinning_refuses_what_is_no_seed() -> None:
    with pytest.raises(MarkerError, match="found -1"):
        pin(-1)


@pytest.mark.parametrize(
    ("seed", "names", "derived"),
    [
        (0, (), 1755501935),
        (42, ("a",), 1375815285),
        (42, ("ab", "c"), 111553128),
        (42, ("a", "bc"), 1372425810),
        (2**32 - 1, ("ü",), 2421989029),
    ],
)
def test_a_derived_seed_never_changes_between_versions(seed: int, names: tuple[str, ...], derived: int) -> None:
    assert derive_seed(seed, *names) == derived


def test_an_unseeded_library_in_another_process_ends_in_the_same_state(tmp_path: Path) -> None:
    code = (
        "import random, numpy as np; from pytest_mlrun.pillars import randomness as r; import numpy.random;"
        "r.pin(5); random.shuffle(list(range(50))); np.random.permutation(50); print(r.end_state())"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }

    assert len(found) == 1
