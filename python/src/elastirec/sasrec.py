"""Self-attentive sequential recommendation."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Self

from elastirec._base import Recommender
from elastirec._checks import choice, flag, integer, real
from elastirec._evaluation import check_holdout
from elastirec._library import threads
from elastirec._network import Network
from elastirec._training import Callback, Plan, Training
from elastirec.errors import ConfigError, DataError
from elastirec.interactions import Interactions, expect_log
from elastirec.splits import Holdout

_LARGEST = 2**31 - 1


class SASRec(Recommender):
    """Scores the next item of a history with causal self-attention.

    All positions of a history train at once, each to predict the item that follows.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings and of the blocks; a multiple of ``heads``.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks, heads : int, default=2
        Number of blocks, and of attention heads in each.
    max_length : int, default=200
        How many of the newest items of a history are read.
    dropout : float, default=0.2
        Share dropped of the embeddings and of the outputs of attention and feed-forward step.
    attention_dropout, inner_dropout : float, default=0.0
        Share dropped of the attention probabilities, and inside the feed-forward step.
    norm : {"pre", "post", "query"}, default="pre"
        Where layer norms stand: before each step, after each residual, or before the queries only
        as in the paper.
    activation : {"gelu", "relu", "silu"}, default="gelu"
    norm_epsilon : float, default=1e-12
        Added to the variance in layer norms.
    scale_embedding : bool, default=False
        Whether to multiply item embeddings by the root of ``dim``, as in the paper.
    tied : bool, default=True
        Whether scores use the item embeddings rather than a table of their own.
    initial_std : float, default=0.02
        Standard deviation of the first weights.
    loss : {"softmax", "sampled_softmax", "bce", "gbce"}, default="softmax"
        Cross-entropy over all items; over sampled items with log-q correction; binary
        cross-entropy with sampled negatives; the same calibrated as in gSASRec.
    negatives : int, default=256
        Sampled items: of a batch for "sampled_softmax", of a position for "bce" and "gbce".
    gbce_t : float, default=0.75
        Calibration of "gbce", 0 for none to 1 for full.
    sampler : {"uniform", "popularity", "log_uniform"}, default="uniform"
        How negatives are drawn.
    crop : {"last", "random", "all"}, default="last"
        What is trained on of histories longer than ``max_length + 1``: the newest window, a
        random window in each epoch, or windows that cover all of it.
    epochs : int, default=100
        Epochs at most.
    patience : int or None, default=10
        Epochs without a better NDCG@10 of the validation after which training stops; None never
        stops. The weights of the best epoch are kept either way.
    batch_size : int, default=128
        Histories in a step.
    optimizer : {"adam", "adamw"}, default="adam"
        "adamw" decouples the weight decay.
    adam_form : {"torch", "tensorflow"}, default="torch"
        Whether epsilon is added after or before the correction of the bias.
    learning_rate : float, default=1e-3
    beta1, beta2, epsilon : float, default=0.9, 0.999, 1e-8
        Of Adam.
    weight_decay : float, default=0.0
    gradient_clip : float, default=0.0
        Largest norm of all gradients together, 0 for any.
    schedule : {"constant", "linear", "cosine"}, default="constant"
        How the learning rate falls to zero over ``epochs``.
    warmup_steps : int, default=0
        Steps over which the learning rate rises at first.
    label_smoothing : float, default=0.0
        Share of the target spread over all items, for "softmax".
    random_state : int or None, default=0
        Seed; None draws a fresh one. Equal seeds give equal bits for any ``n_jobs``.
    n_jobs : int or None, default=None
        Threads; None for the cores that the process may use, -1 for all of them.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights that it left, for ``epochs`` more.

    References
    ----------
    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018. Petrov and Macdonald,
    "gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative
    Sampling", RecSys 2023.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = SASRec(dim=8, epochs=2).fit(log, progress=False)
    >>> items, scores = model.recommend(histories=[["a", "b"]], k=1, output="arrays")
    >>> items.tolist()
    [['c']]
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        inner_dim: int = 256,
        blocks: int = 2,
        heads: int = 2,
        max_length: int = 200,
        dropout: float = 0.2,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "gelu",
        norm_epsilon: float = 1e-12,
        scale_embedding: bool = False,
        tied: bool = True,
        initial_std: float = 0.02,
        loss: str = "softmax",
        negatives: int = 256,
        gbce_t: float = 0.75,
        sampler: str = "uniform",
        crop: str = "last",
        epochs: int = 100,
        patience: int | None = 10,
        batch_size: int = 128,
        optimizer: str = "adam",
        adam_form: str = "torch",
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        gradient_clip: float = 0.0,
        schedule: str = "constant",
        warmup_steps: int = 0,
        label_smoothing: float = 0.0,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        warm_start: bool = False,
    ) -> None:
        self.dim = dim
        self.inner_dim = inner_dim
        self.blocks = blocks
        self.heads = heads
        self.max_length = max_length
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.inner_dropout = inner_dropout
        self.norm = norm
        self.activation = activation
        self.norm_epsilon = norm_epsilon
        self.scale_embedding = scale_embedding
        self.tied = tied
        self.initial_std = initial_std
        self.loss = loss
        self.negatives = negatives
        self.gbce_t = gbce_t
        self.sampler = sampler
        self.crop = crop
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.adam_form = adam_form
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.label_smoothing = label_smoothing
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start

    def fit(
        self,
        log: Interactions,
        *,
        validation: Holdout | None = None,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learn from a log and return ``self``.

        Ctrl-C ends training within half a second: the model keeps the best weights so far (without
        validation the last), ``stopped_`` becomes "interrupted", a warning says so and ``fit``
        returns. Before the first step it raises KeyboardInterrupt, and the model is as before.

        Parameters
        ----------
        log : Interactions
            Such as ``split.train``.
        validation : Holdout, default=None
            Such as ``split.valid``: ranked after each epoch, history excluded. The weights of the
            epoch with the best NDCG@10 are kept.
        progress : bool, default=True
            Whether to show progress on standard error.
        callbacks : sequence of callables, default=()
            Each is called after each epoch with the model and the new row of ``history_``; if one
            returns True, training stops.
        checkpoint : path, default=None
            Where to save the model at each best epoch (without validation at each epoch).

        Raises
        ------
        ConfigError
            If a parameter is out of range; the message names it, its value and what is allowed.
        DataError
            If no user has two items, or the validation has other items than the log.
        TrainingDiverged
            If a step met NaN or infinity. The weights are then the best so far, else those before
            the step, and if these are not finite either, the model is as it was before.
        ConcurrentFitError
            If the model is being fitted already.
        """
        with self._fitting():
            log = expect_log(log)
            configuration, options = self._configuration(), self._options()
            plan = self._plan(log, validation, progress, callbacks, checkpoint)
            self._prepare(log, configuration)
            done = len(self.history_)
            options.update(seed=self.seed_, first_epoch=done, total_epochs=plan.epochs)
            Training(self, options, plan).run()
        return self

    def _prepare(self, log: Interactions, configuration: dict[str, Any]) -> None:
        """Make the network and begin its history, or go on with those there are."""
        if self.random_state is None:
            seed = secrets.randbits(53)
        else:
            seed = integer("random_state", self.random_state, 0, 2**63 - 1)
        sizes = {"model": "sasrec", "items": log.n_items, **configuration}
        fitted = vars(self).get("_fitted")
        if not flag("warm_start", self.warm_start) or fitted is None:
            network, history = Network({**sizes, "seed": seed}), []
        else:
            if not fitted.items.equals(log._items):
                raise DataError("warm_start needs a log with the items of the log before")
            before = {k: v for k, v in fitted.network.configuration.items() if k != "seed"}
            changed = [name for name in sizes if before[name] != sizes[name]]
            if changed:
                raise ConfigError(f"warm_start cannot change {', '.join(changed)}")
            network, history = fitted.network.copy(), list(self.history_)
        self._begin(log, network)
        self.seed_, self.history_ = seed, history

    def _plan(
        self,
        log: Interactions,
        validation: Holdout | None,
        progress: bool,
        callbacks: Sequence[Callback],
        checkpoint: str | os.PathLike[str] | None,
    ) -> Plan:
        if log.lengths().max(initial=0) < 2:
            raise DataError("no user of the log has two items, so there is no order to learn")
        if validation is not None:
            check_holdout(validation, log._items, "validation")
        for callback in callbacks:
            if not callable(callback):
                raise ConfigError(f"callbacks must be callable, got {callback!r}")
        patience = None if self.patience is None else integer("patience", self.patience)
        return Plan(
            epochs=integer("epochs", self.epochs),
            patience=patience,
            validation=validation,
            threads=threads(self.n_jobs),
            progress=flag("progress", progress),
            callbacks=tuple(callbacks),
            checkpoint=checkpoint,
        )

    def _configuration(self) -> dict[str, Any]:
        """Return the checked parameters that make the network."""
        configuration = {
            "dim": integer("dim", self.dim, 1, _LARGEST),
            "inner_dim": integer("inner_dim", self.inner_dim, 1, _LARGEST),
            "blocks": integer("blocks", self.blocks, 1, _LARGEST),
            "heads": integer("heads", self.heads, 1, _LARGEST),
            "max_length": integer("max_length", self.max_length, 1, _LARGEST),
            "dropout": real("dropout", self.dropout, "[0, 1)"),
            "attention_dropout": real("attention_dropout", self.attention_dropout, "[0, 1)"),
            "inner_dropout": real("inner_dropout", self.inner_dropout, "[0, 1)"),
            "norm": choice("norm", self.norm, ("pre", "post", "query")),
            "activation": choice("activation", self.activation, ("gelu", "relu", "silu")),
            "norm_epsilon": real("norm_epsilon", self.norm_epsilon, "(0, 1]"),
            "scale_embedding": flag("scale_embedding", self.scale_embedding),
            "tied": flag("tied", self.tied),
            "initial_std": real("initial_std", self.initial_std, "(0, 10]"),
        }
        if self.dim % self.heads:
            raise ConfigError(f"dim must be a multiple of heads={self.heads}, got {self.dim}")
        return configuration

    def _options(self) -> dict[str, Any]:
        """Return the checked parameters of training."""
        losses = ("softmax", "sampled_softmax", "bce", "gbce")
        return {
            "loss": choice("loss", self.loss, losses),
            "negatives": integer("negatives", self.negatives, 1, _LARGEST),
            "gbce_t": real("gbce_t", self.gbce_t, "[0, 1]"),
            "sampler": choice("sampler", self.sampler, ("uniform", "popularity", "log_uniform")),
            "batch_size": integer("batch_size", self.batch_size, 1, _LARGEST),
            "crop": choice("crop", self.crop, ("last", "random", "all")),
            "optimizer": choice("optimizer", self.optimizer, ("adam", "adamw")),
            "adam_form": choice("adam_form", self.adam_form, ("torch", "tensorflow")),
            "learning_rate": real("learning_rate", self.learning_rate, "(0, inf)"),
            "beta1": real("beta1", self.beta1, "[0, 1)"),
            "beta2": real("beta2", self.beta2, "[0, 1)"),
            "epsilon": real("epsilon", self.epsilon, "(0, 1]"),
            "weight_decay": real("weight_decay", self.weight_decay, "[0, inf)"),
            "gradient_clip": real("gradient_clip", self.gradient_clip, "[0, inf)"),
            "schedule": choice("schedule", self.schedule, ("constant", "linear", "cosine")),
            "warmup_steps": integer("warmup_steps", self.warmup_steps, 0, _LARGEST),
            "label_smoothing": real("label_smoothing", self.label_smoothing, "[0, 1)"),
        }

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim, inner = (configuration[name] for name in ("items", "dim", "inner_dim"))
        last = f"blocks.{configuration['blocks'] - 1}.feed_forward.expand.weight"
        return {
            "item_embedding": (items, dim),
            "position_embedding": (configuration["max_length"], dim),
            last: (inner, dim),
        }
