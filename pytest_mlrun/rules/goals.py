"""Say from a metric's name whether more or less of it is better."""

from __future__ import annotations

import re

from pytest_mlrun.records.project import Goal

# fmt: off
_MORE = frozenset({
    "accuracy", "acc", "auc", "auroc", "auprc", "rocauc", "prauc", "f1", "fbeta", "precision", "recall",
    "sensitivity", "specificity", "r2", "ndcg", "mrr", "iou", "miou", "dice", "bleu", "rouge", "meteor", "mcc",
    "kappa", "corrcoef", "corr", "correlation", "variance", "likelihood", "ap", "map", "gini", "ks", "psnr", "ssim",
    "tpr", "tnr", "reward", "return", "profit", "revenue", "uplift", "jaccard",
})
_LESS = frozenset({
    "loss", "losses", "logloss", "error", "errors", "err", "rmse", "mse", "mae", "mape", "smape", "rmsle", "msle",
    "medae", "nll", "crossentropy", "entropy", "brier", "perplexity", "ppl", "wer", "cer", "ter", "fpr", "fnr",
    "fdr", "deviance", "divergence", "kl", "ece", "regret", "cost", "fid", "pinball",
})
# fmt: on
_PAIRS: dict[tuple[str, str], Goal] = {
    ("error", "rate"): "min",
    ("positive", "rate"): "min",
    ("negative", "rate"): "min",
    ("word", "rate"): "min",
    ("calibration", "error"): "min",
    ("hit", "rate"): "max",
}
# fmt: off
_SPLITS = frozenset({
    "train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "holdout", "oof", "cv",
})
_ENDINGS = frozenset({
    "score", "mean", "avg", "average", "macro", "micro", "weighted", "samples", "ovr", "ovo", "at", "k", "epoch",
    "step",
})
# fmt: on


def default_goal(name: str) -> Goal | None:
    """Return ``max`` for such as ``val_roc_auc``, ``min`` for such as ``test/log_loss``, None where it is not known.

    Split names, averages and cut-offs (``recall@10``) do not matter; a leading ``neg`` turns the direction round.

    Args:
        name: Name of the metric, as logged.
    """
    words = [word.lower() for word in re.split(r"[^0-9A-Za-z]+|(?<=[a-z0-9])(?=[A-Z])", name) if word]
    while len(words) > 1 and (words[-1] in _SPLITS | _ENDINGS or words[-1].isdigit()):
        words.pop()
    if not words:
        return None
    goal = _goal_of(words)
    if goal is not None and "neg" in words[:-1]:
        return "min" if goal == "max" else "max"
    return goal


def _goal_of(words: list[str]) -> Goal | None:
    pair = (words[-2], words[-1]) if len(words) > 1 else ("", words[-1])
    if pair[1] == "rate" and "true" in words:
        return "max"
    if pair in _PAIRS:
        return _PAIRS[pair]
    if words[-1] in _MORE:
        return "max"
    return "min" if words[-1] in _LESS else None
