"""A confusion matrix is shown where a person looks at the run."""

from __future__ import annotations

import pytest

from pytest_mlrun.report.confusion import evaluated_name, read_confusion, render_confusion

CONTENT = b'{"labels": ["stays", "leaves"], "matrix": [[90, 10], [5, 15]], "rows": "true", "columns": "predicted"}'


def test_a_matrix_is_a_row_for_each_true_class_with_its_recall() -> None:
    assert list(render_confusion(read_confusion(CONTENT), 80)) == [
        "true \\ predicted  stays  leaves  recall",
        "stays                90      10   90.0%",
        "leaves                5      15   75.0%",
    ]


def test_a_class_that_never_was_has_no_recall() -> None:
    content = b'{"labels": [0, 1], "matrix": [[3, 1], [0, 0]]}'

    assert render_confusion(read_confusion(content), None)[-1].split() == ["1", "0", "0", "-"]


def test_many_classes_are_left_to_the_artifact() -> None:
    rows = [[0] * 30] * 30
    content = f'{{"labels": {list(range(30))}, "matrix": {rows}}}'.encode()

    assert list(render_confusion(read_confusion(content), 80)) == ["30 classes: read the artifact"]


@pytest.mark.parametrize(
    "content", [b"{}", b"[1]", b"no json", b'{"labels": [1], "matrix": [[1, 2]]}', b'{"matrix": [3]}']
)
def test_a_file_that_is_no_matrix_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_confusion(content)


@pytest.mark.parametrize(
    ("artifact", "name"),
    [
        ("confusion/val.json", "val"),
        ("confusion/val-2.json", "val-2"),
        ("plots/val.json", None),
        ("confusion/a.png", None),
    ],
)
def test_a_matrix_is_known_by_its_artifacts_name(artifact: str, name: str | None) -> None:
    assert evaluated_name(artifact) == name
