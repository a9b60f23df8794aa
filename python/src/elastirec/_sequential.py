"""What all models share that learn the order of items by gradients: ``fit`` and its options."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from elastirec._base import Recommender
from elastirec._checks import callables, flag, multiple
from elastirec._evaluation import check_holdout
from elastirec._features import Feature, check_vocabularies
from elastirec._files import expect_folder
from elastirec._kinds import (
    AnyNames,
    Count,
    Epochs,
    Epsilon,
    Fraction,
    Margin,
    NotNegative,
    Positive,
    Power,
    Seed,
    Share,
    Size,
)
from elastirec._library import threads
from elastirec._network import Network
from elastirec._training import Callback, Plan, Training
from elastirec.errors import ConfigError, DataError
from elastirec.interactions import Interactions, expect_log
from elastirec.splits import Holdout

# How fit goes about its work; the native trainer need not know.
_OF_FIT = frozenset({"epochs", "patience", "random_state", "n_jobs", "warm_start"})


class SequentialRecommender(Recommender):
    """A network that learns which item follows a history.

    A model declares the parameters of its network; those of training are declared here, and a
    model may give them other defaults or other choices.

    Parameters
    ----------
    loss : {"softmax", "sampled_softmax", "bce", "gbce", "bpr", "bpr_max", "top1"}, \
