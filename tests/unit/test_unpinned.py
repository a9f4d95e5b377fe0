"""Randomness that no seed holds is noticed with its line; what is seeded, and what names a file, is not."""

# ruff: noqa: PLW0108 - the line that calls must stand in this file

from __future__ import annotations

import copy
import os
import pickle
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState as ImportedEarly

from pytest_mlrun.pillars.unpinned import Draws, noticed


class Derived(np.random.RandomState):
    """A user's own kind of RandomState."""


def notice(call: Callable[[], object]) -> list[tuple[str, int]]:
    """Return what was noticed in this file, and how often."""
    draws = Draws()
    with noticed(draws):
        call()
    assert {draw.path for draw in draws.counts()} <= {__file__}
    return [(draw.what, count) for draw, count in draws.counts().items()]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: np.random.default_rng(), "numpy.random.default_rng"),
        (lambda: np.random.PCG64(), "numpy.random.PCG64"),
        (lambda: np.random.SeedSequence(), "numpy.random.SeedSequence"),
        (lambda: np.random.RandomState(), "numpy.random.RandomState"),
        (lambda: Derived(), "numpy.random"),
        (lambda: np.random.seed(), "numpy.random.seed"),
        (lambda: random.Random(), "random.Random"),
        (lambda: random.seed(), "random.seed"),
        (lambda: random.SystemRandom().random(), "random.SystemRandom"),
        (lambda: os.urandom(4), "os.urandom"),
        (lambda: secrets.token_bytes(4), "secrets"),
        (lambda: uuid.uuid4(), "uuid.uuid4"),
    ],
)
def test_a_draw_without_a_seed_is_noticed_once(call: Callable[[], object], what: str) -> None:
    state = random.getstate(), np.random.get_state()

    assert notice(call) == [(what, 1)]

    random.setstate(state[0])
    np.random.set_state(state[1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.random.default_rng(3).spawn(2),
        lambda: np.random.RandomState(3),
        lambda: ImportedEarly(3),
        lambda: ImportedEarly([1, 2, 3]),
        lambda: ImportedEarly(np.random.MT19937(3)),
        lambda: Derived(3),
        lambda: [np.random.RandomState(seed) for seed in range(9)],
        lambda: copy.deepcopy(np.random.RandomState(3)),
        lambda: pickle.loads(pickle.dumps([np.random.RandomState(3), np.random.default_rng(3)])),
        lambda: pickle.loads(pickle.dumps([random.Random(3), random.Random(4)])),
        lambda: np.random.rand(2),
        lambda: random.random(),
        lambda: random.Random(3),
        lambda: random.Random(x=3),
        lambda: random.Random().seed(3),
        lambda: np.random.RandomState().seed(3),
        lambda: tempfile.TemporaryDirectory().cleanup(),
    ],
    ids=range(17),
)
def test_what_is_seeded_copied_or_names_a_file_is_not_noticed(call: Callable[[], object]) -> None:
    assert notice(call) == []


def test_the_line_and_the_count_are_those_of_the_loop() -> None:
    draws = Draws()

    with noticed(draws):
        for _ in range(3):
            np.random.default_rng()

    ((draw, count),) = draws.counts().items()
    source = Path(__file__).read_text().splitlines()
    assert source[draw.line - 1].strip() == "np.random.default_rng()"
    assert (draw.path, count) == (__file__, 3)


def test_a_seeded_state_is_the_type_it_always_was() -> None:
    def look() -> None:
        state = np.random.RandomState(3)
        assert type(state) is np.random.RandomState is ImportedEarly
        assert isinstance(state, np.random.RandomState)
        assert pickle.loads(pickle.dumps(state)).randint(1000) == state.randint(1000)

    assert notice(look) == []


def test_a_library_that_draws_for_the_user_is_told_by_the_users_line() -> None:
    qmc = pytest.importorskip("scipy.stats.qmc")

    assert notice(lambda: qmc.Sobol(d=2)) == [("numpy.random", 1)]
    assert notice(lambda: qmc.Sobol(d=2, rng=3)) == []


def test_seeded_estimators_draw_nothing_else() -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.cluster import KMeans
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 4)), rng.integers(0, 2, size=60)
    forest = RandomForestClassifier(n_estimators=3, random_state=1)
    folds = StratifiedKFold(2, shuffle=True, random_state=np.random.RandomState(3))
    estimators = [
        forest,
        clone(forest).set_params(n_jobs=2, random_state=np.random.RandomState(3)),
        HistGradientBoostingClassifier(max_iter=3, early_stopping=True, random_state=1),
        KMeans(2, n_init=2, random_state=1),
        MLPClassifier((3,), max_iter=2, random_state=1),
        GridSearchCV(forest, {"max_depth": [1, 2]}, cv=folds),
    ]

    with pytest.warns(Warning, match="converge"):
        found = notice(lambda: [clone(estimator).fit(rows, labels) for estimator in estimators])

    assert found == []


def test_threads_are_noticed_and_told_apart_from_what_hides_in_another() -> None:
    def work() -> None:
        for _ in range(50):
            np.random.RandomState(3)
            np.random.default_rng()

    def crowd() -> None:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert notice(crowd) == [("numpy.random.default_rng", 200)]


def test_of_nested_blocks_the_inner_one_counts_and_the_outer_goes_on() -> None:
    outer, inner = Draws(), Draws()

    with noticed(outer):
        with noticed(inner):
            os.urandom(1)
            np.random.default_rng()
            np.random.RandomState()
        random.Random()

    assert sorted(draw.what for draw in inner.counts()) == [
        "numpy.random.RandomState",
        "numpy.random.default_rng",
        "os.urandom",
    ]
    assert [draw.what for draw in outer.counts()] == ["random.Random"]


def replaced() -> list[object]:
    """Return what a block replaces, as it is now."""
    from numpy.random import bit_generator, mtrand

    places = [
        (os, "urandom"),
        (random, "_urandom"),
        (random.Random, "seed"),
        (random.Random, "setstate"),
        (random, "seed"),
    ]
    return [vars(owner)[name] for owner, name in [*places, (bit_generator, "randbits"), (mtrand, "_MT19937")]]


def test_everything_is_put_back_even_after_an_error() -> None:
    before = replaced()

    with pytest.raises(ZeroDivisionError), noticed(Draws()):
        _ = 1 / 0

    assert replaced() == before


def test_a_patch_that_outlives_its_block_leaves_nothing_of_ours_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, patched, draws = os.urandom, monkeypatch.context(), Draws()
    with noticed(draws):
        patch = patched.__enter__()
        patch.setattr(os, "urandom", lambda size: b"\0" * size)
    assert os.urandom(2) == b"\0\0"
    patched.__exit__(None, None, None)

    os.urandom(2)  # hands through what is over
    again = Draws()
    with noticed(again):
        os.urandom(2)

    assert draws.counts() == {}
    assert list(again.counts().values()) == [1]
    assert os.urandom is genuine


def test_numpy_that_loads_inside_the_block_is_watched(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pytest_mlrun.pillars.unpinned import Draws, noticed\n"
        "assert 'numpy' not in sys.modules\n"
        "draws = Draws()\n"
        "with noticed(draws):\n"
        "    import numpy\n"
        "    numpy.random.default_rng()\n"
        "    numpy.random.RandomState(3)\n"
        "print([(draw.line, draw.what) for draw in draws.counts()])\n"
    )

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "[(7, 'numpy.random.default_rng')]\n"
