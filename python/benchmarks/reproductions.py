"""What `reproduce.py` runs: models on data sets, with options and published figures.

Options were chosen on the validation part alone.
"""

from __future__ import annotations

from reproduced_groups import (
    BEAUTY,
    COSINE,
    FMRLREC,
    FOUR,
    OTHER_TWO,
    ROWS,
    SAMPLED,
    TWO,
    Run,
    figures,
)
from reproductions_nested import NESTED

_LONG = {
    "max_length": 200,
    "crop": "all",
    "batch_size": 64,
    "learning_rate": 2e-3,
    "epochs": 36,
    **COSINE,
}
_HALF = {"dropout": 0.5, "attention_dropout": 0.5, "inner_dropout": 0.5}
_FIFTH = {"dropout": 0.2, "attention_dropout": 0.2, "inner_dropout": 0.2}
_LRU = {"dim": 128, "state_dim": 256, "inner_dim": 512}
_LRU_LONG = {**_LRU, "dropout": 0.3, "recurrence_dropout": 0.2, **_LONG, "epochs": 20}
# One set of options for both kinds of attention.
_POST = {
    "norm": "post",
    "dim": 128,
    "dropout": 0.2,
    "inner_dropout": 0.2,
    **_LONG,
    "learning_rate": 1e-3,
    "epochs": 24,
}
_LINREC = {
    "dim": 128,
    "inner_dim": 256,
    "heads": 8,
    "norm": "post",
    "dropout": 0.2,
    "attention_dropout": 0.2,
    **_LONG,
    "learning_rate": 1e-3,
    "epochs": 14,
}
_ROWS = {
    "dim": 64,
    "max_length": 19,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "epochs": 20,
    "patience": 3,
}
_GAPS = [1, 4, 1, 4, 1, 4, 1, 4]
_WIDE = {
    **_ROWS,
    **COSINE,
    "dim": 128,
    "dropout": 0.3,
    "learning_rate": 2e-3,
    "epochs": 16,
}

# The width of the authors, with gaps that rows of 19 have room for.
_WIDEST = {
    **_WIDE,
    "dim": 256,
    "dropout": 0.4,
    "epochs": 12,
    "precision": "bfloat16",
}

_S3 = "S3-Rec's repository"
_LRUREC = "LRURec's paper"
_LINREC_PAPER = "LinRec's figures in EASRec's paper"
_SKIPREC = "SkipRec's slides, other data"

