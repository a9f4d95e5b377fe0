"""Name the curves of every framework by one schema: ``<split>_<metric>``, such as ``val_auc``."""

from __future__ import annotations

from collections.abc import Sequence

# One name for what the frameworks spell differently; where ``evaluate`` knows the metric, its name.
_SPELLINGS = {
    "binary_logloss": "log_loss",
    "multi_logloss": "log_loss",
    "logloss": "log_loss",
    "mlogloss": "log_loss",
    "cross_entropy": "log_loss",
    "binary_error": "error",
    "multi_error": "error",
    "merror": "error",
    "l1": "mae",
    "l2": "mse",
    "aucpr": "average_precision",
}
_TRAIN = frozenset({"training", "train"})
# What a set is called when nobody named it.
_UNNAMED = frozenset({"valid", "valid_0", "validation_0", "test"})


class SplitNames:
    """Translate the names that a framework has for its evaluation sets.

    Args:
        given: What the caller calls them, in their order; without it a framework's own ``training`` becomes ``train``,
            and a single unnamed set ``val``. Names that the caller gave the framework stay.
    """

    def __init__(self, given: Sequence[str] | None) -> None:
        self._given = tuple(given or ())

    def translate(self, found: Sequence[str]) -> dict[str, str]:
        """Return what each evaluation set is called in the record.

        Args:
            found: The framework's names, in the order of the sets.
        """
        unique = tuple(dict.fromkeys(found))
        if self._given:
            return {name: self._given[place] if place < len(self._given) else name for place, name in enumerate(unique)}
        others = [name for name in unique if name not in _TRAIN]
        only = others[0] if len(others) == 1 and others[0] in _UNNAMED else None
        return {name: "train" if name in _TRAIN else "val" if name == only else name for name in unique}


def curve_name(split: str, metric: str) -> str:
    """Return the name of one curve, whatever the framework calls its metric."""
    return f"{split}_{_SPELLINGS.get(metric, metric)}".replace("@", "_at_").replace(" ", "_")
