"""Turn an audit into one page that a person reads without us: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from pytest_mlrun.records.audit import AuditedApproval, AuditedMetric, AuditedPillar, AuditRecord
from pytest_mlrun.records.event import REPRODUCED
from pytest_mlrun.report.audit_lines import show_difference, show_duration
from pytest_mlrun.report.models import show_instant

_MEANS: Final[Mapping[str, str]] = {
    "REPRODUCED_EXACTLY": "Trained again from its record alone, every number that was recorded came out the same, "
    "bit for bit.",
    "REPRODUCED": "Trained again from its record alone, every number lies within the tolerance stated below.",
    "CONSISTENT": "Trained again in an environment that is not the recorded one: the numbers agree as far as such an "
    "environment allows, which does not reproduce them.",
    "DIVERGED": "Trained again from its record alone, the numbers came out otherwise.",
    "NOT_REPRODUCIBLE": "It cannot be trained again: what the record names cannot be had, or does not run.",
    "REJECTED": "The record, or an approval that it rests on, is not authentic. Nothing was trained.",
    "INCONCLUSIVE": "Nothing can be said: the audit could not be carried to its end.",
}
_STATUS: Final = {"pass": "holds", "finding": "holds, with findings", "fail": "FAILS", "unchecked": "not checked"}
_NAMES: Final = frozenset({"cpython", "pypy", "git"})
_WRONG: Final = frozenset({"differs", "missing", "extra"})
_FACTS: Final = {
    "host.name": "host",
    "host.cpu": "processor",
    "host.cores": "cores",
    "host.kernel": "kernel",
    "env.platform": "platform",
    "env.python": "Python",
    "who.user": "user",
}
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #18794e; --bad: #c62a2f; --mid: #946800; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc38a; --bad: #ff8b8e; --mid: #f1c15b; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
p { margin: .4rem 0; } ul { margin: .3rem 0; padding-left: 1.3rem; }
.verdict { border-left: .4rem solid; padding: .3rem 0 .3rem 1rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .mid { color: var(--mid); } .quiet { opacity: .72; }
.verdict p { color: CanvasText; }
table { border-collapse: collapse; width: 100%; font-size: .93em; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--soft); }
th { font-weight: 600; } td.number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
th.number { text-align: right; } td.short, th.short { white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
code { font: .86em ui-monospace, monospace; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
@media (max-width: 44rem) {
  .stacked thead { display: none; }
  .stacked tr { display: flex; flex-wrap: wrap; column-gap: .8rem; border-bottom: 1px solid var(--soft); }
  .stacked td { border: 0; padding: .2rem 0; } .stacked td.long { flex-basis: 100%; order: 1; padding-bottom: .6rem; }
}
@media print {
  @page { margin: 1.6cm; }
  body { margin: 0; max-width: none; font-size: 10pt; } h2 { break-after: avoid; } tr, .verdict { break-inside: avoid; }
  .wide { overflow-x: visible; } th, td { padding-right: .5rem; }
}
"""


