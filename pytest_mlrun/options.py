"""Define every option once: flag, environment variable, configuration key and default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from pytest_mlrun.records.names import MAX_NAME_CHARS, STORE_FOLDER, is_name


# Tuples, not dataclasses: those take four times as long to make, at every start of pytest.
class Option(NamedTuple):
    """One row of the option table.

    Attributes:
        key: Configuration key and, in capitals with ``PYTEST_`` before it, the environment variable.
        kind: ``flag`` takes no value on the command line.
        default: Value where nothing is said.
        metavar: Placeholder of the value in ``--help``.
        help: Sentence for ``--help`` and the reference.
    """

    key: str
    kind: Literal["flag", "text", "integer"]
    default: bool | str | int | None
    metavar: str | None
    help: str

    @property
    def flag(self) -> str:
        """Command-line spelling."""
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """Environment variable."""
        return "PYTEST_" + self.key.upper()


OPTIONS = (
    Option("mlrun", "flag", False, None, "Run training experiments and record them; without it they are skipped."),
    Option(
        "mlrun_store",
        "text",
        STORE_FOLDER,
        "PATH",
        "Folder of the run store; in a configuration file relative to the root directory.",
    ),
    Option("mlrun_experiment", "text", None, "NAME", "Record under this experiment, whatever the markers say."),
    Option("mlrun_from", "text", None, "RUN", "Branch from a recorded run: its case, its seed, its data."),
    Option("mlrun_replay", "text", None, "RUN", "Make a recorded run again, in a process of its own, and compare."),
    Option("mlrun_seed", "integer", 0, "N", "Seed of experiments whose marker gives none, from 0 to 4294967295."),
    Option("mlrun_clean_tree", "flag", False, None, "Refuse to train while the git tree has uncommitted changes."),
    Option("mlrun_register", "flag", False, None, "Register the models that tests ask for, if everything passed."),
    Option("mlrun_release", "flag", False, None, 'Ask proof of every gate that is not written require="value".'),
    Option(
        "mlrun_inconclusive",
        "text",
        "warn",
        "warn|fail",
        'What a gate does that cannot be decided; fail: only what is proven passes, if not written require="value".',
    ),
    Option(
        "mlrun_gates",
        "integer",
        None,
        "N",
        "Number of primary gates that share the error rate, of all shards; default those collected here.",
    ),
    Option(
        "mlrun_update_baselines",
        "flag",
        False,
        None,
        "Rewrite the committed baselines that gates name from this session's runs, and fail, so that a person looks.",
    ),
    Option(
        "mlrun_entropy",
        "text",
        "detect",
        "detect|off",
        "Whether randomness without a seed is looked for, where the marker does not say.",
    ),
    Option("mlrun_selftest", "flag", False, None, "Test the gates recorded last instead of training: can they fail?"),
    Option("mlrun_junit", "flag", False, None, "Add each run's id, params and metrics to its JUnit test case."),
)
_WANTED: Mapping[str, str] = {"flag": "true or false", "text": "text", "integer": "a whole number"}
_INI_TYPES: Mapping[str, Literal["bool", "string", "int"]] = {"flag": "bool", "text": "string", "integer": "int"}


class Settings(NamedTuple):
    """The options in force.

    Attributes:
        from_run: The run to branch from, as it was named.
        replay: The run to make again, as it was named.
        typed_seed: Whether the seed was typed or exported for this session, and is no default of the project.
        release: Whether gates must be proven.
        inconclusive: ``warn`` or ``fail``: what a gate does that cannot be decided.
        gates: Number of primary gates, if it was said.
        update_baselines: Whether runs become the baselines of their gates.
        entropy: Whether draws without a seed are looked for.
        selftest: Whether recorded gates are tested, and nothing is trained.
        branch_seed: Seed, and where it comes from, of all runs of a session that branches or replays.
    """

    mlrun: bool
    store: Path
    experiment: str | None
    seed: int
    clean_tree: bool
    register: bool
    junit: bool
    from_run: str | None
    replay: str | None
    typed_seed: bool
    release: bool
    inconclusive: str
    gates: int | None
    update_baselines: bool
    entropy: Literal["detect", "off"] = "detect"
    selftest: bool = False
    branch_seed: tuple[int, str] | None = None


SETTINGS = pytest.StashKey[Settings]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the table to pytest."""
    group = parser.getgroup("mlrun", "training experiments (pytest-mlrun)")
    for option in OPTIONS:
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.key, action="store_true", default=None, help=option.help)
        else:
            kind = int if option.kind == "integer" else str
            group.addoption(
                option.flag, dest=option.key, type=kind, metavar=option.metavar, default=None, help=option.help
            )
        parser.addini(option.key, option.help, type=_INI_TYPES[option.kind], default=None)


