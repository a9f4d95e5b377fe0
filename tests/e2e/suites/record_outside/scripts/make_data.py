"""Make data/tickets.csv: synthetic support tickets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

TOPICS = {
    "billing": ["invoice", "refund", "card", "charged", "price", "tax"],
    "login": ["password", "locked", "reset", "account", "email", "code"],
    "delivery": ["parcel", "late", "courier", "address", "tracking", "lost"],
}
FILLER = ["please", "help", "my", "the", "again", "since", "yesterday", "thanks", "order", "what"]


def main() -> None:
    rng = np.random.default_rng(404)
    vocabulary = [word for words in TOPICS.values() for word in words]
    with (Path(__file__).parents[1] / "data" / "tickets.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["topic", "text"])
        for _ in range(600):
            topic = str(rng.choice(list(TOPICS)))
            words = [*rng.choice(TOPICS[topic], 2), *rng.choice(FILLER, 4), *rng.choice(vocabulary, 3)]
            writer.writerow([topic, " ".join(rng.permutation(words))])


if __name__ == "__main__":
    main()
