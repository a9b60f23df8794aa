"""Elastic sequential recommenders, trained and served on ordinary processors."""

from elastirec import datasets
from elastirec._evaluation import Report
from elastirec._files import load
from elastirec._streams import StreamState
from elastirec.bert4rec import BERT4Rec
from elastirec.caser import Caser
from elastirec.comparison import Comparison, compare
from elastirec.core import CORE
from elastirec.errors import (
    ConcurrentFitError,
    ConfigError,
    DataError,
    ElastirecError,
    ElastirecWarning,
    FailedModelWarning,
    FeatureWarning,
    InterruptedWarning,
    LeakageWarning,
    MissingExtraError,
    ModelFileError,
    NarrowSizeWarning,
    NotFittedError,
    SampledMetricWarning,
    TimeTieWarning,
    TrainingDiverged,
    UnknownIdError,
    UnknownItemWarning,
    UnsupportedError,
)
from elastirec.fdsa import FDSA
from elastirec.features import ItemFeatures
from elastirec.fmrlrec import FMRLRec
from elastirec.gru4rec import GRU4Rec
from elastirec.interactions import Interactions
from elastirec.lrurec import LRURec
from elastirec.mixer import MLPMixer
from elastirec.nesting import Frontier, MemoryReport
from elastirec.nextitnet import NextItNet, NextItNetPlus
from elastirec.nfm import NFM
from elastirec.popularity import Popularity
from elastirec.sasrec import SASRec
from elastirec.sasrec_plus import SASRecPlus
from elastirec.sasrecf import SASRecF
from elastirec.splits import Holdout, Split, leave_one_out, split_at_time, split_sequences

__all__ = [
    "CORE",
    "FDSA",
    "NFM",
    "BERT4Rec",
    "Caser",
    "Comparison",
    "ConcurrentFitError",
    "ConfigError",
    "DataError",
    "ElastirecError",
    "ElastirecWarning",
    "FMRLRec",
    "FailedModelWarning",
    "FeatureWarning",
    "Frontier",
    "GRU4Rec",
    "Holdout",
    "Interactions",
    "InterruptedWarning",
    "ItemFeatures",
    "LRURec",
    "LeakageWarning",
    "MLPMixer",
    "MemoryReport",
    "MissingExtraError",
    "ModelFileError",
    "NarrowSizeWarning",
    "NextItNet",
    "NextItNetPlus",
    "NotFittedError",
    "Popularity",
    "Report",
    "SASRec",
    "SASRecF",
    "SASRecPlus",
    "SampledMetricWarning",
    "Split",
    "StreamState",
    "TimeTieWarning",
    "TrainingDiverged",
    "UnknownIdError",
    "UnknownItemWarning",
    "UnsupportedError",
    "__version__",
    "compare",
    "datasets",
    "leave_one_out",
    "load",
    "split_at_time",
    "split_sequences",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # looked up when asked for, as reading package metadata is slow
        from importlib.metadata import version

        return version("elastirec")
    raise AttributeError(f"module 'elastirec' has no attribute {name!r}")