def read_settings(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every option: command line before environment before configuration before default.

    Raises:
        pytest.UsageError: If a value is not of the option's kind.
    """
    values = {option.key: _read(config, environ, option) for option in OPTIONS}
    seed = values["mlrun_seed"]
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise pytest.UsageError(f"--mlrun-seed: expected a whole number from 0 to 4294967295, found {seed}")
    experiment = values["mlrun_experiment"]
    if experiment is not None and not is_name(str(experiment)):
        raise pytest.UsageError(
            f"--mlrun-experiment: expected one line of 1 to {MAX_NAME_CHARS} characters, found {experiment!r}"
        )
    return Settings(
        mlrun=bool(values["mlrun"]),
        store=_store_path(config, environ, str(values["mlrun_store"])),
        experiment=None if experiment is None else str(experiment),
        seed=seed,
        clean_tree=bool(values["mlrun_clean_tree"]),
        register=bool(values["mlrun_register"]),
        junit=bool(values["mlrun_junit"]),
        from_run=None if values["mlrun_from"] is None else str(values["mlrun_from"]),
        replay=None if values["mlrun_replay"] is None else str(values["mlrun_replay"]),
        typed_seed=_is_typed(config, environ, "mlrun_seed"),
        release=bool(values["mlrun_release"]),
        inconclusive=_read_inconclusive(values["mlrun_inconclusive"]),
        gates=_read_gates(values["mlrun_gates"]),
        update_baselines=bool(values["mlrun_update_baselines"]),
        entropy=_read_entropy(values["mlrun_entropy"]),
        selftest=bool(values["mlrun_selftest"]),
    )


def asks_for_replay(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the session is to make a recorded run again."""
    return _is_typed(config, environ, "mlrun_replay") or bool(config.getini("mlrun_replay"))


def _read_inconclusive(value: object) -> str:
    if value not in {"warn", "fail"}:
        raise pytest.UsageError(f"--mlrun-inconclusive: expected warn or fail, found {value!r}")
    return str(value)


def _read_entropy(value: object) -> Literal["detect", "off"]:
    if value == "detect":
        return "detect"
    if value == "off":
        return "off"
    raise pytest.UsageError(f"--mlrun-entropy: expected detect or off, found {value!r}")


def _read_gates(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise pytest.UsageError(f"--mlrun-gates: expected a whole number from 1 on, found {value!r}")
    return value


def _store_path(config: pytest.Config, environ: Mapping[str, str], written: str) -> Path:
    if not written.strip():
        # An empty path would turn the current folder into the store.
        raise pytest.UsageError("--mlrun-store: expected a folder, found an empty path")
    # As shells do: what is typed or exported is relative to where one stands; what a file says, to that file's folder.
    typed = _is_typed(config, environ, "mlrun_store")
    base = config.invocation_params.dir if typed else config.rootpath
    path = base / Path(written).expanduser()
    if typed:
        # xdist hands the option to its workers, which may stand elsewhere.
        config.option.mlrun_store = str(path)
    return path


def _is_typed(config: pytest.Config, environ: Mapping[str, str], key: str) -> bool:
    return config.getoption(key, None) is not None or environ.get("PYTEST_" + key.upper(), "") != ""


def _read(config: pytest.Config, environ: Mapping[str, str], option: Option) -> bool | str | int | None:
    given = config.getoption(option.key, None)
    if given is None and environ.get(option.variable, "") != "":
        given = _parse(option, environ[option.variable])
    # Every key is read at start: a wrong type in [tool.pytest] raises here, and not inside some test.
    written = _read_ini(config, option)
    found = written if given is None else given
    return option.default if found is None else found


def _read_ini(config: pytest.Config, option: Option) -> bool | str | int | None:
    try:
        found: bool | str | int | None = config.getini(option.key)
    except (pytest.UsageError, TypeError, ValueError) as error:
        if option.key in str(error):
            raise
        raise pytest.UsageError(
            f"{option.key}: expected {_WANTED[option.kind]} in the configuration: {error}"
        ) from None
    return found


def _parse(option: Option, text: str) -> bool | str | int:
    if option.kind == "text":
        return text
    try:
        if option.kind == "integer":
            return int(text)
        return {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }[text.lower()]
    except (KeyError, ValueError):
        raise pytest.UsageError(f"{option.variable}: expected {_WANTED[option.kind]}, found {text!r}") from None