def render_page(record: AuditRecord, *, digest: str) -> str:
    """Return the page, which needs no other file.

    Args:
        record: The audit.
        digest: Digest of its ``audit.json``, which says the same and can be signed.
    """
    name = escape(record.subject.name)
    parts = [
        *_verdict(record),
        *_subject(record),
        *_list("What a reader must know", record.findings, "Nothing besides."),
        *_pillars(record.pillars),
        *_metrics(record),
        *_list("What was not checked", record.not_checked, ""),
        *_people(record),
        *_machines(record),
        *_end(record, digest),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{record.verdict}: audit of {name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _verdict(record: AuditRecord) -> Iterator[str]:
    colour = "good" if record.verdict in REPRODUCED else "mid" if record.exit_code == 4 else "bad"  # noqa: PLR2004
    yield f'<p class="quiet">Audit of {escape(record.subject.name)}, {show_instant(record.began_us)}</p>'
    yield f'<div class="verdict {colour}"><h1>{escape(record.headline.replace("_", " "))}</h1>'
    yield f"<p>{escape(_MEANS[record.verdict])}</p>"
    if record.verdict not in REPRODUCED:  # the reason of these is what they mean
        yield f"<p>{escape(_sentence(record.reason))}</p>"
    if record.divergence:
        yield f"<p>Where they part: {escape(_sentence(record.divergence))}</p>"
    yield "</div>"


def _subject(record: AuditRecord) -> Iterator[str]:
    subject = record.subject
    params = ", ".join(f"{name} = {text}" for name, text in subject.params.items())
    rows = [
        ("asked for", escape(subject.ref)),
        ("aliases", escape(", ".join(subject.aliases) or "none")),
        ("run", f"{escape(subject.run_name)} of {escape(subject.experiment)} <code>{escape(subject.run_id)}</code>"),
        ("record", f"<code>{escape(subject.run_digest)}</code>"),
        ("test", f"<code>{escape(subject.test)}</code>"),
        ("params", escape(params or "none")),
        ("commit", f"<code>{escape(subject.commit or 'none')}</code>"),
        *((f"model {escape(name)}", f"<code>{escape(digest)}</code>") for name, digest in subject.files.items()),
    ]
    yield "<h2>What was audited</h2>"
    yield _table((), [[label, cell] for label, cell in rows])


def _pillars(pillars: Sequence[AuditedPillar]) -> Iterator[str]:
    yield "<h2>What the result rests on</h2>"
    colours = {"pass": "good", "finding": "mid", "fail": "bad", "unchecked": "quiet"}
    rows = []
    for pillar in pillars:
        evidence = "<br>".join(
            f'<span class="quiet">{escape(name)}</span> <code>{escape(text)}</code>'
            for name, text in pillar.evidence.items()
        )
        cure = f"<p>Next: <code>{escape(pillar.cure)}</code></p>" if pillar.cure and pillar.status == "fail" else ""
        method = f'<p class="quiet">{escape(_sentence(pillar.method))}</p>' if pillar.method else ""
        took = show_duration(pillar.took_ms) if pillar.took_ms else ""
        rows.append(
            [
                f"<strong>{escape(pillar.name)}</strong>",
                f'<span class="{colours[pillar.status]}">{_STATUS[pillar.status]}</span>',
                f"{escape(_sentence(pillar.said))}{cure}{method}{evidence}",
                f'<span class="quiet">{took}</span>',
            ]
        )
    yield _table(
        ("pillar", "", "found, and how", "took"), rows, marks={1: "short", 2: "long", 3: "short"}, kind="stacked"
    )


def _metrics(record: AuditRecord) -> Iterator[str]:
    yield "<h2>The numbers</h2>"
    if not record.metrics:
        yield "<p>None was compared: nothing was trained.</p>"
        return
    yield f"<p>Environments compared: level {escape(record.level)}, {escape('; '.join(record.level_reasons))}.</p>"
    # What is wrong is what a reader looks for.
    ordered = sorted(record.metrics, key=lambda metric: metric.status not in _WRONG)
    rows = [
        [
            escape(metric.name),
            _number(metric.recorded),
            _number(metric.replayed),
            escape(show_difference(metric)),
            escape(metric.tolerance),
            escape(metric.source),
            _status(metric),
        ]
        for metric in ordered
    ]
    titles = ("metric", "recorded", "replayed", "difference", "allowed", "by", "")
    yield (
        '<div class="wide">' + _table(titles, rows, marks=dict.fromkeys((1, 2, 3), "number") | {6: "short"}) + "</div>"
    )


def _people(record: AuditRecord) -> Iterator[str]:
    yield "<h2>Who</h2>"
    warned = [text for text in record.independence if text.startswith("NOT ")]
    yield _bullets([text for text in record.independence if text not in warned])
    yield from (f'<p class="bad"><strong>{escape(_sentence(text))}</strong></p>' for text in warned)
    if record.approvals:
        rows = [_approval(approval) for approval in record.approvals]
        titles = ("approved by", "as", "for", "on", "counts until", "note", "signature")
        yield '<div class="wide">' + _table(titles, rows, marks={1: "short", 3: "short", 4: "short"}) + "</div>"


def _approval(approval: AuditedApproval) -> list[str]:
    holds = '<span class="good">verified</span>' if not approval.reason else ""
    refused = f'<span class="bad">{escape(approval.reason)}</span>' if approval.reason else ""
    signers = f'<br><span class="quiet">signers</span> <code>{escape(approval.signers)}</code>'
    return [
        escape(approval.principal),
        escape(approval.role),
        escape(approval.alias),
        show_instant(approval.time_us),
        show_instant(approval.expires_us),
        escape(approval.note),
        f"{holds}{refused}{signers}",
    ]


def _machines(record: AuditRecord) -> Iterator[str]:
    yield "<h2>On which machines</h2>"
    rows = [
        [label, escape(record.recorded_on.get(fact, "unknown")), escape(record.audited_on.get(fact, "unknown"))]
        for fact, label in _FACTS.items()
        if fact in record.recorded_on or fact in record.audited_on
    ]
    yield _table(("", "of the record", "of the audit"), rows)


def _end(record: AuditRecord, digest: str) -> Iterator[str]:
    yield "<h2>This report</h2>"
    previous = f"<code>{escape(record.previous)}</code>" if record.previous else "none"
    rows = [
        ["audit.json, which says the same", f"<code>{escape(digest)}</code>"],
        ["report of the audit before", previous],
        ["what the child processes wrote", f"<code>{escape(record.log or 'nothing was started')}</code>"],
        [
            "made by",
            f"pytest-mlrun {escape(record.tool)}, for {escape(record.auditor)}, in {show_duration(record.took_ms)}",
        ],
    ]
    yield _table((), rows)
    yield (
        "<p>If <code>audit.json.sig</code> lies beside it, plain OpenSSH verifies it: "
        "<code>ssh-keygen -Y verify -f signers -I WHO -n mlrun-audit -s audit.json.sig &lt; audit.json</code></p>"
    )


def _list(title: str, texts: Sequence[str], otherwise: str) -> Iterator[str]:
    if texts or otherwise:
        yield f"<h2>{escape(title)}</h2>"
        yield _bullets(texts) if texts else f"<p>{escape(otherwise)}</p>"


def _bullets(texts: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, marks: Mapping[int, str] | None = None, kind: str = ""
) -> str:
    """Return a table of cells that are HTML already, with the classes of columns and of the table."""
    classes = {at: f' class="{name}"' for at, name in (marks or {}).items()}
    head = "".join(f"<th{classes.get(at, '')}>{title}</th>" for at, title in enumerate(titles))
    body = "".join(
        "<tr>" + "".join(f"<td{classes.get(at, '')}>{cell}</td>" for at, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    begin = f'<table class="{kind}">' if kind else "<table>"
    return f"{begin}{f'<thead><tr>{head}</tr></thead>' if titles else ''}\n<tbody>{body}</tbody></table>"


def _number(value: float | None) -> str:
    return "none" if value is None else escape(repr(value).removesuffix(".0"))


def _status(metric: AuditedMetric) -> str:
    good = metric.status in {"exact", "close"}
    return (
        f'<span class="{"good" if good else "mid" if metric.status == "consistent" else "bad"}">{metric.status}</span>'
    )


def _sentence(text: str) -> str:
    """Return a text as a sentence; a name that it begins with, such as that of a metric, stays as it is written."""
    first = text.partition(" ")[0].rstrip(":,;")
    begun = text[:1].upper() + text[1:] if first.isalpha() and first not in _NAMES else text
    return begun + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
