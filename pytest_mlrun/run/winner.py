"""The winner of a sweep, as the test that judges it sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_mlrun.errors import StoreError

if TYPE_CHECKING:
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.store.reader import Reader


class Winner:
    """The best run of an experiment, by the rule of ``@pytest.mark.mlrun_select``: finished, read-only.

    A test that carries the marker finds it as ``mlrun.winner``.
    """

    def __init__(self, record: RunRecord, reader: Reader) -> None:
        self._record = record
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Winner {self.name} {self._record.short_id}>"

    @property
    def run_id(self) -> str:
        """UUIDv7 of the run; its last 8 digits name it on the command line."""
        return self._record.run_id

    @property
    def name(self) -> str:
        """Run name."""
        return self._record.name

    @property
    def experiment(self) -> str:
        """Name of its experiment."""
        return self._record.experiment

    @property
    def seed(self) -> int:
        """What its generators started from.

        Raises:
            StoreError: If the record does not say.
        """
        recorded = self._record.context.get("rand.seed")
        if recorded is None:
            raise StoreError(
                f"the winner {self._record.short_id} has no recorded seed",
                where=f"run {self._record.name}",
                next_step="choose among runs that pytest --mlrun recorded",
            )
        return int(json.loads(recorded))

    @property
    def params(self) -> Mapping[str, object]:
        """Its params, as JSON values."""
        from pytest_mlrun.rules.params import read_param

        return MappingProxyType({name: read_param(text) for name, text in self._record.params.items()})

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last value of every metric that it logged."""
        return MappingProxyType(dict(self._record.metrics))

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""
        return MappingProxyType(dict(self._record.tags))

    def load_model(self, name: str = "model", *, unsafe: bool = False, trusted: Sequence[str] = ()) -> object:
        """Load the model that it logged; see ``pytest_mlrun.load_model``.

        Args:
            name: What ``log_model`` was given; the suffix may be left out.
            unsafe: Whether to load what can run code: a pickle, or types that nobody vouched for.
            trusted: Types of your own that the model may hold, such as ``churn.features.Ratio``.

        Raises:
            ArtifactError: If it logged no such model, or the model may not or cannot be loaded.
            StoreDamagedError: If its bytes are not what was stored.
        """
        from pytest_mlrun.run.loading import load_model

        return load_model(self._record, name, store=self._reader, unsafe=unsafe, trusted=trusted)

    def artifact(self, name: str) -> bytes:
        """Return the bytes of an artifact that it logged, compared with their digest.

        Raises:
            ArtifactError: If it has no such artifact.
            StoreDamagedError: If its bytes are not what was stored.
        """
        return self._reader.read_artifact(self._record, name)
