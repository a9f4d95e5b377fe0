"""Refuse an argument of the wrong kind in one sentence, before it fails somewhere inside."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from pytest_mlrun.errors import MlrunError

_SHOWN_CHARS = 60


def expect_text(given: object, *, what: str, write: str, error: type[MlrunError]) -> None:
    """Refuse what is not text.

    Args:
        given: The argument.
        what: What it should be, such as ``the name of a metric``.
        write: How the call is written.
        error: Class of the error.

    Raises:
        MlrunError: If it is not text, or empty.
    """
    if not isinstance(given, str) or not given:
        raise error(f"{what} must be text, found {show(given)}", next_step=f"write {write}")


def expect_mapping(given: object, *, what: str, write: str, error: type[MlrunError]) -> None:
    """Refuse what is not a mapping.

    Args:
        given: The argument.
        what: What it should be.
        write: How the call is written.
        error: Class of the error.

    Raises:
        MlrunError: If it is not a mapping.
    """
    if not isinstance(given, Mapping):
        raise error(f"{what} must be a mapping of names, found {show(given)}", next_step=f"write {write}")


def as_tag_text(key: str, value: object, *, error: type[MlrunError]) -> str:
    """Return a tag's value as text: of a number or a path its text, of a container or of nothing none.

    Args:
        key: Name of the tag.
        value: Its value.
        error: Class of the error.

    Raises:
        MlrunError: If the value has no text that says what it is.
    """
    if value is None or (isinstance(value, Sized) and not isinstance(value, str)):
        raise error(
            f"the value of tag {key!r} must be text, found {show(value)}",
            next_step=f'write mlrun.set_tag("{key}", "…"); a list or mapping goes to log_dict',
        )
    return str(value)


def show(given: object) -> str:
    """Show an argument and its kind, short enough for one line.

    Args:
        given: The argument.

    Returns:
        Such as ``3 (int)``.
    """
    try:
        text = " ".join(repr(given).split())
    except ValueError:  # of an integer with more digits than Python writes
        text = "…"
    return f"{text if len(text) <= _SHOWN_CHARS else f'{text[:_SHOWN_CHARS]}…'} ({type(given).__name__})"
