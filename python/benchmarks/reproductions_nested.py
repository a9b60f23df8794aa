"""The nested models that `reproduce.py` runs; see `reproductions`."""

from __future__ import annotations

from typing import Any

from reproduced_groups import BEAUTY, FMRLREC, FOUR, Run, figures

_FILMS = {
    "sizes": (8, 16, 32, 64),
    "ids": True,
    "dropout": 0.1,
    "size_dropout": (0, 0.5, 1, 1),
    "initial_std": 0.004,
    "first_item": False,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "epochs": 15,
    "patience": None,
}
# One block with a larger state.
_ONE_BLOCK = {
    "blocks": 1,
    "state_factor": 2,
    "dropout": 0.5,
    "recurrence_dropout": 0.42,
    "learning_rate": 5e-4,
    "epochs": 14,
    "seen_margin": 0.7,
}


def _titles(
    name: str,
    label: str = "",
    *,
    paper: dict[str, Any] | None = None,
    also: tuple[str, ...] = (),
    **options: Any,
) -> Run:
    """Return a run of FMRLRec on Beauty, with item embeddings and vectors of titles."""
    *first, last = "ids", "texts", *also
    known = f"{', '.join(first)} and {last}"
    return Run(
        "beauty-nested",
        name,
        "FMRLRec",
        paper or {},
        f"{FMRLREC}, texts and images" if paper else "",
        {
            "ids": True,
            "initial_std": 0.004,
            "first_item": False,
            "batch_size": 128,
            "patience": None,
            "learning_rate": 1e-3,
            "epochs": 12,
            **options,
        },
        vectors=("text", *also),
        whitened=True,
        label=f"{known}, {label}" if label else known,
    )


NESTED = [
    _titles(
        "text",
        paper=figures(FOUR, 0.0613, 0.0415, 0.0939, 0.0520),
        sizes=(8, 16, 32, 64, 128, 256, 512),
        dropout=0.6,
        size_dropout=(0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 1),
        learning_rate=5e-4,
        epochs=11,
    ),
    _titles(
        "text-margin",
        "with a margin",
        sizes=(64, 128, 256, 512),
        dropout=0.65,
        size_dropout=(0.4, 0.6, 0.8, 1),
        learning_rate=5e-4,
        epochs=11,
        seen_margin=1,
    ),
    _titles(
        "text-words",
        "with a margin",
        also=("words",),
        sizes=(8, 16, 32, 64, 128, 256, 512),
        dropout=0.65,
        size_dropout=(0.15, 0.15, 0.25, 0.35, 0.55, 0.8, 1),
        learning_rate=5e-4,
        epochs=11,
        seen_margin=0.3,
    ),
    _titles(
        "text-words-128",
        "128 alone, with a margin",
        also=("words",),
        sizes=(128,),
        dropout=0.4,
        learning_rate=7e-4,
        epochs=11,
        seen_margin=0.5,
    ),
    _titles(
        "text-letters-256",
        "256 alone, with a margin",
        also=("words", "letters"),
        sizes=(256,),
        **_ONE_BLOCK,
    ),
    _titles(
        "text-letters",
        "with a margin",
        also=("words", "letters"),
        sizes=(16, 32, 64, 128, 256),
        size_dropout=(0.2, 0.3, 0.5, 0.8, 1),
        **_ONE_BLOCK,
    ),
    _titles(
        "text-1024",
        "up to 1024",
        sizes=(8, 16, 32, 64, 128, 256, 512, 1024),
        dropout=0.65,
        size_dropout=(0.15, 0.15, 0.25, 0.3, 0.5, 0.75, 0.9, 1),
        learning_rate=4e-4,
        epochs=8,
    ),
    _titles(
        "text-128",
        "up to 128",
        sizes=(16, 32, 64, 128),
        dropout=0.35,
        size_dropout=(0.3, 0.4, 0.6, 1),
    ),
    _titles(
        "text-64-of-128",
        "up to 128, for 64",
        sizes=(16, 32, 64, 128),
        size_weights=(0.1, 0.15, 0.65, 0.1),
        dropout=0.5,
        size_dropout=(0.3, 0.4, 0.45, 1),
    ),
    _titles("text-64", "64 alone", sizes=(64,), dropout=0.2),
    Run(
        "beauty-nested",
        "lrurec",
        "LRURec",
        options={
            "dim": 128,
            "state_dim": 256,
            "inner_dim": 512,
            "nested_sizes": (8, 16, 32, 64, 128),
            "dropout": 0.5,
            "size_dropout": (0.2, 0.3, 0.4, 0.7, 1),
            **BEAUTY,
            "epochs": 16,
        },
    ),
    Run(
        "beauty-nested",
        "lrurec-64",
        "LRURec",
        options={"dropout": 0.35, "nested_sizes": (64,), **BEAUTY, "epochs": 16},
        label="64 alone",
    ),
    Run(
        "beauty-nested",
        "sasrec",
        "SASRec",
        options={
            "dim": 128,
            "inner_dim": 512,
            "heads": 8,
            "nested_sizes": (16, 32, 64, 128),
            "dropout": 0.5,
            "attention_dropout": 0.3,
            "inner_dropout": 0.5,
            "size_dropout": (0.3, 0.4, 0.7, 1),
            **BEAUTY,
            "epochs": 16,
        },
    ),
    *(
        Run(
            "ml-1m-nested",
            name,
            "FMRLRec",
            options=_FILMS,
            vectors=vectors,
            label=label,
        )
        for name, vectors, label in (
            ("none", (), "ids"),
            ("text", ("text",), "ids and texts"),
            ("image", ("image",), "ids and posters"),
            ("both", ("text", "image"), "ids, texts and posters"),
        )
    ),
]
