"""Say what went wrong in four parts: asked, found, where, and what to do next."""

from __future__ import annotations

from typing import ClassVar


class MlrunError(Exception):
    """Base of every error of pytest-mlrun.

    Args:
        headline: What was asked and what was found, complete on its own, 72 characters or fewer where it can be.
        details: Further lines, such as the files that changed.
        where: The file, marker, test or line concerned.
        next_step: What the reader can do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init_subclass__(cls) -> None:
        # pytest prints module and class before the text: the short, public name leaves room for the headline.
        cls.__module__ = __package__ or ""

    def __init__(self, headline: str, *, details: tuple[str, ...] = (), where: str = "", next_step: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.details = tuple(details)
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.headline, *(f"  {line}" for line in self.details)]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exception.__reduce__ replays only the positional arguments: the keyword facts would be lost on the xdist wire.
        return _rebuild, (type(self), dict(self.__dict__), self.args)


MlrunError.__module__ = __package__ or ""


def _rebuild(kind: type[MlrunError], facts: dict[str, object], args: tuple[object, ...]) -> MlrunError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(MlrunError):
    """An option, ``mlrun.toml`` or ``mlrun.lock`` says something that cannot be meant."""


class MarkerError(MlrunError):
    """A marker, or the place where it is written, is wrong."""


class ParamError(MlrunError):
    """A param cannot be recorded, or would change after it was written once."""


class MetricError(MlrunError):
    """A metric was never logged, or its value is not a number."""


class NamingError(MlrunError):
    """A name breaks the vocabulary of ``[naming]`` in ``mlrun.toml``."""


class ArtifactError(MlrunError):
    """An artifact cannot be stored, found or read safely."""


class RunClosedError(MlrunError):
    """A finished run, or a run of another process, was written to."""


class CodeError(MlrunError):
    """The code pillar does not hold: a dirty tree where a clean one is required, or no version control."""


class DataError(MlrunError):
    """The data pillar does not hold: a snapshot is missing, unlocked or unreadable."""


class DataChangedError(DataError):
    """A snapshot's content is not what ``mlrun.lock`` says."""

    exit_code: ClassVar[int] = 1


class StoreError(MlrunError):
    """The store cannot be opened, read or written."""


class StoreWriteError(StoreError):
    """The store refused a write: no permission, no space, a file-size limit."""


class StoreFormatError(StoreError):
    """The store was written by a newer format than this version reads."""


class StoreDamagedError(StoreError):
    """Bytes of the store are not what was written."""

    exit_code: ClassVar[int] = 3


class StoreConflictError(StoreError):
    """Two stores say different things of one run: at most one of them is true."""

    exit_code: ClassVar[int] = 1


class RunNotFoundError(StoreError):
    """No run, or more than one, answers to the given name."""


class RegistryError(MlrunError):
    """A model, a version or an alias is not there, or what is asked of the registry cannot be done."""


class RegistryDamagedError(RegistryError):
    """An event of the registry is not what was written."""

    exit_code: ClassVar[int] = 3


class LostRaceError(RegistryError):
    """Somebody else wrote the next event of a model first."""

    exit_code: ClassVar[int] = 1


class PolicyError(RegistryError):
    """A version does not meet what the policy of an alias requires."""

    exit_code: ClassVar[int] = 1


class LedgerError(RegistryError):
    """The ledger of looks at held-out rows cannot be written."""


class SignatureError(RegistryError):
    """A signature cannot be made, or is not one that counts."""


class QueryError(MlrunError):
    """A constraint or a sort key cannot be understood."""


class InconclusiveGateWarning(UserWarning):
    """The data of a gate prove neither that it holds nor that it is broken."""


class LedgerWarning(UserWarning):
    """The ledger of looks at held-out rows was edited, or cut short by a crash."""


class NarrowMarginWarning(UserWarning):
    """The margin of a gate is smaller than what training the same model again moves the metric by."""


class GateFailure(MlrunError, AssertionError):  # noqa: N818 - it is the outcome of an assertion, named by the design
    """One or more gates of a run failed."""

    exit_code: ClassVar[int] = 1


class HoldoutSpentError(GateFailure):
    """Held-out rows were looked at as often as they may be."""
