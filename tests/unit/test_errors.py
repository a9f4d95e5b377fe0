"""Every error keeps its facts and survives the wire."""

from __future__ import annotations

import pickle

import pytest

import pytest_mlrun
from pytest_mlrun import errors

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MlrunError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_all_its_facts(kind: type[errors.MlrunError]) -> None:
    error = kind("asked and found", details=("one", "two"), where="here", next_step="do that")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert (copy.headline, copy.details, copy.where, copy.next_step) == (
        "asked and found",
        ("one", "two"),
        "here",
        "do that",
    )
    assert str(copy) == str(error) == "asked and found\n  one\n  two\n  where: here\n  next:  do that"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_public_under_a_short_name(kind: type[errors.MlrunError]) -> None:
    assert f"{kind.__module__}.{kind.__qualname__}" == f"pytest_mlrun.{kind.__name__}"
    assert getattr(pytest_mlrun, kind.__name__) is kind


def test_an_error_shows_only_the_parts_it_has() -> None:
    assert str(errors.ConfigError("alone")) == "alone"


def test_a_failed_gate_is_an_assertion_error() -> None:
    assert issubclass(errors.GateFailure, AssertionError)


def test_the_exit_codes_are_those_of_the_program() -> None:
    codes = {kind.__name__: kind.exit_code for kind in ERRORS}

    assert {name for name, code in codes.items() if code == 1} == {
        "DataChangedError",
        "GateFailure",
        "HoldoutSpentError",
        "LostRaceError",
        "PolicyError",
        "StoreConflictError",
    }
    assert {name for name, code in codes.items() if code == 3} == {"StoreDamagedError", "RegistryDamagedError"}
    assert set(codes.values()) == {1, 2, 3}
