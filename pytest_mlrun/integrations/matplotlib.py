"""Render figures to bytes that are equal whenever the figure is."""

from __future__ import annotations

import io
from typing import Protocol, runtime_checkable

from pytest_mlrun.errors import ArtifactError


@runtime_checkable
class Figure(Protocol):
    """Anything that can save itself: a matplotlib figure, a seaborn grid."""

    def savefig(self, fname: object, *, format: str, bbox_inches: str) -> object:  # noqa: A002 - matplotlib's name
        """Write the picture to a path or buffer."""


def render_figure(figure: object, file_format: str) -> bytes:
    """Return the figure as a file of the given format, such as ``png`` or ``svg``.

    Raises:
        ArtifactError: If the object cannot save itself, or not in that format.
    """
    if not isinstance(figure, Figure):
        raise ArtifactError(
            f"not a figure: {type(figure).__name__} has no savefig",
            where="log_figure",
            next_step="pass a matplotlib figure, or save the picture and use log_artifact",
        )
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, format=file_format, bbox_inches="tight")
    except ValueError as error:
        raise ArtifactError(str(error), where="log_figure", next_step="end the name in .png, .svg or .pdf") from None
    return buffer.getvalue()
