"""Train the ticket sorter and record the run: ``python train.py --alpha 0.1``."""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass

import pytest_mlrun
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline


@dataclass(frozen=True)
class Tickets:
    texts: list[str]
    topics: list[str]

    @classmethod
    def read(cls, path) -> Tickets:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return cls([row["text"] for row in rows], [row["topic"] for row in rows])


def build(alpha: float) -> Pipeline:
    return make_pipeline(CountVectorizer(), MultinomialNB(alpha=alpha))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--minimum", type=float, default=0.75)
    options = parser.parse_args(arguments)
    with pytest_mlrun.record(
        experiment="tickets", params={"alpha": options.alpha}, data="tickets", tags={"by": "script"}
    ) as run:
        tickets = Tickets.read(run.data["tickets"])
        rows = run.rng.permutation(len(tickets.texts))
        train, val = rows[:450], rows[450:]
        run.log_split(train=train, val=val)
        model = build(options.alpha)
        for step, size in enumerate((50, 150, 450)):
            model.fit(
                [tickets.texts[row] for row in train[:size]], [tickets.topics[row] for row in train[:size]]
            )
            guessed = model.predict([tickets.texts[row] for row in val])
            correct = sum(guess == tickets.topics[row] for guess, row in zip(guessed, val, strict=True))
            run.log_metric("learning_curve", correct / len(val), step=step)
        run.evaluate("val", [tickets.topics[row] for row in val], guessed, metrics=["accuracy"], row_ids=val)
        run.log_text("\n".join(sorted(model[0].vocabulary_)), "vocabulary.txt")
        run.log_model(model)
        run.assert_floor("val_accuracy", options.minimum)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
