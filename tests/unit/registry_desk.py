"""A repository with a remote, signers and runs, in which tests act as its people."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.store import Store

MODEL = b"a fitted model"
DATA = "sha256:" + "d" * 64
CONFIG = """\
[registry]
signers = "signers"

[aliases.production]
approvals = 1
roles = ["ml-lead"]
archives = true
"""


@dataclass
class Desk:
    """The repository.

    Attributes:
        path: Its folder, which is the project's too.
        remote: Bare repository that it is pushed to.
        keys: Folder of everybody's keys.
        console: Makes a console that remembers.
        make_run: Makes a run.
    """

    path: Path
    remote: Path
    keys: Path
    console: Callable[..., Console]
    make_run: Callable[..., RunRecord]

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git; everybody's own settings are out of sight."""
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=folder or self.path,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.strip()

    def commit(self, message: str, *, push: bool = True) -> str:
        """Commit everything and push it, refs of model versions included."""
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")
        if push:
            self.push()
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Push the branch, and what keeps the commits of model versions."""
        self.git("push", "-q", "origin", "HEAD:main", *self.refs())

    def refs(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", "refs/mlrun").split()

    def key(self, name: str) -> Path:
        """Return somebody's key, made on first use."""
        path = self.keys / name
        if not path.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
            subprocess.run(command, check=True, timeout=60)
        return path

    def signer(self, name: str, namespaces: str, *, options: str = "") -> str:
        """Return a line of the signers' file."""
        public = " ".join(self.key(name).with_suffix(".pub").read_text().split()[:2])
        return f'{name}@example.org namespaces="{namespaces}"{options} {public}\n'

    def record(self, name: str, **changes: object) -> RunRecord:
        """Put a run that passed into the store: trained on a clean tree, with a model, a gate and data."""
        store = Store.open(self.path / ".pytest_mlrun", create=True)
        digest, size = store.objects.put_bytes(MODEL + name.encode())
        context = {
            "code.commit": json.dumps(self.git("rev-parse", "HEAD")),
            "code.dirty": "false",
            "rand.seed": "42",
            "data.churn.digest": json.dumps(DATA),
        }
        gate = Verdict("floor", "val_roc_auc", "PASS", estimate=0.9, bound=0.8)
        defaults: dict[str, object] = {
            "context": context,
            "params": {"depth": "3"},
            "metrics": {"val_roc_auc": 0.9},
            "gates": (gate,),
            "artifacts": (Artifact("model.skops", digest, size, role="model"),),
        }
        context.update(changes.pop("facts", {}))  # type: ignore[call-overload]
        run = self.make_run(name, **{**defaults, **changes})
        _write(store, run)
        return run

    def do(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``pytest-mlrun`` here; return exit code, output and errors."""
        console = self.console(folder=self.path)
        code = main(list(arguments), console=console)
        return code, _text(console.out), _text(console.err)

    def register(self, name: str, *, key: str = "ada", model: str = "churn") -> None:
        """Record a run and register it, signed, committed and pushed."""
        self.record(name)
        code, _, err = self.do("register", name, "--name", model, "--key", str(self.key(key)), "--note", "why not")
        assert code == 0, err
        self.commit(f"register {name}")

    def approve(self, ref: str, *, key: str, alias: str = "production", more: tuple[str, ...] = ()) -> tuple[int, str]:
        """Approve a version; return exit code and what was said."""
        code, out, err = self.do("approve", ref, alias, "--note", "checked", "--key", str(self.key(key)), *more)
        return code, out + err

    def promote(self, ref: str, alias: str = "production") -> tuple[int, str]:
        """Promote a version; return exit code and what was said."""
        code, out, err = self.do("promote", ref, alias, "--note", "because")
        return code, out + err


def begin(folder: Path) -> None:
    """Make the folders of a desk: ``project``, ``remote`` and ``keys``."""
    for name in ("project", "remote", "keys"):
        (folder / name).mkdir()
    made = Desk(folder / "project", folder / "remote", folder / "keys", Console, RunRecord)
    made.git("init", "-q", "--bare", "-b", "main", folder=made.remote)
    made.git("init", "-q", "-b", "main")
    made.git("remote", "add", "origin", str(made.remote))
    (made.path / ".gitignore").write_text(".pytest_mlrun/\n")
    (made.path / "mlrun.toml").write_text(CONFIG)
    signers = made.signer("ada", "mlrun-register") + made.signer("bob", "mlrun-approve-ml-lead")
    (made.path / "signers").write_text(signers)
    made.commit("begin")


def _write(store: Store, run: RunRecord) -> None:
    from pytest_mlrun.records.run import RunEnd, RunStart

    writer = store.writer(session_id=run.session_id)
    writer.start(RunStart(**{name: getattr(run, name) for name in RunStart.__slots__}))
    for metric, value in run.metrics.items():
        writer.append(writer.channel(run.run_id, metric), value, None)
    for verdict in run.gates:
        writer.gate(run.run_id, verdict)
    for artifact in run.artifacts:
        writer.artifact(run.run_id, artifact)
    writer.finish(run.run_id, RunEnd(**{name: getattr(run, name) for name in RunEnd.__slots__}))
    writer.close()


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
