"""Define the command line of ``pytest-mlrun``."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pytest_mlrun import __version__
from pytest_mlrun.cli.audit_options import add_audit_options
from pytest_mlrun.cli.numbers import seconds, whole

_DESCRIPTION = "Read, compare, register and verify the training runs that pytest --mlrun recorded."
_EXITS = "exit codes: 0 fine, 1 a finding, 2 usage, 3 store damaged, 4 inconclusive"
_RUN = "last 8 hex digits of its id, its name (the newest), NAME~1 for the one before, or churn/3, churn@production"
_VERSION = "a model version: churn/3, churn@production, or as MLflow writes it, models:/churn/3"
_WHERE = "constraint, such as 'val_precision >= 0.6 and params.depth < 5'"


class _Parser(argparse.ArgumentParser):
    def __init__(self, **arguments: object) -> None:
        # An abbreviation that works today becomes ambiguous with the next option.
        arguments.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **arguments)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n  next:  {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; what it returns names the verb's module in ``module``."""
    parser = _Parser(prog="pytest-mlrun", description=_DESCRIPTION, epilog=_EXITS)
    parser.add_argument("--version", action="version", version=f"pytest-mlrun {__version__}")
    _add_store(parser, default=None)
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    _add_runs(verbs)
    _add_top(verbs)
    _add_show(verbs)
    _add_diff(verbs)
    _add_curves(verbs)
    _add_tag(verbs)
    _add_sql(verbs)
    _add_data(verbs)
    _add_naming(verbs)
    _add_register(verbs)
    _add_approve(verbs)
    _add_promote(verbs)
    _add_models(verbs)
    _add_history(verbs)
    _add_endpoint(verbs)
    _add_whence(verbs)
    _add_fetch(verbs)
    _add_baseline(verbs)
    _add_replay(verbs)
    _add_audit(verbs)
    _add_doctor(verbs)
    _add_verify(verbs)
    _add_merge(verbs)
    _add_export(verbs)
    _add_import(verbs)
    _add_compact(verbs)
    _add_gc(verbs)
    return parser


_Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no public name


def _add_verb(
    verbs: _Verbs[_Parser], name: str, summary: str, example: str, *, module: str = "", store: bool = True
) -> _Parser:
    verb = verbs.add_parser(name, help=summary, description=f"{summary}.", epilog=f"example: {example}")
    verb.set_defaults(module=module or name)
    if store:
        # Given after the verb it must win, and left out there it must not undo what stands before the verb.
        _add_store(verb, default=argparse.SUPPRESS)
    return verb


def _add_store(parser: _Parser, *, default: object) -> None:
    parser.add_argument(
        "--store", metavar="PATH", default=default, help="run store; the nearest .pytest_mlrun if not given"
    )


def _add_json(verb: _Parser | argparse._MutuallyExclusiveGroup) -> None:
    verb.add_argument("--json", action="store_true", help="one JSON object a line, full precision")


def _add_runs(verbs: _Verbs[_Parser]) -> None:
    verb = _add_verb(verbs, "runs", "List runs, newest first", "pytest-mlrun runs --status failed --since 7d")
    verb.add_argument("--experiment", metavar="E", help="of this experiment")
    verb.add_argument("--status", metavar="S", help="with this status or outcome, such as failed or orphaned")
    verb.add_argument("--cause", metavar="C", help="with this cause, such as gate, nan or oom")
    verb.add_argument("--tag", metavar="K=V", action="append", default=[], help="with this tag; may be repeated")
    verb.add_argument("--since", metavar="WHEN", help="started since: 90m, 12h, 7d, 2w or 2026-11-01")
    verb.add_argument("--where", metavar="W", default="", help=_WHERE)
    verb.add_argument("--limit", metavar="N", type=whole, help="at most N runs, 0 for all (table: 50, --json: all)")
    _add_json(verb)


