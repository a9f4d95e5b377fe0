"""Parse a constraint such as ``val_precision >= 0.6 and status == finished``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.query import Comparison, FieldKind, Operator
from pytest_mlrun.records.run import CAUSES, OUTCOMES, STATUSES
from pytest_mlrun.rules.suggest import did_you_mean

ATTRIBUTES = ("status", "outcome", "cause", "experiment", "name", "attempt", "test")
_WORDS = {"status": STATUSES, "outcome": OUTCOMES, "cause": CAUSES}
_PREFIXES: dict[str, FieldKind] = {
    "metrics": "metric",
    "metric": "metric",
    "params": "param",
    "param": "param",
    "tags": "tag",
    "tag": "tag",
    "attributes": "attribute",
    "attribute": "attribute",
}
_OPERATORS = ("==", "!=", "<=", ">=", "<", ">")
_MISTAKEN = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "===": "==", "!": "!="}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<and>&&|,)
      | (?P<operator>[=!<>~]+)
      | (?P<word>(?:[^\s,()'"<>=!~&|`]|`[^`]*`)+)
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf)", re.IGNORECASE)
_SYNTAX = "a constraint reads: val_auc >= 0.8 and params.depth < 5 and status == finished"

_Kind = Literal["text", "and", "operator", "word", "other", "end"]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    place: int


def parse_where(text: str) -> tuple[Comparison, ...]:
    """Return the comparisons of a constraint, all of which must hold; none for an empty text.

    A name is ``metrics.x``, ``params.x``, ``tags.x``, an attribute (``status outcome cause experiment name attempt
    test``) or, bare, a metric. A name with spaces goes between backticks. Comparisons are joined by ``and``, ``,`` or
    ``&&``.

    Args:
        text: The constraint, as a person wrote it.

    Raises:
        QueryError: If it cannot be understood; the details point at the place.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokenize(text)
        self._next = 0

    def parse(self) -> tuple[Comparison, ...]:
        if self._peek().kind == "end":
            return ()
        found = [self._comparison()]
        while self._peek().kind != "end":
            joint = self._take()
            if joint.kind != "and" and joint.text.lower() != "and":
                self._refuse_joint(joint)
            found.append(self._comparison())
        return tuple(found)

    def _comparison(self) -> Comparison:
        name = self._take()
        if name.kind != "word" or name.text.lower() in {"and", "or", "not"} or _NUMBER.fullmatch(name.text):
            self._refuse_name(name)
        kind, field = self._read_name(name)
        operator = self._take()
        if operator.text not in _OPERATORS:
            self._refuse_operator(operator)
        value = self._take()
        if value.text in {"'", '"'}:
            self._fail(value, "the quote is not closed")
        if value.kind not in {"word", "text"} or value.text.lower() in {"and", "or"}:
            self._fail(value, f"{name.text} {operator.text} needs a value")
        return Comparison(kind, field, cast("Operator", operator.text), self._read_value(kind, field, operator, value))

    def _read_name(self, token: _Token) -> tuple[FieldKind, str]:
        head, dot, rest = token.text.partition(".")
        if dot and head in _PREFIXES:
            kind, field = _PREFIXES[head], rest.replace("`", "")
            if not field:
                self._fail(token, f"{token.text!r} names no {kind}")
            if kind == "attribute" and field not in ATTRIBUTES:
                self._fail(token, f"a run has no attribute {field!r}{did_you_mean(field, ATTRIBUTES)}")
            return kind, field
        if dot and "`" not in head and did_you_mean(head, _PREFIXES):
            self._fail(token, f"{head!r} is none of metrics, params, tags{did_you_mean(head, _PREFIXES)}")
        field = token.text.replace("`", "")
        return ("attribute" if token.text in ATTRIBUTES else "metric"), field

    def _read_value(self, kind: FieldKind, field: str, operator: _Token, token: _Token) -> float | str | bool:
        ordered = operator.text not in {"==", "!="}
        value = _plain_value(token)
        if isinstance(value, float) and math.isnan(value) and (kind in {"metric", "param"} or field == "attempt"):
            self._fail(token, "NaN equals nothing, so no run would match")
        if kind == "metric" or field == "attempt":
            if isinstance(value, str | bool):
                self._fail(token, f"{field} is compared with a number, found {token.text}")
            return value
        if kind == "param":
            if ordered and isinstance(value, bool):
                self._fail(operator, f"{field} is compared with {token.text}, which has no order: use == or !=")
            return value
        plain = token.text[1:-1] if token.kind == "text" else token.text.replace("`", "")
        if ordered:
            self._fail(operator, f"{field} is text: use == or !=")
        if kind == "attribute" and field in _WORDS and plain not in _WORDS[field]:
            words = tuple(word for word in _WORDS[field] if word)
            self._fail(token, f"{field} is never {plain!r}{did_you_mean(plain, words)}", f"one of: {', '.join(words)}")
        return plain

    def _refuse_name(self, token: _Token) -> NoReturn:
        if token.text == "(":
            self._fail(token, "parentheses are not understood", "write the comparisons one after the other, with and")
        if token.kind == "end":
            self._fail(token, "a comparison is missing at the end")
        if token.text.lower() == "not":
            self._fail(token, "'not' is not understood; use !=")
        if token.kind == "text" or _NUMBER.fullmatch(token.text):
            self._fail(token, f"a comparison begins with a name, found {token.text}")
        self._fail(token, f"a name is expected, found {token.text!r}")

    def _refuse_operator(self, token: _Token) -> NoReturn:
        if token.kind == "end":
            self._fail(token, f"an operator is missing at the end; use one of {' '.join(_OPERATORS)}")
        meant = f"; did you mean {_MISTAKEN[token.text]!r}?" if token.text in _MISTAKEN else ""
        self._fail(token, f"{token.text!r} is no operator{meant or '; use one of ' + ' '.join(_OPERATORS)}")

    def _refuse_joint(self, token: _Token) -> NoReturn:
        if token.text.lower() in {"or", "|"}:
            self._fail(token, "'or' is not understood: every comparison must hold", "ask once for each alternative")
        if token.text in {"(", ")"}:
            self._fail(token, "parentheses are not understood", "write the comparisons one after the other, with and")
        if token.kind == "operator":
            self._fail(token, "one comparison has two sides", "write a < x and x < b")
        self._fail(token, f"'and' is expected, found {token.text!r}")

    def _fail(self, token: _Token, reason: str, next_step: str = _SYNTAX) -> NoReturn:
        raise QueryError(f"where: {reason}", details=(self._text, " " * token.place + "^"), next_step=next_step)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token


def _tokenize(text: str) -> list[_Token]:
    # Every character but a space starts a token: the last group takes what no other does.
    tokens = [
        _Token(cast("_Kind", kind), found[kind], found.start(kind))
        for found in _TOKEN.finditer(text.rstrip())
        if (kind := found.lastgroup)
    ]
    return [*tokens, _Token("end", "", len(text.rstrip()))]


def _plain_value(token: _Token) -> float | str | bool:
    if token.kind == "text":
        return token.text[1:-1]
    word = token.text
    if word.lower() in {"true", "false"}:
        return word.lower() == "true"
    if _NUMBER.fullmatch(word) or word.lower() == "nan":
        return float(word)
    return word.replace("`", "")
