"""List the mistakes of a newcomer's first hour, and what each of them gives to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        title: What went wrong, as its author would say it.
        test: The body of ``test_it.py``.
        reads: What is read of it, line by line, in one piece; ``{folder}`` stands for the folder.
        files: Further files, name to content.
        before: Command lines of ``pytest-mlrun`` that ran before, and ``name << text`` for what was written afterwards.
        arguments: Of pytest.
        command: Arguments of ``pytest-mlrun``, if it is the program that was misused; pytest ran before.
    """

    title: str
    test: str
    reads: str
    files: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("--mlrun",)
    command: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What is read, without the margin of the listing."""
        return dedent(self.reads).strip("\n").splitlines()


LOGS = "def test_it(mlrun): mlrun.log_metric('auc', 0.9)"
OPENS = """
import pytest

@pytest.mark.mlrun(data="churn")
def test_it(mlrun): open(mlrun.data["churn"]).read()
"""
CHURN = {"mlrun.toml": '[data.churn]\npath = "churn.csv"\n', "churn.csv": "1,2\n"}

MISTAKES = (
    # -- the marker and the fixture --
    Mistake(
        "the marker is misspelt",
        """
        import pytest

        @pytest.mark.mlrn(experiment="churn")
        def test_it(mlrun): pass
        """,
        """
        test_it: unknown marker 'mlrn'; did you mean 'mlrun'?
          where: test_it.py::test_it
          next:  write @pytest.mark.mlrun(…); if mlrn is yours, register it: markers = mlrn
        """,
    ),
    Mistake(
        "the marker has a key that it does not know",
        """
        import pytest

        @pytest.mark.mlrun(floor={"auc": 0.9})
        def test_it(mlrun): pass
        """,
        """
        test_it: the mlrun marker takes no argument 'floor'; did you mean 'floors'?
          next:  use one of: experiment, data, seed, tags, floors, ceilings, primary, must_detect, clean_tree, entropy, resources
        """,  # noqa: E501
    ),
    Mistake(
        "the marker is given a name without a key",
        """
        import pytest

        @pytest.mark.mlrun("churn")
        def test_it(mlrun): pass
        """,
        """
        test_it: the mlrun marker takes no positional argument, found 'churn'
          next:  name it, such as experiment='churn'; it takes: experiment, data, seed, tags, floors, ceilings, primary, must_detect, clean_tree, entropy, resources
        """,  # noqa: E501
    ),
    Mistake(
        "a marked test does not take the run",
        """
        import pytest

        @pytest.mark.mlrun(experiment="churn")
        def test_it(): pass
        """,
        """
        test_it: marked mlrun, but it does not take the mlrun fixture
          where: test_it.py::test_it
          next:  write def test_it(mlrun, …), or remove the marker
        """,
    ),
    Mistake(
        "--mlrun was forgotten", LOGS, "nothing was trained: run these experiments with pytest --mlrun", arguments=()
    ),
    Mistake(
        "the experiment is a method of a TestCase",
        """
        import unittest, pytest

        class TestIt(unittest.TestCase):
            @pytest.mark.mlrun
            def test_it(self): pass
        """,
        """
        test_it: a unittest.TestCase method cannot be an experiment
          it takes no fixtures as arguments and no parametrize, so there is no run to record
          where: test_it.py::TestIt::test_it
          next:  write a plain test function, or a class that does not inherit from TestCase
        """,
    ),
    Mistake(
        "hypothesis drives the experiment",
        """
        from hypothesis import given, strategies as st

        @given(x=st.integers())
        def test_it(mlrun, x): pass
        """,
        """
        test_it: @given cannot drive a training experiment
          hypothesis reseeds the generators for every example, so no run could be repeated
          where: test_it.py::test_it
          next:  parametrize the test, or search inside it with mlrun.child(...)
        """,
    ),
    Mistake(
        "a fixture of the session takes the run",
        """
        import pytest

        @pytest.fixture(scope="session")
        def model(mlrun): return mlrun

        def test_it(model): pass
        """,
        """
        model: a session-scoped fixture cannot take mlrun, which belongs to one test
          where: test_it.py::test_it
          next:  give model the scope function, or train once for a module: a module-scoped fixture may take mlrun_module
        """,  # noqa: E501
    ),
    # -- data and mlrun.toml --
    Mistake(
        "there is no mlrun.toml",
        OPENS,
        """
        data 'churn' is not known: there is no mlrun.toml
          where: {folder}
          next:  write one: [data.churn] path = "data/churn.csv", then: pytest-mlrun data lock churn
        """,
    ),
    Mistake(
        "the data was never locked",
        OPENS,
        """
        data 'churn' has no digest in mlrun.lock
          where: {folder}/mlrun.lock
          next:  pytest-mlrun data lock churn
        """,
        files=CHURN,
    ),
    Mistake(
        "the data changed",
        OPENS,
        """
        data 'churn' changed: expected sha256 52186c…, found 96bbd5…
          changed: churn.csv (4 → 8 bytes)
          where: churn.csv
          next:  if intended: pytest-mlrun data lock churn
        """,
        files=CHURN,
        before=("data lock", "churn.csv << 1,2\n3,4\n"),
    ),
    Mistake(
        "the name of the data is misspelt",
        OPENS.replace("churn", "chrun"),
        """
        data 'chrun' is not in mlrun.toml; did you mean 'churn'?
          where: {folder}/mlrun.toml
          next:  use that name, or add a section [data.chrun] with its path, then: pytest-mlrun data lock chrun
        """,
        files=CHURN,
    ),
    Mistake(
        "the path in mlrun.toml is wrong",
        "",
        """
        error: data 'churn' was not found: data/churn.csv
          where: {folder}/data/churn.csv
          next:  put it there, or correct path under [data.churn] in {folder}/mlrun.toml
        """,
        files=CHURN | {"mlrun.toml": '[data.churn]\npath = "data/churn.csv"\n'},
        command=("data", "lock"),
    ),
    Mistake(
        "mlrun.toml is not TOML",
        LOGS,
        """
        mlrun.toml is not TOML: Invalid value
          where: {folder}/mlrun.toml:2
          next:  correct the line; text needs quotes: goal = "max"
        """,
        files={"mlrun.toml": "[data.churn]\npath = churn.csv\n"},
    ),
    Mistake(
        "mlrun.toml has a key that it does not know",
        LOGS,
        """
        mlrun.toml: unknown key 'file' in [data.churn]; did you mean 'path'?
          where: {folder}/mlrun.toml, [data.churn]
          next:  it takes: path, keep, role, feature_view, looks
        """,
        files={"mlrun.toml": '[data.churn]\nfile = "churn.csv"\n'},
    ),
    # -- params, names, metrics --
    Mistake(
        "a param has a name that the team refuses",
        """
        import pytest

        @pytest.mark.parametrize("lr", [0.1])
        def test_it(mlrun, lr): pass
        """,
        """
        param 'lr' is refused: say 'learning_rate'
          where: [naming] refused in mlrun.toml
          next:  rename it to learning_rate
        """,
        files={"mlrun.toml": '[naming]\nrefused = { lr = "learning_rate" }\n'},
    ),
    Mistake(
        "a param is an object that nothing describes",
        """
        import pytest

        class Net: pass

        @pytest.mark.parametrize("model", [Net()])
        def test_it(mlrun, model): pass
        """,
        """
        param 'model' cannot be recorded: Net has no stable description
          next:  give it an id: pytest.param(…, id="…"), or log text or numbers that say what it is
        """,
    ),
    Mistake(
        "a param is logged twice",
        """
        def test_it(mlrun):
            for depth in (2, 3):
                mlrun.log_param("depth", depth)
        """,
        """
        ParamError: param 'depth' is 2 and cannot become 3
          where: run test_it
          next:  log it under another name, or as a metric if it changes during the run
        """,
    ),
    Mistake(
        "a metric is text",
        "def test_it(mlrun): mlrun.log_metric('auc', '0.93')",
        """
        MetricError: metric 'auc' is not a number: '0.93' (str)
          next:  pass a number: float(…); a text is a tag: mlrun.set_tag("auc", …)
        """,
    ),
    Mistake(
        "a metric is an array",
        "import numpy\ndef test_it(mlrun): mlrun.log_metric('loss', numpy.array([0.5, 0.25]))",
        """
        MetricError: metric 'loss' is not a number: array([0.5 , 0.25]) (ndarray)
          next:  pass one number, such as its mean; a curve goes point by point: mlrun.log_metric("loss", value, step)
        """,
    ),
    Mistake(
        "a metric is where it cannot be",
        "def test_it(mlrun): mlrun.log_metric('auc', 93)",
        """
        MetricError: metric 'auc' is 93, outside its range 0 to 1
          where: [metrics.auc] range in mlrun.toml
          next:  correct how it is computed, or its range in mlrun.toml; the value was not recorded
        """,
        files={"mlrun.toml": "[metrics.auc]\nrange = [0, 1]\n"},
    ),
    Mistake(
        "the run is written to after its end",
        """
        kept = []

        def test_it(mlrun): kept.append(mlrun)

        def test_later(): kept[0].log_metric("auc", 0.9)
        """,
        """
        RunClosedError: run test_it has finished and cannot be written to
          next:  log inside the test or the with block that the run belongs to
        """,
    ),
    Mistake(
        "an artifact and its name are swapped",
        "def test_it(mlrun): mlrun.log_dict('config.json', {'depth': 3})",
        """
        ArtifactError: the name of an artifact must be text, found {'depth': 3} (dict)
          next:  write mlrun.log_dict({…}, name)
        """,
    ),
    Mistake(
        "rows of the training set are in the validation set",
        "def test_it(mlrun): mlrun.log_split(train=[1, 2, 3], val=[3, 4])",
        """
        DataError: splits overlap: 1 row is in both 'train' and 'val'
          rows: 3
          where: log_split of run test_it
          next:  split by the identity of the rows, so that none is used to fit and to judge
        """,
    ),
    # -- gates and evaluate --
    Mistake(
        "a floor is on a metric that was never logged",
        """
        import pytest

        @pytest.mark.mlrun(floors={"val_auc": 0.9})
        def test_it(mlrun): mlrun.log_metric("val_roc_auc", 0.95)
        """,
        """
        metric 'val_auc' was never logged; this run has: val_roc_auc
          next:  log it before the gate: mlrun.log_metric('val_auc', value); did you mean 'val_roc_auc'?
        """,
    ),
    Mistake(
        "a gate is on NaN",
        """
        def test_it(mlrun):
            mlrun.log_metric("auc", float("nan"))
            mlrun.assert_floor("auc", 0.9)
        """,
        """
        GateFailure: floor not met: auc is NaN, floor 0.9
          next:  find the step where the metric became NaN
        """,
    ),
    Mistake(
        "evaluate gets scores where the classes belong",
        "def test_it(mlrun): mlrun.evaluate('val', [0.2, 0.7, 0.9], [0, 1, 1], metrics=['roc_auc'])",
        """
        MetricError: y_true holds real numbers and the predictions hold classes: are they swapped?
          where: evaluate('val')
          next:  write evaluate("val", y_true, y_score, metrics=[…])
        """,
    ),
    Mistake(
        "evaluate gets the split last",
        "def test_it(mlrun): mlrun.evaluate([0, 1, 1], [0.2, 0.7, 0.9], 'val', metrics=['roc_auc'])",
        """
        MetricError: the name of a split must be text, found [0, 1, 1] (list)
          next:  write mlrun.evaluate("val", y_true, y_score, metrics=["roc_auc"])
        """,
    ),
    Mistake(
        "evaluate gets columns of unequal length",
        "def test_it(mlrun): mlrun.evaluate('val', [0, 1, 1], [0.2, 0.7], metrics=['roc_auc'])",
        """
        MetricError: y_true has 3 rows and the predictions have 2
          next:  pass the labels and the predictions of the same rows, in the same order
        """,
    ),
    Mistake(
        "a probability is none",
        "def test_it(mlrun): mlrun.evaluate('val', [0, 1, 1], [0.2, 7.0, 0.9], metrics=['log_loss'])",
        """
        MetricError: log_loss needs scores in [0, 1], found 7 in row 1
          next:  pass predict_proba(X)[:, 1], or predicted labels
        """,
    ),
    # -- options and the program --
    Mistake(
        "the store is a file",
        LOGS,
        """
        the run store must be a folder: notes.txt is a file
          where: {folder}/notes.txt
          next:  choose another folder: pytest --mlrun --mlrun-store PATH
        """,
        files={"notes.txt": ""},
        arguments=("--mlrun", "--mlrun-store", "notes.txt"),
    ),
    Mistake(
        "the seed is out of range",
        LOGS,
        "ERROR: --mlrun-seed: expected a whole number from 0 to 4294967295, found -1",
        arguments=("--mlrun", "--mlrun-seed", "-1"),
    ),
    Mistake(
        "nothing was recorded yet",
        "",
        """
        error: no run store found: no .pytest_mlrun here or in a folder above
          where: {folder}
          next:  record a first run: pytest --mlrun, or name a store: --store PATH
        """,
        command=("runs",),
    ),
    Mistake(
        "the path of the store is misspelt",
        LOGS,
        """
        error: there is no run store in .pytest_mlrn; did you mean '.pytest_mlrun'?
          where: {folder}/.pytest_mlrn
          next:  correct the path: --store PATH
        """,
        command=("runs", "--store", ".pytest_mlrn"),
    ),
    Mistake(
        "the run is misspelt",
        LOGS,
        """
        error: no run answers to 'tets_it'; did you mean 'test_it'?
          where: {folder}/.pytest_mlrun
          next:  list the runs: pytest-mlrun runs
        """,
        command=("show", "tets_it"),
    ),
    Mistake(
        "the experiment is misspelt",
        LOGS,
        """
        error: no experiment 'defualt'; did you mean 'default'?
          experiments here: default
          next:  list the runs: pytest-mlrun runs
        """,
        command=("top", "defualt", "--by", "auc"),
    ),
)