default="softmax"
        Cross-entropy over all items; over sampled items with log-q correction; binary
        cross-entropy with sampled negatives; the same calibrated as in gSASRec; or the pairwise
        losses of GRU4Rec with sampled negatives.
    negatives : int, default=256
        Sampled items: of a position for "bce" and "gbce", of a batch for the other losses.
    gbce_t : float, default=0.75
        Calibration of "gbce", 0 for none to 1 for full.
    sampler : {"uniform", "popularity", "log_uniform"}, default="uniform"
        How negatives are drawn.
    sampler_power : float, default=1.0
        "popularity" draws in proportion to how often items occur, to this power.
    bpr_regularization : float, default=1.0
        Weight of the squared scores of negatives in "bpr_max".
    crop : {"last", "random", "all"}, default="last"
        What is trained on of histories longer than ``max_length + 1``: the newest window, a
        random window in each epoch, or windows that cover all of it. Models that train on prefixes
        or sessions take all of a history in any case, those that fill gaps its newest window.
    epochs : int, default=100
        Epochs at most.
    patience : int or None, default=10
        Epochs without a better NDCG@10 of the validation after which training stops; None never
        stops. The weights of the best epoch are kept either way.
    batch_size : int, default=128
        Histories in a step.
    optimizer : {"adam", "adamw", "adagrad"}, default="adam"
        "adamw" is Adam with decoupled weight decay.
    adam_form : {"torch", "tensorflow"}, default="torch"
        Whether epsilon is added after or before the correction of the bias.
    learning_rate : float, default=1e-3
    beta1 : float, default=0.9
        How much of the mean gradient Adam keeps at each step.
    beta2 : float, default=0.999
        How much of the mean squared gradient Adam keeps at each step.
    epsilon : float, default=1e-8
        Added to the root of the mean squared gradient.
    weight_decay : float, default=0.0
    undecayed : sequence of str, default=()
        Parameters whose names contain one of these do not decay.
    gradient_clip : float, default=0.0
        Largest norm of all gradients together, 0 for any.
    schedule : {"constant", "linear", "cosine"}, default="constant"
        How the learning rate falls to zero over ``epochs``.
    warmup_steps : int, default=0
        Steps over which the learning rate rises at first.
    label_smoothing : float, default=0.0
        Share of the target spread over all items, for "softmax".
    seen_margin : float, default=0.0
        Added to the scores of the items that were read, the target apart, while "softmax" trains;
        from -100 to 100. Above 0 the model learns to put what is new before what was chosen
        already. -20 leaves the history out of the softmax, as `recommend` leaves it out of its
        answers; scores of the history mean nothing then. Both are for logs where nobody chooses
        twice, not for samples "sessions"; below 0 ``label_smoothing`` must be 0.
    precision : {"float32", "bfloat16"}, default="float32"
        What training rounds the factors of large matrix products to: those of maps, convolutions,
        gated recurrences and losses, forwards and backwards. Sums, weights, attention and all that
        a fitted model does stay float32. With "bfloat16" (8 significant bits) these products are
        almost twice as fast on processors with AVX512-BF16, such as AMD's since Zen 4; on others
        training gives the same but for rounding, and takes longer. See ``python -m elastirec``.
    sparse_gradients : bool, default=False
        Whether a step holds and moves only the rows of the item tables that it reads (lazy Adam):
        for losses of sampled items over so many that whole gradients are too large.
    random_state : int or None, default=0
        Seed; None draws a fresh one. Equal seeds give equal bits for any ``n_jobs``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights that it left, for ``epochs`` more.
    """

    _model: ClassVar[str]  # its name in the library
    _extra_options: ClassVar[frozenset[str]] = frozenset()  # of training, declared by the model

    loss: Literal["softmax", "sampled_softmax", "bce", "gbce", "bpr", "bpr_max", "top1"] = "softmax"
    negatives: Size = 256
    gbce_t: Fraction = 0.75
    sampler: Literal["uniform", "popularity", "log_uniform"] = "uniform"
    sampler_power: Power = 1.0
    bpr_regularization: NotNegative = 1.0
    crop: Literal["last", "random", "all"] = "last"
    epochs: Epochs = 100
    patience: Epochs | None = 10
    batch_size: Size = 128
    optimizer: Literal["adam", "adamw", "adagrad"] = "adam"
    adam_form: Literal["torch", "tensorflow"] = "torch"
    learning_rate: Positive = 1e-3
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Epsilon = 1e-8
    weight_decay: NotNegative = 0.0
    undecayed: AnyNames = ()
    gradient_clip: NotNegative = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Count = 0
    label_smoothing: Share = 0.0
    seen_margin: Margin = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    sparse_gradients: bool = False
    random_state: Seed | None = 0
    warm_start: bool = False

    def fit(
        self,
        log: Interactions,
        *,
        validation: Holdout | None = None,
        exclude_seen: bool = True,
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
            Such as ``split.valid``: ranked after each epoch. The weights of the epoch with the best
            NDCG@10 are kept.
        exclude_seen : bool, default=True
            Whether the validation is ranked without the items of the history, as in ``evaluate``.
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
        FileNotFoundError
            If the folder of ``checkpoint`` does not exist.
        """
        with self._fitting():
            log = expect_log(log)
            configuration, options = self._configuration(), self._options()
            plan = self._plan(log, validation, exclude_seen, progress, callbacks, checkpoint)
            self._prepare(log, configuration)
            done = len(self.history_)
            options.update(seed=self.seed_, first_epoch=done, total_epochs=plan.epochs)
            Training(self, options, plan).run()
        return self

    def _configuration(self) -> dict[str, Any]:
        """Return the checked parameters that make the network."""
        training = SequentialRecommender._parameters.keys() | self._extra_options
        checked = self._checked(name for name in self._parameters if name not in training)
        self._expect_fitting(checked)
        return {name: value for name, value in checked.items() if value is not None}

    def _expect_fitting(self, configuration: Mapping[str, Any]) -> None:
        """Raise a ConfigError where parameters do not go together."""
        if "heads" in configuration:
            multiple("dim", configuration["dim"], "heads", configuration["heads"])

    def _options(self) -> dict[str, Any]:
        """Return the checked parameters that the native trainer takes."""
        training = SequentialRecommender._parameters.keys() | self._extra_options
        checked = self._checked(training - _OF_FIT)
        return {name: value for name, value in checked.items() if value is not None}

    def _counts(self, log: Interactions) -> dict[str, int]:
        """Return how many of what the network has vectors of."""
        return {"items": log.n_items}

    def _features(self, log: Interactions) -> tuple[Feature, ...]:
        """Return the features of the log's items that the network reads."""
        return ()

    def _prepare(self, log: Interactions, configuration: dict[str, Any]) -> None:
        """Make the network and begin its history, or go on with those there are."""
        wanted = self._checked(["random_state", "warm_start"])
        seed = secrets.randbits(53) if wanted["random_state"] is None else wanted["random_state"]
        features = self._features(log)
        sizes = {"model": self._model, **self._counts(log), **configuration}
        if features:
            sizes["features"] = [feature.configuration for feature in features]
        fitted = vars(self).get("_fitted")
        if not wanted["warm_start"] or fitted is None:
            network, history = Network({**sizes, "seed": seed}), []
        else:
            if not fitted.items.equals(log._items):
                raise DataError("warm_start needs a log with the items of the log before")
            if fitted.network.knows_people and not fitted.users.equals(log._users):
                raise DataError("warm_start needs a log with the users of the log before")
            before = {k: v for k, v in fitted.network.configuration.items() if k != "seed"}
            # What an older file does not say had its default.
            before = {**{k: v for k, v in self._defaults().items() if k in sizes}, **before}
            names = dict.fromkeys([*sizes, *before])
            changed = [name for name in names if before.get(name) != sizes.get(name)]
            if changed:
                raise ConfigError(f"warm_start cannot change {', '.join(changed)}")
            check_vocabularies(fitted.network.features, features)
            network, history = fitted.network.copy(), list(self.history_)
        network.set_features(features)
        self._begin(log, network)
        self.seed_, self.history_ = seed, history

    def _plan(
        self,
        log: Interactions,
        validation: Holdout | None,
        exclude_seen: bool,
        progress: bool,
        callbacks: Sequence[Callback],
        checkpoint: str | os.PathLike[str] | None,
    ) -> Plan:
        if log.lengths().max(initial=0) < 2:
            raise DataError("no user of the log has two items, so there is no order to learn")
        if validation is not None:
            check_holdout(validation, log._items, "validation")
        if checkpoint is not None:
            expect_folder(checkpoint)
        return Plan(
            **self._checked(["epochs", "patience"]),
            validation=validation,
            exclude_seen=flag("exclude_seen", exclude_seen),
            threads=threads(self.n_jobs),
            progress=flag("progress", progress),
            callbacks=callables("callbacks", callbacks),
            checkpoint=checkpoint,
        )


class CausalRecommender(SequentialRecommender):
    """A network whose state after an item may depend on that item and those before it alone.

    Parameters
    ----------
    samples : {"auto", "positions", "prefixes"}, default="auto"
        What is trained on: after each item of a history the one that follows it, all of them at
        once; or each prefix of a history by itself, cut to its newest ``max_length`` items, which
        takes much longer. "auto" takes positions wherever states do not see what follows them.
    """

    _extra_options = frozenset({"samples"})

    samples: Literal["auto", "positions", "prefixes"] = "auto"
