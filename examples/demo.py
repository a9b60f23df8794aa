"""Trains SASRec on MovieLens-100K, compares it with popularity and recommends films by title.

Run by ``make demo``. Without the data and without a network it takes made-up sequences.
"""

from __future__ import annotations

import warnings

import elastirec as er


def load() -> er.datasets.Dataset:
    """Return MovieLens-100K, or made-up sequences where it cannot be had."""
    try:
        return er.datasets.movielens_100k()
    except (er.MissingExtraError, OSError, ValueError) as problem:
        print(f"MovieLens cannot be had ({problem}); taking made-up sequences instead.\n")
        return er.datasets.synthetic(n_users=1000, n_items=300, length=60)


def show(model: er.SASRec, data: er.datasets.Dataset, user: object) -> None:
    """Print what a user chose last, and what the model recommends."""
    history = data.log.history(user)
    items, _ = model.recommend(histories=[history], k=5, output="arrays")
    print(f"\nUser {user} chose last:  " + "; ".join(data.title(history[-3:])))
    print("Recommended next:  " + "; ".join(data.title(items[0])))


def main() -> None:
    """Run the demo."""
    # Both warnings are told in the documentation; a demo need not repeat them.
    warnings.simplefilter("ignore", er.TimeTieWarning)
    warnings.simplefilter("ignore", er.LeakageWarning)
    data = load()
    print(f"{data.name}: {data.log}")
    split = er.leave_one_out(data.log)
    model = er.SASRec(max_length=100, dropout=0.3, epochs=60, patience=5, random_state=0)
    metrics = ("recall", "ndcg", "mrr", "coverage")
    found = er.compare([er.Popularity(), model], split, metrics=metrics)
    print(f"Stopped by {model.stopped_!r}; epoch {model.best_epoch_} was the best.\n\n{found}")
    for user in data.log.users_[:3].tolist():
        show(model, data, user)
    title = data.title(model.items_[:1])[0]
    similar, _ = model.similar_items(model.items_[:1], k=5, output="arrays")
    print(f"\nMost alike to {title}:  " + "; ".join(data.title(similar[0])))


if __name__ == "__main__":
    main()
