"""A repository of its own trains, registers, then loses everything but its record: the audit makes the model again."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_mlrun.audit.installing import Installer, InstallError, describe_wanted
from pytest_mlrun.audit.interpreter import Interpreter
from pytest_mlrun.audit.locks import Pins
from pytest_mlrun.audit.own_copy import install_own_copy
from pytest_mlrun.audit.rehash import find_edited
from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from pytest_mlrun.store.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(sys.executable).with_name("uv").exists(), reason="needs uv: the extra 'audit'"),
]

UV = str(Path(sys.executable).with_name("uv"))
ROOTS = ("pytest", "pyarrow", "numpy", "scikit-learn", "scipy", "filelock")
TEST = """\
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tinydep
from sklearn.linear_model import LogisticRegression

DOOR = Path({door!r})


@pytest.mark.mlrun(experiment="churn", data="churn", seed=7)
@pytest.mark.parametrize("C", [0.1, 1.0])
def test_train(mlrun, C):
    if DOOR.exists():
        DOOR.write_text(str(os.getpid()))
        time.sleep(600)
    rows = np.loadtxt(mlrun.data["churn"], delimiter=",")
    order = np.random.permutation(len(rows))
    X, y = rows[order, :-1], rows[order, -1].astype(int)
    model = LogisticRegression(C=C * tinydep.ONE).fit(X[:200], y[:200])
    for step in range(3):
        mlrun.log_metric("loss", step + np.random.rand(), step=step)
    mlrun.evaluate("val", y[200:], model.predict_proba(X[200:])[:, 1], metrics=["roc_auc", "accuracy"])
    mlrun.log_model(model)
