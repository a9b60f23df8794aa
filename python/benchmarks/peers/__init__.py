"""The models in plain PyTorch, as a careful author writes them, one file each.

Every model takes the options of ours by the same names and has parameters that ours translate to,
so that weights can go from one side to the other. Batches are padded to their longest history.
"""

from peers.base import Batch, Peer
from peers.bert4rec import BERT4Rec
from peers.caser import Caser
from peers.core import CORE
from peers.fdsa import FDSA
from peers.fmrlrec import FMRLRec
from peers.gru4rec import GRU4Rec
from peers.linrec import LinRec
from peers.lrurec import LRURec
from peers.mixer import MLPMixer
from peers.nextitnet import NextItNet
from peers.nfm import NFM
from peers.sasrecf import SASRecF

__all__ = [
    "CORE",
    "FDSA",
    "NFM",
    "BERT4Rec",
    "Batch",
    "Caser",
    "FMRLRec",
    "GRU4Rec",
    "LRURec",
    "LinRec",
    "MLPMixer",
    "NextItNet",
    "Peer",
    "SASRecF",
]