def _add_top(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun top churn-2026q2 --by val_roc_auc --where 'val_precision >= 0.6'"
    verb = _add_verb(verbs, "top", "Rank the finished runs of an experiment", example)
    verb.add_argument("experiment", metavar="EXPERIMENT", help="name of the experiment")
    verb.add_argument("--by", metavar="METRIC", help="rank by this metric; [leaderboard] of mlrun.toml if not given")
    verb.add_argument("--goal", choices=["max", "min"], help="whether more or less of it is better")
    verb.add_argument("--where", metavar="W", help=_WHERE)
    verb.add_argument("--limit", metavar="N", type=whole, default=20, help="at most N runs, 0 for all (20)")
    _add_json(verb)


def _add_show(verbs: _Verbs[_Parser]) -> None:
    verb = _add_verb(verbs, "show", "Show one run on one screen", "pytest-mlrun show 9f3a01bc")
    verb.add_argument("ref", metavar="RUN", help=_RUN)
    verb.add_argument("-v", "--verbose", action="store_true", help="add the traceback and the whole context")
    _add_json(verb)


def _add_diff(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun diff 876cb0de 7df730f6"
    verb = _add_verb(verbs, "diff", "Say in what runs differ, pillar by pillar; exit 1 if they do", example)
    verb.add_argument("refs", metavar="RUN", nargs="+", help=f"{_RUN}; one alone is compared with the one before it")
    verb.add_argument("-v", "--verbose", action="store_true", help="also what is equal")
    _add_json(verb)


def _add_curves(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun curves train_loss,val_loss 876cb0de 7df730f6"
    verb = _add_verb(verbs, "curves", "Draw the series of runs over each other", example)
    verb.add_argument("metrics", metavar="METRIC", help="a metric with steps, or several joined by commas")
    verb.add_argument("refs", metavar="RUN", nargs="+", help=_RUN)
    _add_json(verb)


def _add_tag(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun tag 9f3a01bc stage=candidate --note 'best of the sweep'"
    verb = _add_verb(verbs, "tag", "Add tags and a note to a run, whose row stays as it is", example)
    verb.add_argument("ref", metavar="RUN", help=_RUN)
    verb.add_argument("tags", metavar="KEY=VALUE", nargs="*", help="a tag; counts until it is set again")
    verb.add_argument("--note", metavar="TEXT", default="", help="why")
    _add_json(verb)


def _add_sql(verbs: _Verbs[_Parser]) -> None:
    example = """pytest-mlrun sql 'select name, "m.val_auc" from runs order by 2 desc limit 5'"""
    summary = "Answer one SELECT over the tables runs, metrics, artifacts and gates"
    verb = _add_verb(verbs, "sql", summary, example)
    verb.add_argument("query", metavar="SELECT", help="the query; no file can be read or written by it")
    _add_json(verb)


def _add_data(verbs: _Verbs[_Parser]) -> None:
    summary = "Pin data snapshots in mlrun.lock, check them, or restore what a run kept"
    actions = verbs.add_parser("data", help=summary, description=f"{summary}.").add_subparsers(
        metavar="ACTION", required=True, parser_class=_Parser
    )
    for name, what in (
        ("lock", "Write the digests of data snapshots to mlrun.lock"),
        ("verify", "Check data snapshots against mlrun.lock; exit 1 if one changed"),
    ):
        action = _add_verb(actions, name, what, f"pytest-mlrun data {name} churn", module="data", store=False)
        action.set_defaults(action=name)
        action.add_argument("names", metavar="NAME", nargs="*", help="of [data.NAME] in mlrun.toml; all if none given")
        _add_project(action)
    what = 'Write the data that a run kept (keep = "copy") into a folder, as it was bit by bit'
    restore = _add_verb(actions, "restore", what, "pytest-mlrun data restore 9f3a01bc -o recovered", module="restore")
    restore.add_argument("ref", metavar="RUN", help=_RUN)
    restore.add_argument("names", metavar="NAME", nargs="*", help="which of its data; all if none given")
    restore.add_argument("-o", dest="output", metavar="DIR", required=True, help="each goes to DIR/NAME")


def _add_project(verb: _Parser) -> None:
    verb.add_argument("--project", metavar="DIR", help="folder of mlrun.toml; the nearest one if not given")


def _add_naming(verbs: _Verbs[_Parser]) -> None:
    summary = "Print the vocabulary of mlrun.toml"
    verb = _add_verb(verbs, "naming", summary, "pytest-mlrun naming --markdown >> README.md", store=False)
    form = verb.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as a page for the team's README")
    _add_json(form)
    _add_project(verb)


def _add_register(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun register 9f3a01bc --name churn --note 'first of the year'"
    verb = _add_verb(verbs, "register", "Make a run the next version of a model", example)
    verb.add_argument("ref", metavar="RUN", help=f"{_RUN}; of one that judged a winner, the winner")
    verb.add_argument("--name", metavar="MODEL", help="name of the model")
    verb.add_argument("--note", metavar="TEXT", default="", help="why")
    _add_key(verb)
    _add_json(verb)


def _add_approve(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun approve churn/3 production --note 'checked on the March holdout'"
    verb = _add_verb(verbs, "approve", "Sign a yes to a version under an alias", example, store=False)
    verb.add_argument("ref", metavar="VERSION", help=_VERSION)
    verb.add_argument("alias", metavar="ALIAS", help="the alias that it may take")
    verb.add_argument("--note", metavar="TEXT", help="why; needed")
    verb.add_argument("--role", metavar="R", help="role to sign in, where [aliases.ALIAS] takes several")
    verb.add_argument("--expires", metavar="DAYS", default="90d", help="from when it no longer counts (90d)")
    _add_key(verb)


def _add_key(verb: _Parser) -> None:
    verb.add_argument("--key", metavar="PATH", help="SSH key to sign with; git's user.signingkey if not given")


def _add_promote(verbs: _Verbs[_Parser]) -> None:
    summary = "Give an alias to a version; exit 1 if its policy is not met"
    verb = _add_verb(
        verbs, "promote", summary, "pytest-mlrun promote churn/3 production --note 'beats churn/2 by 0.01'"
    )
    verb.add_argument("ref", metavar="VERSION", help=f"{_VERSION}; an older one to go back")
    verb.add_argument("alias", metavar="ALIAS", help="such as production; its policy is [aliases.production]")
    verb.add_argument("--note", metavar="TEXT", help="why; needed")


def _add_models(verbs: _Verbs[_Parser]) -> None:
    summary = "List model versions and their aliases"
    verb = _add_verb(verbs, "models", summary, "pytest-mlrun models --at 2026-03-31", store=False)
    verb.add_argument("model", metavar="MODEL", nargs="?", help="only this model")
    verb.add_argument("--at", metavar="DATE", help="as it was at the end of this day, or at this time")
    _add_json(verb)


def _add_history(verbs: _Verbs[_Parser]) -> None:
    summary = "Show what happened to a model, with who and why"
    verb = _add_verb(verbs, "history", summary, "pytest-mlrun history churn", store=False)
    verb.add_argument("model", metavar="MODEL", help="name of the model")
    _add_json(verb)


def _add_endpoint(verbs: _Verbs[_Parser]) -> None:
    summary = "Say which place serves which model"
    actions = verbs.add_parser("endpoint", help=summary, description=f"{summary}.").add_subparsers(
        metavar="ACTION", required=True, parser_class=_Parser
    )
    for name, what, example in (
        (
            "add",
            "Say that an endpoint serves a model version, or follows an alias",
            "https://ml/churn churn@production",
        ),
        ("remove", "Say that an endpoint no longer serves a model", "https://ml/churn"),
    ):
        action = _add_verb(
            actions, name, what, f"pytest-mlrun endpoint {name} {example}", module="endpoint", store=False
        )
        action.set_defaults(action=name)
        action.add_argument("endpoint", metavar="ENDPOINT", help="its URL, or the name of the service")
        if name == "add":
            action.add_argument("ref", metavar="VERSION", help=_VERSION)
        action.add_argument("--note", metavar="TEXT", default="", help="why")


def _add_whence(verbs: _Verbs[_Parser]) -> None:
    summary = "Say which version an endpoint, digest or file is"
    verb = _add_verb(verbs, "whence", summary, "pytest-mlrun whence model.skops", store=False)
    verb.add_argument("thing", metavar="ENDPOINT|DIGEST|FILE", help="what is found in production")
    _add_json(verb)


def _add_fetch(verbs: _Verbs[_Parser]) -> None:
    summary = "Write the verified files of a version, and model.json"
    verb = _add_verb(verbs, "fetch", summary, "pytest-mlrun fetch churn@production -o served")
    verb.add_argument("ref", metavar="VERSION", help=_VERSION)
    verb.add_argument(
        "-o", "--output", metavar="DIR", default=".", help="folder to write to; the current one if not given"
    )


def _add_baseline(verbs: _Verbs[_Parser]) -> None:
    summary = "Write the baseline that gates compare with into a file that is committed"
    actions = verbs.add_parser("baseline", help=summary, description=f"{summary}.").add_subparsers(
        metavar="ACTION", required=True, parser_class=_Parser
    )
    what = "Write the rows and seeds of a run that passed to mlrun-baselines/MODEL@ALIAS.mlrun"
    example = "pytest-mlrun baseline init 9f3a01bc --as churn@production"
    action = _add_verb(actions, "init", what, example, module="baseline")
    action.add_argument("ref", metavar="RUN", help=_RUN)
    action.add_argument(
        "--as", dest="alias", metavar="MODEL@ALIAS", help="what gates call it; RUN, where that is a model version"
    )
    _add_json(action)


def _add_replay(verbs: _Verbs[_Parser]) -> None:
    summary = "Make a recorded run again in a fresh process, and compare every number; exit 1 if it differs"
    verb = _add_verb(verbs, "replay", summary, "pytest-mlrun replay churn@production")
    verb.add_argument("ref", metavar="RUN", help=f"{_RUN}; or FILE.mlrun, an exported run")
    verb.add_argument("--timeout", metavar="SECONDS", type=seconds, help="give up after so long; exit 4")
    verb.add_argument("-v", "--verbose", action="store_true", help="every number in full, and what pytest said")
    _add_json(verb)


def _add_audit(verbs: _Verbs[_Parser]) -> None:
    summary = "Rebuild a run from its record alone, train it again, compare; exit 1 if it is not reproduced"
    verb = _add_verb(verbs, "audit", summary, "pytest-mlrun audit churn@production --report audit-2026q2")
    verb.add_argument("ref", metavar="RUN", nargs="?", help=_RUN)
    add_audit_options(verb)
    _add_json(verb)


def _add_doctor(verbs: _Verbs[_Parser]) -> None:
    summary = "Say what an audit would lack today, with the cure of each; exit 1 if anything"
    verb = _add_verb(verbs, "doctor", summary, "pytest-mlrun doctor churn@production")
    verb.add_argument("ref", metavar="RUN", nargs="?", help=f"{_RUN}; this machine and project if not given")
    _add_json(verb)


def _add_verify(verbs: _Verbs[_Parser]) -> None:
    verb = _add_verb(
        verbs,
        "verify",
        "Check every digest and every signature; exit 3 if one fails",
        "pytest-mlrun verify",
    )
    verb.add_argument("files", metavar="FILE", nargs="*", help="of exported files instead of the store")
    verb.add_argument(
        "--recover",
        action="store_true",
        help="then seal what processes of other boots and machines left, which only you can know to be over",
    )
    verb.add_argument(
        "--quarantine",
        action="store_true",
        help="then put damaged segments and series files into damaged/, and keep what is intact of them",
    )
    _add_json(verb)


def _add_merge(verbs: _Verbs[_Parser]) -> None:
    verb = _add_verb(verbs, "merge", "Take the runs of other stores into one", "pytest-mlrun merge ../from-ci")
    verb.add_argument("others", metavar="OTHER", nargs="+", help="a store; it is only read")
    _add_into(verb)
    _add_json(verb)


def _add_export(verbs: _Verbs[_Parser]) -> None:
    example = "pytest-mlrun export 9f3a01bc -o churn.mlrun"
    verb = _add_verb(verbs, "export", "Write a run into one file, fit to be committed", example)
    verb.add_argument("ref", metavar="RUN", help=_RUN)
    verb.add_argument("-o", "--output", metavar="FILE", required=True, help="such as churn.mlrun; replaced if there")
    choice = verb.add_mutually_exclusive_group()
    choice.add_argument(
        "--artifact",
        metavar="NAME",
        action="append",
        default=[],
        help="beside predictions, labels and what is small and no model; may be repeated",
    )
    choice.add_argument("--all-artifacts", action="store_true", help="with all of them")
    choice.add_argument("--no-artifacts", action="store_true", help="with none of them")
    _add_json(verb)


def _add_import(verbs: _Verbs[_Parser]) -> None:
    summary = "Take the runs of exported files into the store"
    verb = _add_verb(verbs, "import", summary, "pytest-mlrun import churn.mlrun", module="import_bundle")
    verb.add_argument("files", metavar="FILE", nargs="+", help="what pytest-mlrun export wrote")
    _add_into(verb)
    _add_json(verb)


def _add_into(verb: _Parser) -> None:
    verb.add_argument("--into", metavar="STORE", help="store that takes over, made if missing; --store if not given")


def _add_compact(verbs: _Verbs[_Parser]) -> None:
    summary = "Rewrite the store's many small files as few large ones, while others write and read"
    _add_json(_add_verb(verbs, "compact", summary, "pytest-mlrun compact"))


def _add_gc(verbs: _Verbs[_Parser]) -> None:
    summary = "Say which artifacts no rule of [retention] keeps, and delete them if asked; rows of runs stay"
    verb = _add_verb(verbs, "gc", summary, "pytest-mlrun gc --delete")
    verb.add_argument("--delete", action="store_true", help="delete them; without it nothing is written")
    _add_json(verb)
    verb.add_argument(
        "--project",
        metavar="DIR",
        help="folder of the mlrun.toml that speaks for runs whose own is not here; they are kept if not given",
    )