"""
CONFIG = '[data.churn]\npath = "data/churn.csv"\nkeep = "copy"\n'


def needed() -> list[str]:
    """Return what the plugin and a training need, as it is installed here."""
    found: dict[str, None] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            needs = [Requirement(text) for text in requires(name) or []]
            waiting += [
                canonicalize_name(one.name) for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return list(found)


def listen(door: Path) -> int:
    """Return the process id that somebody writes into a pipe."""
    descriptor = os.open(door, os.O_RDWR | os.O_NONBLOCK)  # open for writing too: it has no end before it begins
    try:
        ready, _, _ = select.select([descriptor], [], [], 120)
        assert ready, "nobody came to the door"
        return int(os.read(descriptor, 100))
    finally:
        os.close(descriptor)


class Index:
    """A package index on this machine with one distribution, whose files its owner may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "simple" / "tinydep").mkdir(parents=True)
        handler = partial(_Quiet, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.publish()

    def publish(self, *, one: str = "1.0", yanked: bool = False, there: bool = True) -> str:
        """Upload the wheel, or another one under its name; return its digest."""
        place = self.folder / "simple" / "tinydep"
        name = "tinydep-1.0-py3-none-any.whl"
        about = "tinydep-1.0.dist-info"
        files = {
            "tinydep.py": f"ONE = {one}\n",
            f"{about}/METADATA": "Metadata-Version: 2.1\nName: tinydep\nVersion: 1.0\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        lines = [
            f"{path},sha256="
            + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            + f",{len(text)}"
            for path, text in files.items()
        ]
        files[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,"]) + "\n"
        with zipfile.ZipFile(place / name, "w") as wheel:
            for path, text in files.items():
                wheel.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
        digest = hashlib.sha256((place / name).read_bytes()).hexdigest()
        mark = f' data-yanked="{html.escape("broken")}"' if yanked else ""
        link = f'<a href="{name}#sha256={digest}"{mark}>{name}</a>' if there else ""
        (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
        return digest


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@dataclass
class Toy:
    """The repository.

    Attributes:
        path: Its folder.
        door: Where a training says that it began, if this exists.
        cache: Downloads that the audits of this module share.
        index: The index that has ``tinydep``.
    """

    path: Path
    door: Path
    cache: Path
    index: Index

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        done = subprocess.run(command, cwd=self.path, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def do(
        self, *arguments: str, cache: Path | None = None, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``pytest-mlrun`` as the auditor."""
        command = [sys.executable, "-m", "pytest_mlrun", *arguments]
        if arguments[0] == "audit":
            command += ["--cache", str(cache or self.cache)]
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environ | (environ or {}),
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def audit(self, ref: str = "churn/1", *more: str, cache: Path | None = None) -> tuple[int, dict[str, object]]:
        done = self.do("audit", ref, "--json", "--no-event", *more, cache=cache)
        assert done.stdout, done.stderr
        record: dict[str, object] = json.loads(done.stdout)
        return done.returncode, record

    @property
    def environ(self) -> dict[str, str]:
        scratch = self.path.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))}
        return kept | {"TMPDIR": str(scratch)}

    def leftovers(self) -> list[str]:
        """Return what audits left behind."""
        kept = [path.name for path in (self.path.parent / "scratch").glob("mlrun-audit-*")]
        return kept + self.git("worktree", "list").splitlines()[1:]


def pillar(record: dict[str, object], name: str) -> dict[str, object]:
    pillars = record["pillars"]
    assert isinstance(pillars, list)
    found: dict[str, object] = next(one for one in pillars if one["name"] == name)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A repository that locked its environment, trained in it, registered, and lost the environment."""
    base = tmp_path_factory.mktemp("audit")
    index = Index(base / "index")
    toy = Toy(base / "toy", base / "door", base / "cache", index)
    (toy.path / "data").mkdir(parents=True)
    toy.git("init", "-q", "-b", "main")
    rows = [f"{(i * 37 % 101) / 10},{(i * 53 % 89) / 10},{int(i * 37 % 101 + i % 7 > 50)}" for i in range(300)]
    (toy.path / "data" / "churn.csv").write_text("\n".join(rows) + "\n")
    (toy.path / "mlrun.toml").write_text(CONFIG)
    (toy.path / "test_churn.py").write_text(TEST.format(door=str(toy.door)))
    (toy.path / ".gitignore").write_text(".pytest_mlrun/\n__pycache__/\ndata/\n")
    (base / "wanted").write_text("".join(f"{name}=={version(name)}\n" for name in needed()) + "tinydep==1.0\n")
    subprocess.run(
        [
            *(UV, "pip", "compile", "-q", "--generate-hashes", "--no-deps", "--no-header", "--emit-index-url"),
            *("--extra-index-url", index.url, "--python-version", "{}.{}.{}".format(*sys.version_info[:3])),
            *(str(base / "wanted"), "-o", str(toy.path / "requirements.txt"), "--cache-dir", str(toy.cache)),
        ],
        check=True,
        timeout=300,
        cwd=base,
    )
    assert toy.do("data", "lock").returncode == 0
    toy.commit("a model")
    environment = train_in_new_environment(toy)
    shutil.rmtree(environment)
    registered = toy.do("register", "test_train[1.0]", "--name", "churn", "--note", "first")
    assert registered.returncode == 0, registered.stderr
    toy.commit("register churn/1")
    yield toy
    index.server.shutdown()
    index.server.server_close()


def train_in_new_environment(toy: Toy, *, lock: Path | None = None) -> Path:
    environment = toy.path.parent / "environment"
    python = environment / "bin" / "python"
    for command in (
        [UV, "venv", "-q", "--python", os.path.realpath(sys.executable), str(environment)],
        [
            *(UV, "pip", "install", "-q", "--no-deps", "--require-hashes", "--python", str(python)),
            *("-r", str(lock or toy.path / "requirements.txt"), "--cache-dir", str(toy.cache)),
            *("--link-mode", "copy", "--index-strategy", "unsafe-best-match"),
        ],
    ):
        subprocess.run(command, check=True, timeout=300, cwd=toy.path.parent)
    install_own_copy(next(iter(environment.glob("lib/python*/site-packages"))))
    subprocess.run(
        [str(python), "-m", "pytest", "-q", "--mlrun", "-p", "no:cacheprovider", "test_churn.py"],
        cwd=toy.path,
        env=toy.environ | {"PYTHONHASHSEED": "3", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    return environment


@pytest.fixture
def toy(trained: Toy, tmp_path: Path) -> Toy:
    """The repository, to be spoilt."""
    shutil.copytree(trained.path, tmp_path / "toy", symlinks=True)
    trained.index.publish()
    return replace(trained, path=tmp_path / "toy")


def write_run(store: Store, run: RunRecord, *, points: Mapping[str, list[tuple[int, float]]] | None = None) -> None:
    writer = store.writer(session_id=run.session_id)
    writer.start(RunStart(**{name: getattr(run, name) for name in RunStart.__slots__}))
    for metric, value in run.metrics.items():
        for step, point in (points or {}).get(metric, [(None, value)]):
            writer.append(writer.channel(run.run_id, metric), point, step)
    for artifact in run.artifacts:
        writer.artifact(run.run_id, artifact)
    writer.finish(run.run_id, RunEnd(**{name: getattr(run, name) for name in RunEnd.__slots__}))
    writer.close()


def write_as_if_trained_with(store: Store, python: str, *, drift: float) -> None:
    """Write a run "older", which differs from a recorded one in its interpreter, and in a metric by a little."""
    reader = store.reader()
    run = reader.find("test_train[1.0]")
    document = json.loads(reader.read_artifact(run, "environment.json"))
    document["python"]["version"] = python
    digest, size = store.objects.put_bytes(json.dumps(document).encode())
    older = replace(
        run,
        run_id=run.run_id[:-8] + "00000002",
        name="older",
        context={**run.context, "env.python": json.dumps(python)},
        metrics={**run.metrics, "val_roc_auc": run.metrics["val_roc_auc"] + drift},
        artifacts=tuple(
            replace(one, digest=digest, size_bytes=size) if one.name == "environment.json" else one
            for one in run.artifacts
        ),
    )
    points = {name: reader.series(run.run_id, name) for name in run.series}
    stepped = {name: list(zip(one.steps, one.values, strict=True)) for name, one in points.items()}
    write_run(store, older, points=stepped)


def test_code_data_lock_and_environment_are_gone_and_the_model_is_reproduced_bit_for_bit(toy: Toy) -> None:
    (toy.path / "test_churn.py").write_text("def test_other(): pass\n")
    (toy.path / "requirements.txt").write_text("scikit-learn==1.5.0\n")
    (toy.path / "mlrun.lock").write_text('{"version": 1, "data": {}}\n')
    (toy.path / "data" / "churn.csv").write_text("nothing\n")
    toy.commit("all is new")
    before = {path: path.read_bytes() for path in sorted(toy.path.rglob("*")) if path.is_file()}

    code, record = toy.audit()

    assert (code, record["verdict"], record["level"]) == (0, "REPRODUCED_EXACTLY", "L0")
    assert {one["status"] for one in record["metrics"]} == {"exact"}  # type: ignore[attr-defined]
    pillars = record["pillars"]
    assert isinstance(pillars, list)
    assert {one["name"]: one["status"] for one in pillars} == {
        "record": "finding",
        "code": "pass",
        "data": "pass",
        "interpreter": "pass",
        "environment": "finding",
        "randomness": "pass",
        "replay": "pass",
    }
    assert {path: path.read_bytes() for path in sorted(toy.path.rglob("*")) if path.is_file()} == before
    assert toy.leftovers() == []


def test_an_audit_that_reproduces_meets_what_a_policy_requires(toy: Toy) -> None:
    (toy.path / "mlrun.toml").write_text(CONFIG + '[aliases.production]\nrequires = ["replayed"]\n')
    refused = toy.do("promote", "churn/1", "production", "--note", "now")
    audited = toy.do("audit", "churn/1", "--note", "the quarter's")

    events = sorted((toy.path / "mlrun-registry" / "churn").glob("*.json"))
    body = json.loads(events[-1].read_bytes())["body"]

    assert "replayed  nobody has reproduced it yet" in refused.stderr
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert (body["verdict"], body["level"], body["version"]) == ("REPRODUCED_EXACTLY", "L0", 1)
    assert json.loads(Store.open(toy.path / ".pytest_mlrun").objects.read(body["report"]))["verdict"] == body["verdict"]
    later = toy.do("promote", "churn/1", "production", "--note", "now")
    assert "replayed" not in later.stderr, later.stderr


def test_a_number_that_the_code_does_not_yield_has_diverged(toy: Toy) -> None:
    store = Store.open(toy.path / ".pytest_mlrun")
    run = store.reader().find("test_train[1.0]")
    drifted = replace(
        run,
        run_id=run.run_id[:-8] + "00000001",
        name="drifted",
        metrics={**run.metrics, "val_roc_auc": run.metrics["val_roc_auc"] + 0.02},
        series={},
    )
    write_run(store, drifted)

    code, record = toy.audit("drifted")

    assert (code, record["verdict"]) == (1, "DIVERGED")
    assert "val_roc_auc" in str(record["reason"])
    statuses = {one["name"]: one["status"] for one in record["metrics"]}  # type: ignore[attr-defined]
    assert (statuses["val_roc_auc"], statuses["val_accuracy"]) == ("differs", "exact")


@pytest.mark.parametrize(
    ("drift", "expected"),
    [(0.0, (0, "REPRODUCED_EXACTLY", "L3")), (1e-6, (1, "CONSISTENT", "L3"))],
    ids=["every bit is equal", "the last digits differ"],
)
def test_another_patch_of_the_interpreter_is_a_finding_and_what_it_trains_is_at_best_consistent(
    toy: Toy, drift: float, expected: tuple[int, str, str]
) -> None:
    here, recorded = "{}.{}.{}".format(*sys.version_info[:3]), "{}.{}.99".format(*sys.version_info[:2])
    write_as_if_trained_with(Store.open(toy.path / ".pytest_mlrun"), recorded, drift=drift)

    code, record = toy.audit("older")

    assert (code, record["verdict"], record["level"]) == expected
    assert pillar(record, "interpreter")["status"] == "finding"
    assert f"interpreter: cpython {here} in place of {recorded}: " in str(record["findings"])
    assert toy.leftovers() == []


def test_uncommitted_changes_without_a_lock_are_replayed_from_their_patch_with_findings(toy: Toy) -> None:
    lock = toy.path.parent / "locked.txt"
    (toy.path / "requirements.txt").rename(lock)
    toy.commit("no lock")
    test = toy.path / "test_churn.py"
    test.write_text(test.read_text().replace("[0.1, 1.0]", "[2.0]"))
    (toy.path / "notes.py").write_text("KEPT = True\n")
    shutil.rmtree(train_in_new_environment(toy, lock=lock))
    toy.git("checkout", "-q", "--", ".")
    (toy.path / "notes.py").unlink()

    # What no lock names must be found in an index that the auditor knows.
    wheels = toy.index.folder / "simple" / "tinydep"
    done = toy.do("audit", "test_train[2.0]", "--json", "--no-event", environ={"UV_FIND_LINKS": str(wheels)})
    record = json.loads(done.stdout)

    findings = str(record["findings"])
    assert (done.returncode, record["verdict"]) == (0, "REPRODUCED_EXACTLY")
    assert "it was trained on uncommitted changes in 2 files: the recorded patch was applied" in findings
    assert "the record names no lock file" in findings
    assert "no lock file pins the bytes of" in findings


def test_a_file_edited_in_the_cache_is_named_and_nothing_is_trained(toy: Toy, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(toy.cache, cache, symlinks=True)
    edited = list(cache.rglob("sklearn/linear_model/_logistic.py"))
    assert edited
    for path in edited:
        path.write_text(path.read_text() + "\n# better\n")

    code, record = toy.audit(cache=cache)

    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    assert record["reason"] == (
        "environment: installed files are not what their wheels said: sklearn/linear_model/_logistic.py"
    )
    assert pillar(record, "replay")["status"] == "unchecked"


def forget_tinydep(toy: Toy, tmp_path: Path) -> Path:
    """Return a cache that has never heard of it."""
    cache = tmp_path / "cache"
    shutil.copytree(toy.cache, cache, symlinks=True)
    subprocess.run([UV, "cache", "clean", "-q", "tinydep", "--cache-dir", str(cache)], check=True, timeout=60)
    return cache


def test_a_yanked_distribution_is_still_installed_and_is_a_finding(toy: Toy, tmp_path: Path) -> None:
    cache = forget_tinydep(toy, tmp_path)
    toy.index.publish(yanked=True)

    code, record = toy.audit(cache=cache)

    assert (code, record["verdict"]) == (0, "REPRODUCED_EXACTLY")
    assert "environment: tinydep==1.0 was withdrawn by its index (yanked)" in str(record["findings"])


@pytest.mark.parametrize(
    ("there", "one"), [(False, "1.0"), (True, "1.5")], ids=["deleted", "uploaded again with other bytes"]
)
def test_a_distribution_that_cannot_be_had_as_it_was_is_named(toy: Toy, tmp_path: Path, there: bool, one: str) -> None:
    cache = forget_tinydep(toy, tmp_path)
    toy.index.publish(there=there, one=one)

    code, record = toy.audit(cache=cache)

    assert (code, record["verdict"]) == (1, "NOT_REPRODUCIBLE")
    assert re.match(r"environment: tinydep==1\.0 cannot be had as it was: ", str(record["reason"]))


def test_an_index_that_cannot_be_reached_is_inconclusive(toy: Toy, tmp_path: Path) -> None:
    cache = forget_tinydep(toy, tmp_path)
    toy.index.server.shutdown()
    toy.index.server.server_close()

    code, record = toy.audit(cache=cache)

    toy.index.server = ThreadingHTTPServer(
        toy.index.server.server_address[:2],
        partial(_Quiet, directory=str(toy.index.folder)),
    )
    threading.Thread(target=toy.index.server.serve_forever, daemon=True).start()
    assert (code, record["verdict"]) == (4, "INCONCLUSIVE")


def test_without_uv_pip_installs_the_same_bytes_and_names_what_it_cannot_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(tmp_path / "index")
    digest = index.publish(yanked=True)
    monkeypatch.setattr(Installer, "uv", None)
    version_here = "{}.{}.{}".format(*sys.version_info[:3])
    installer = Installer(
        tmp_path / "environment",
        Interpreter(Path(os.path.realpath(sys.executable)), version_here, "cpython"),
        tmp_path,
        tmp_path / "log",
        os.environ,
        None,
        time.monotonic() + 300,
    )
    pins = Pins({("tinydep", "1.0"): frozenset({f"sha256:{digest}"})}, ("--extra-index-url", index.url))
    wanted = [describe_wanted({"name": "tinydep", "version": "1.0"}, pins)]

    installer.make()
    installer.install(wanted, pins)
    edited = find_edited(installer.site)
    yanked = list(installer.yanked)
    index.publish(one="1.5")
    shutil.rmtree(installer.folder)
    installer.make()
    with pytest.raises(InstallError, match=r"^tinydep==1\.0 cannot be had as it was: .*(?i:hash)") as refused:
        installer.install(wanted, pins)
    index.server.shutdown()
    index.server.server_close()

    assert (installer.name, edited, yanked) == ("pip", [], ["tinydep==1.0"])
    assert not refused.value.infrastructure


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: signal.Signals(number).name)
def test_an_audit_that_is_interrupted_while_it_trains_leaves_no_process_and_no_file(
    toy: Toy, number: signal.Signals
) -> None:
    os.mkfifo(toy.door)
    command = [sys.executable, "-m", "pytest_mlrun", "audit", "churn/1", "--no-event", "--cache", str(toy.cache)]
    auditor = subprocess.Popen(command, cwd=toy.path, env=toy.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        training = listen(toy.door)

        auditor.send_signal(number)
        auditor.communicate(timeout=60)
    finally:
        auditor.kill()
        toy.door.unlink()

    assert auditor.returncode == (130 if number == signal.SIGINT else 143)
    assert not Path(f"/proc/{training}").exists()
    assert toy.leftovers() == []
    assert toy.git("status", "--short") == ""


def test_a_training_that_takes_too_long_is_inconclusive(toy: Toy) -> None:
    os.mkfifo(toy.door)
    listener = threading.Thread(target=toy.door.read_text, daemon=True)
    listener.start()
    try:
        code, record = toy.audit("churn/1", "--timeout", "60")
    finally:
        toy.door.unlink()

    assert (code, record["verdict"]) == (4, "INCONCLUSIVE")
    assert record["reason"] == "replay: the training was not done after 60 s"
    assert toy.leftovers() == []