RUNS = [
    Run("beauty", "popularity", "Popularity", figures(OTHER_TWO, 0.0152, 0.0068), _S3),
    Run(
        "beauty",
        "sasrec",
        "SASRec",
        figures(FOUR, 0.0456, 0.0274, 0.0734, 0.0364),
        FMRLREC,
        {"dim": 128, **_HALF, **BEAUTY},
    ),
    Run(
        "beauty",
        "lrurec",
        "LRURec",
        figures(FOUR, 0.0565, 0.0339, 0.0871, 0.0438),
        FMRLREC,
        {
            **_LRU,
            "dropout": 0.6,
            "recurrence_dropout": 0.6,
            **BEAUTY,
            "schedule": "constant",
            "epochs": 14,
        },
    ),
    *(
        Run(
            "beauty",
            f"lrurec-margin-{margin}",
            "LRURec",
            options={
                **_LRU,
                "dropout": dropout,
                **BEAUTY,
                "epochs": epochs,
                "seen_margin": margin,
            },
            label=f"with a margin of {margin}",
        )
        for margin, dropout, epochs in ((1, 0.5, 16), (1.5, 0.45, 14))
    ),
    Run(
        "beauty",
        "bert4rec",
        "BERT4Rec",
        figures(FOUR, 0.0420, 0.0275, 0.0653, 0.0350),
        FMRLREC,
        {
            "samples": "prefixes",
            "last_ratio": 1.0,
            "positions": "newest",
            "dim": 128,
            "dropout": 0.4,
            "attention_dropout": 0.2,
            **BEAUTY,
            "batch_size": 256,
            "epochs": 20,
            "seen_margin": 1,
        },
    ),
    Run(
        "beauty",
        "gru4rec",
        "GRU4Rec",
        figures(OTHER_TWO, 0.0283, 0.0137),
        _S3,
        {"dim": 64, "hidden_dim": 128, "dropout": 0.5, **BEAUTY, "epochs": 15},
    ),
    Run(
        "beauty",
        "caser",
        "Caser",
        figures(OTHER_TWO, 0.0347, 0.0176),
        _S3,
        {
            "dim": 64,
            "dropout": 0.5,
            "max_length": 50,
            "weight_decay": 1e-6,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "epochs": 20,
            "patience": 8,
        },
    ),
    Run("ml-1m", "popularity", "Popularity"),
    Run(
        "ml-1m",
        "sasrec",
        "SASRec",
        figures(TWO, 0.3181, 0.1902),
        _LRUREC,
        {"dim": 128, **_FIFTH, **_LONG},
    ),
    Run(
        "ml-1m",
        "sasrec-linear",
        "SASRec",
        options={
            "attention": "linear_causal",
            "dim": 128,
            "dropout": 0.2,
            "inner_dropout": 0.2,
            **_LONG,
            "epochs": 24,
        },
    ),
    Run("ml-1m", "sasrec-post", "SASRec", options=_POST, label="post-norm"),
    Run(
        "ml-1m",
        "sasrec-post-linear",
        "SASRec",
        options={"attention": "linear_causal", **_POST},
        label="post-norm",
    ),
    Run(
        "ml-1m",
        "sasrec-post-8",
        "SASRec",
        options={"heads": 8, "attention_dropout": 0.2, **_POST},
        label="post-norm, 8 heads",
    ),
    Run(
        "ml-1m",
        "sasrec-post-8-decayed",
        "SASRec",
        options={"attention": "linear_decayed", "heads": 8, **_POST},
        label="post-norm, 8 heads",
    ),
    Run(
        "ml-1m",
        "lrurec",
        "LRURec",
        figures(TWO, 0.32636, 0.19298),
        _LRUREC,
        _LRU_LONG,
    ),
    Run(
        "ml-1m",
        "lrurec-without-history",
        "LRURec",
        options={**_LRU_LONG, "seen_margin": -20},
        label="with the history out of the softmax",
    ),
    Run(
        "popular100",
        "softmax",
        "SASRec",
        figures(SAMPLED, 0.6793, 0.3822, 0.4533),
        _LINREC_PAPER,
        _LINREC,
    ),
    Run(
        "popular100",
        "linear-causal",
        "SASRec",
        figures(SAMPLED, 0.6790, 0.3949, 0.4627),
        _LINREC_PAPER,
        {**_LINREC, "attention": "linear_causal", "attention_dropout": 0.0},
    ),
    Run(
        "popular100",
        "linear-decayed",
        "SASRec",
        options={**_LINREC, "attention": "linear_decayed", "attention_dropout": 0.0},
    ),
    Run(
        "popular100",
        "linear",
        "SASRec",
        figures(SAMPLED, 0.6790, 0.3949, 0.4627),
        _LINREC_PAPER,
        {
            **_LINREC,
            "attention": "linear",
            "attention_dropout": 0.0,
            "crop": "last",
            "batch_size": 2048,
            "epochs": 12,
        },
        slow=True,
    ),
    *NESTED,
    Run(
        "rows", "popularity", "Popularity", figures(ROWS, 0.0044, 0.0134, 0.0076, 0.0485), _SKIPREC
    ),
    Run(
        "rows",
        "nfm",
        "NFM",
        figures(ROWS, 0.0483, 0.0856, 0.0585, 0.1933),
        _SKIPREC,
        {**_ROWS},
    ),
    Run(
        "rows",
        "gru4rec",
        "GRU4Rec",
        figures(ROWS, 0.0938, 0.1577, 0.1082, 0.3115),
        _SKIPREC,
        {"dropout": 0.3, **_ROWS},
        label="as RecBole has it",
    ),
    Run(
        "rows",
        "gru4rec-group",
        "GRU4Rec",
        options={
            **_ROWS,
            **COSINE,
            "form": "tensorflow",
            "dim": 100,
            "hidden_dim": 64,
            "layers": 2,
            "dropout": 0.0,
            "output_dropout": 0.5,
            "samples": "prefixes",
            "batch_size": 512,
            "epochs": 8,
        },
        label="as the authors of NextItNet have it",
    ),
    Run(
        "rows",
        "caser",
        "Caser",
        figures(ROWS, 0.0915, 0.1509, 0.1045, 0.2857),
        _SKIPREC,
        {"form": "text", "window": 19, "dropout": 0.5, **_ROWS, **COSINE, "epochs": 6},
    ),
    Run(
        "rows",
        "nextitnet",
        "NextItNet",
        figures(ROWS, 0.1019, 0.1686, 0.1173, 0.3285),
        _SKIPREC,
        {"dilations": _GAPS, "dropout": 0.2, **_ROWS},
    ),
    Run(
        "rows",
        "nextitnet-plus",
        "NextItNetPlus",
        figures(ROWS, 0.1067, 0.1784, 0.1234, 0.3393),
        _SKIPREC,
        {"dilations": _GAPS, "dropout": 0.2, **_ROWS},
    ),
    *(
        Run("rows", f"{name}-128", model, options={**more, **_WIDE}, label="width 128")
        for name, model, more in (
            ("gru4rec", "GRU4Rec", {"hidden_dim": 128}),
            ("nextitnet", "NextItNet", {"dilations": _GAPS}),
            ("nextitnet-plus", "NextItNetPlus", {"dilations": _GAPS}),
        )
    ),
    *(
        Run("rows", f"{name}-256", model, options={**more, **_WIDEST}, label="width 256")
        for name, model, more in (
            ("gru4rec", "GRU4Rec", {"hidden_dim": 256}),
            ("nextitnet", "NextItNet", {"dilations": [1, 2] * 4}),
            ("nextitnet-plus", "NextItNetPlus", {"dilations": [1, 2] * 4}),
        )
    ),
]
