"""Training runs are tests; their results are evidence."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.errors import (
        ArtifactError,
        CodeError,
        ConfigError,
        DataChangedError,
        DataError,
        GateFailure,
        HoldoutSpentError,
        InconclusiveGateWarning,
        LedgerError,
        LedgerWarning,
        LostRaceError,
        MarkerError,
        MetricError,
        MlrunError,
        NamingError,
        NarrowMarginWarning,
        ParamError,
        PolicyError,
        QueryError,
        RegistryDamagedError,
        RegistryError,
        RunClosedError,
        RunNotFoundError,
        SignatureError,
        StoreConflictError,
        StoreDamagedError,
        StoreError,
        StoreFormatError,
        StoreWriteError,
    )
    from pytest_mlrun.integrations import lightgbm, optuna, torch, xgboost
    from pytest_mlrun.records.episode import Episode
    from pytest_mlrun.records.run import Artifact, RunRecord
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.run.loading import load_model
    from pytest_mlrun.run.outside import open_store, record
    from pytest_mlrun.run.run import Run
    from pytest_mlrun.run.winner import Winner
    from pytest_mlrun.store.bundle import open_bundle

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "ArtifactError",
    "CodeError",
    "ConfigError",
    "DataChangedError",
    "DataError",
    "Episode",
    "GateFailure",
    "HoldoutSpentError",
    "InconclusiveGateWarning",
    "LedgerError",
    "LedgerWarning",
    "LostRaceError",
    "MarkerError",
    "MetricError",
    "MlrunError",
    "NamingError",
    "NarrowMarginWarning",
    "ParamError",
    "PolicyError",
    "QueryError",
    "RegistryDamagedError",
    "RegistryError",
    "Run",
    "RunClosedError",
    "RunNotFoundError",
    "RunRecord",
    "SignatureError",
    "Snapshot",
    "StoreConflictError",
    "StoreDamagedError",
    "StoreError",
    "StoreFormatError",
    "StoreWriteError",
    "Verdict",
    "Winner",
    "lightgbm",
    "load_model",
    "open_bundle",
    "open_store",
    "optuna",
    "record",
    "torch",
    "xgboost",
]

# Doors to neighbours: modules, whose functions take the run first.
_NEIGHBOURS = ("lightgbm", "optuna", "torch", "xgboost")
_HOMES = {
    "Artifact": "pytest_mlrun.records.run",
    "Episode": "pytest_mlrun.records.episode",
    "Run": "pytest_mlrun.run.run",
    "RunRecord": "pytest_mlrun.records.run",
    "Snapshot": "pytest_mlrun.records.snapshot",
    "Verdict": "pytest_mlrun.records.verdict",
    "Winner": "pytest_mlrun.run.winner",
    "load_model": "pytest_mlrun.run.loading",
    "open_bundle": "pytest_mlrun.store.bundle",
    "open_store": "pytest_mlrun.run.outside",
    "record": "pytest_mlrun.run.outside",
}


def __getattr__(name: str) -> object:
    # pytest imports this package at every start, used or not: each name is loaded when somebody asks for it.
    __tracebackhide__ = True
    if name not in __all__:
        hint = "; take the mlrun fixture: it logs" if name.startswith(("log_", "set_tag", "start_run")) else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    if name in _NEIGHBOURS:
        return import_module(f"pytest_mlrun.integrations.{name}")
    return getattr(import_module(_HOMES.get(name, "pytest_mlrun.errors")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
