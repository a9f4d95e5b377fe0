"""Say what an audit would lack today, with the cure of each; exit 1 if anything does."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from pytest_mlrun.audit.symptom import Symptom
from pytest_mlrun.cli.auditing import find_case
from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.report.table import clean_text, wrap_text

_LABEL = 15
_STATUS = 8


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun doctor``."""
    from pytest_mlrun.audit.examine_project import examine_machine
    from pytest_mlrun.audit.examine_run import examine_run

    symptoms: list[Symptom] = []
    if args.ref:
        case = find_case(args.ref, args, console)
        if case.broken is not None:
            raise case.broken
        symptoms += examine_run(case, console.environ)
    else:
        symptoms += examine_machine(find_registry(console), console.environ)
    lacking = [symptom for symptom in symptoms if symptom.lacks]
    if args.json:
        console.write_all(json.dumps(asdict(symptom)) for symptom in symptoms)
        return 1 if lacking else 0
    label = max([_LABEL, *(len(symptom.what) + 2 for symptom in symptoms)])
    for symptom in symptoms:
        _write(symptom, label, console)
    about = f"an audit of {args.ref}" if args.ref else "audits of what is trained here"
    if lacking:
        count = "1 thing" if len(lacking) == 1 else f"{len(lacking)} things"
        console.write(clean_text(f"{about} would lack {count}"), {"bold": True})
        return 1
    console.write(clean_text(f"{about} would lack nothing"), {"bold": True, "green": True})
    return 0


def _write(symptom: Symptom, label: int, console: Console) -> None:
    hanging = _STATUS + label
    head = f"{'lacks' if symptom.lacks else 'ok':<{_STATUS}}{symptom.what:<{label}}"
    for line in wrap_text(clean_text(f"{head}{symptom.said}"), console.width, hanging=hanging):
        console.write(line, {"red": symptom.lacks})
    if symptom.lacks and symptom.cure:
        for line in wrap_text(clean_text(f"{'':{hanging}}→ {symptom.cure}"), console.width, hanging=hanging + 2):
            console.write(line)
