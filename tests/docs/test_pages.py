"""Every block of the README and of docs/ is executed, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_mlrun.cli.parser import make_parser
from pytest_mlrun.options import OPTIONS
from tests.docs.pages import find_mismatch
from tests.docs.running import ROOT, check_pipeline, run_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Each starts many interpreters.
SLOW = {
    "docs/frameworks",
    "docs/how-to/ci",
    "docs/how-to/divergence",
    "docs/how-to/exchange",
    "docs/how-to/retention",
    "docs/registry",
    "docs/replay",
    "docs/gates",
    "docs/how-to/naming",
    "docs/how-to/sweeps",
    "docs/how-to/xdist",
    "docs/tutorial",
    "docs/coming-from/mlflow",
    "docs/coming-from/pytest-benchmark",
    "docs/coming-from/wandb",
}
LINK = re.compile(r"\]\(([^)#:\s]+)#?([\w-]*)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if name_of(page) in SLOW else ()) for page in PAGES],
    ids=[name_of(page) for page in PAGES],
)
def test_the_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


def generated(name: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_readme_lists_every_option() -> None:
    rows = [f"| `{option.flag}` | `{option.variable}` | `{option.key}` | {option.help} |" for option in OPTIONS]

    assert generated("options").strip().splitlines()[2:] == rows


def test_the_readme_lists_every_verb() -> None:
    choices = next(action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    verbs = re.findall(r"^\| `(\w+)", generated("verbs"), re.MULTILINE)

    assert verbs == list(choices)


def test_a_wrong_digit_on_a_page_is_noticed() -> None:
    printed = "mlrun: 3 runs of tumours (2 passed, 1 failed)\nstore: .pytest_mlrun\n"

    assert find_mismatch(("mlrun: 3 runs of tumours ...", "store: ..."), printed) is None
    assert find_mismatch(("mlrun: 4 runs of tumours ...",), printed) == "mlrun: 4 runs of tumours ..."
    assert find_mismatch(("store: ...", "mlrun: ..."), printed) == "mlrun: ..."


def test_a_page_whose_block_says_nothing_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n")

    with pytest.raises(AssertionError, match="the block says nothing about how it is executed"):
        run_page(page, tmp_path)


def test_the_cells_of_a_page_share_their_names_and_show_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    cells = "<!-- cell -->\n```python\nx = 1\n```\n<!-- cell -->\n```python\nprint(x + 1)\n```\n"
    page.write_text(f"{cells}<!-- prints -->\n```text\n2\n```\n")
    run_page(page, tmp_path)

    page.write_text(f"{cells}<!-- prints -->\n```text\n3\n```\n")
    with pytest.raises(AssertionError, match="expected: 3\nprinted:\n2"):
        run_page(page, tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pytest --mlrun-jnuit", "no option --mlrun-jnuit"),
        ("PYTEST_MLRUN_STROE=x pytest", "no variable PYTEST_MLRUN_STROE"),
        ("python train.py", "no command of ours"),
    ],
)
def test_a_pipeline_that_could_not_run_is_refused(line: str, said: str) -> None:
    check_pipeline("job: {script: [pytest --mlrun, pytest-mlrun verify]}", "page")

    with pytest.raises(AssertionError, match=said):
        check_pipeline(f"job: {{script: [{line}]}}", "page")


def test_a_pipeline_with_a_verb_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check_pipeline("job: {script: [pytest-mlrun verfiy]}", "page")

    assert "verfiy" in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    lost = [
        f"{target}#{anchor}" if anchor else target
        for target, anchor in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists() or (anchor and anchor not in anchors_of(page.parent / target))
    ]

    assert lost == []


def anchors_of(page: Path) -> list[str]:
    """Return what a link to a heading of a page is called, as on GitHub."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
