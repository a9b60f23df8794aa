"""The PyTorch side: the same SASRec, as it is usually written and as fast as we could make it.

One program, one measurement a call; each prints lines of JSON. Forms:

- ``usual``: what a careful author writes. Batches padded to their longest history, fused attention,
  ``cross_entropy`` on the real positions only, fused Adam.
- ``tuned``: the same mathematics by hand. The rows of a batch are sorted by length and cut into
  buckets, each padded to its own width; the loss is an ``autograd.Function`` that goes through
  chunks of rows with one reused buffer and makes its gradients in the forward pass; dropout masks
  are random bytes; inference computes only the last position in the last block.
- ``compiled``: ``usual`` under ``torch.compile``; the time to compile is told apart.

The model's parameters have the names of Elastirec's, so ``--weights`` takes what it exported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import common
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Shapes = list[tuple[int, int]]  # rows and width of each bucket


@dataclass(frozen=True)
class Form:
    """How the PyTorch side does the work; the mathematics is the same."""

    buckets: int = 1
    chunk: int = 0  # rows of logits at a time; 0 for functional.cross_entropy
    byte_dropout: bool = False
    last_only: bool = False
    compiled: bool = False


FORMS = {
    "usual": Form(),
    "tuned": Form(buckets=16, chunk=512, byte_dropout=True, last_only=True),
    "compiled": Form(compiled=True),
}


class ByteDropout(torch.autograd.Function):
    """Dropout whose mask is made of random bytes, eight to a draw; the share is n/256."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        """Return ``x`` with a share of its elements dropped."""
        dropped = round(256 * share)
        words = torch.empty(x.numel() // 8, dtype=torch.int64).random_(-(2**63), None)
        mask = words.view(torch.uint8).view(x.shape) >= dropped
        ctx.save_for_backward(mask)
        ctx.scale = 256 / (256 - dropped)
        return (x * mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of ``x``."""
        (mask,) = ctx.saved_tensors
        return (gradient * mask).mul_(ctx.scale), None


class ChunkedLoss(torch.autograd.Function):
    """Mean cross-entropy of ``states @ table.T``, never holding more than a chunk of the logits."""

    buffer: Tensor | None = None

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, targets: Tensor, chunk: int) -> Tensor:
        """Return the loss, with both gradients made at once."""
        count = len(states)
        if ChunkedLoss.buffer is None or ChunkedLoss.buffer.shape != (chunk, len(table)):
            ChunkedLoss.buffer = torch.empty(chunk, len(table))
        d_states, d_table = torch.empty_like(states), torch.zeros_like(table)
        total = torch.zeros(())
        parts = -(-count // chunk)
        bounds = [count * part // parts for part in range(parts + 1)]
        for start, stop in pairwise(bounds):
            rows, index = states[start:stop], targets[start:stop, None]
            logits = ChunkedLoss.buffer[: stop - start]
            torch.mm(rows, table.T, out=logits)
            torch.softmax(logits, 1, out=logits)
            chosen = logits.gather(1, index)
            total -= chosen.log().sum()
            logits.scatter_(1, index, chosen - 1)
            torch.mm(logits, table, out=d_states[start:stop])
            d_table.addmm_(logits.T, rows)
        ctx.save_for_backward(d_states.div_(count), d_table.div_(count))
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of ``states`` and ``table``."""
        d_states, d_table = ctx.saved_tensors
        return d_states.mul_(gradient), d_table.mul_(gradient), None, None


class Attention(nn.Module):
    """Causal self-attention on flat rows ``[tokens, dim]``; each bucket is a view of them."""

    def __init__(self, sizes: common.Sizes) -> None:
        super().__init__()
        self.heads, self.dim = sizes.heads, sizes.dim
        self.qkv = nn.Linear(sizes.dim, 3 * sizes.dim)
        self.output = nn.Linear(sizes.dim, sizes.dim)

    def forward(self, x: Tensor, shapes: Shapes) -> Tensor:
        """Return the outputs of all positions."""
        joined = self.qkv(x)
        counts = [rows * width for rows, width in shapes]
        parts = joined.split(counts) if len(shapes) > 1 else [joined]
        done = []
        for part, (rows, width) in zip(parts, shapes, strict=True):
            heads = part.view(rows, width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            y = functional.scaled_dot_product_attention(*heads, is_causal=True)
            done.append(y.transpose(1, 2).reshape(-1, self.dim))
        return self.output(torch.cat(done) if len(done) > 1 else done[0])

    def last(self, x: Tensor, last: Tensor, shapes: Shapes, masks: list[Tensor | None]) -> Tensor:
        """Return the outputs of the last positions only, ``[histories, dim]``."""
        weight, bias, dim = self.qkv.weight, self.qkv.bias, self.dim
        queries = functional.linear(x[last], weight[:dim], bias[:dim])
        joined = functional.linear(x, weight[dim:], bias[dim:])
        done, row, token = [], 0, 0
        for (rows, width), mask in zip(shapes, masks, strict=True):
            part = joined[token : token + rows * width].view(rows, width, 2, self.heads, -1)
            keys, values = part.permute(2, 0, 3, 1, 4)
            query = queries[row : row + rows].view(rows, self.heads, 1, -1)
            y = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
            done.append(y.reshape(rows, dim))
            row, token = row + rows, token + rows * width
        return self.output(torch.cat(done) if len(done) > 1 else done[0])


class FeedForward(nn.Module):
    """Two linear maps with a GELU between."""

    def __init__(self, sizes: common.Sizes) -> None:
        super().__init__()
        self.expand = nn.Linear(sizes.dim, sizes.inner_dim)
        self.contract = nn.Linear(sizes.inner_dim, sizes.dim)


class Block(nn.Module):
    """Attention and feed-forward step, each on the norm of its input, with residuals."""

    def __init__(self, sizes: common.Sizes) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(sizes.dim, sizes.norm_epsilon)
        self.attention = Attention(sizes)
        self.feed_forward_norm = nn.LayerNorm(sizes.dim, sizes.norm_epsilon)
        self.feed_forward = FeedForward(sizes)


class SASRec(nn.Module):
    """The model, with the formulas and the parameter names of Elastirec's ``norm="pre"``."""

    def __init__(self, items: int, sizes: common.Sizes, form: Form) -> None:
        super().__init__()
        self.form, self.share = form, sizes.dropout
        self.item_embedding = nn.Parameter(torch.empty(items, sizes.dim))
        self.position_embedding = nn.Parameter(torch.empty(sizes.max_length, sizes.dim))
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.blocks))
        self.final_norm = nn.LayerNorm(sizes.dim, sizes.norm_epsilon)
        for name, weight in self.named_parameters():
            if "norm" not in name and weight.dim() == 2:
                nn.init.normal_(weight, std=sizes.initial_std)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def dropped(self, x: Tensor) -> Tensor:
        """Return ``x`` with dropout, in training."""
        if not self.training:
            return x
        if self.form.byte_dropout:
            return ByteDropout.apply(x, self.share)
        return functional.dropout(x, self.share)

    def embedded(self, batch: Batch) -> Tensor:
        """Return the inputs of the first block, ``[tokens, dim]``."""
        items = functional.embedding(batch.items, self.item_embedding)
        if batch.positions is None:
            return self.dropped(items + self.position_embedding[: len(items)])
        return self.dropped(items + functional.embedding(batch.positions, self.position_embedding))

    def fed(self, block: Block, x: Tensor) -> Tensor:
        """Return ``x`` after the feed-forward step of a block."""
        inner = functional.gelu(block.feed_forward.expand(block.feed_forward_norm(x)))
        return x + self.dropped(block.feed_forward.contract(self.dropped(inner)))

    def blocked(self, x: Tensor, blocks: Iterable[Block], shapes: Shapes) -> Tensor:
        """Return ``x`` after some blocks."""
        for block in blocks:
            x = x + self.dropped(block.attention(block.attention_norm(x), shapes))
            x = self.fed(block, x)
        return x

    def forward(self, batch: Batch, targets: Tensor) -> Tensor:
        """Return the loss of a batch, the mean over its real positions."""
        x = self.blocked(self.embedded(batch), self.blocks, batch.shapes)
        states = self.final_norm(x.index_select(0, batch.kept))
        if self.form.chunk:
            return ChunkedLoss.apply(states, self.item_embedding, targets, self.form.chunk)
        return functional.cross_entropy(states @ self.item_embedding.T, targets)

    def last_states(self, batch: Batch) -> Tensor:
        """Return the states of the last positions, ``[histories, dim]``."""
        x = self.embedded(batch)
        if not self.form.last_only:
            x = self.blocked(x, self.blocks, batch.shapes)
            return self.final_norm(x[batch.last])
        x = self.blocked(x, list(self.blocks)[:-1], batch.shapes)
        block = self.blocks[-1]
        normed = block.attention_norm(x)
        heads = block.attention.last(normed, batch.last, batch.shapes, batch.masks)
        return self.final_norm(self.fed(block, x[batch.last] + heads))


@dataclass
class Batch:
    """Histories, padded at their ends to the width of their bucket, and laid out in one row."""

    items: Tensor  # [tokens]
    positions: Tensor | None  # [tokens]; None for 0, 1, 2, ...
    kept: Tensor  # places of the real tokens
    last: Tensor  # places of the last tokens, one for each history
    shapes: Shapes
    masks: list[Tensor | None]  # of each bucket, what the last position may see
    order: NDArray[np.int64]  # which history each row is

    @staticmethod
    def of(
        data: common.Histories,
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        buckets: int,
    ) -> Batch:
        """Lay out ``data.items[start : start + length]`` of each history in ``buckets`` buckets."""
        order = np.argsort(-lengths, kind="stable") if buckets > 1 else np.arange(len(lengths))
        items, positions, kept, last = [], [], [], []
        shapes: Shapes = []
        masks: list[Tensor | None] = []
        base = 0
        for part in np.array_split(order, min(buckets, len(order))):
            counts = lengths[part]
            width = int(counts.max())
            columns = np.arange(width)
            real = columns < counts[:, None]
            places = np.minimum(starts[part][:, None] + columns, len(data.items) - 1)
            items.append(np.where(real, data.items[places], 0).ravel())
            positions.append(np.broadcast_to(columns, real.shape).ravel())
            kept.append(np.flatnonzero(real.ravel()) + base)
            last.append(np.arange(len(part)) * width + counts - 1 + base)
            masks.append(None if real.all() else torch.from_numpy(real[:, None, None, :]))
            shapes.append((len(part), width))
            base += real.size
        flat = [torch.from_numpy(np.concatenate(p)) for p in (items, positions, kept, last)]
        return Batch(*flat, shapes, masks, order)

    def next_items(self, data: common.Histories, starts: NDArray[np.int64]) -> Tensor:
        """Return what follows each real token, in the order of ``kept``."""
        rows = np.repeat(np.arange(len(self.order)), [w for r, w in self.shapes for _ in range(r)])
        kept = self.kept.numpy()
        positions = self.positions.numpy()[kept]
        return torch.from_numpy(data.items[starts[self.order][rows[kept]] + positions + 1])


def train(
    data: common.Histories, sizes: common.Sizes, form: Form, epochs: int
) -> Iterator[tuple[float, float]]:
    """Train a new model, yielding seconds and loss of each epoch; making batches is included."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = SASRec(data.item_count, sizes, form)
    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.learning_rate, fused=True)
    loss_of: Any = torch.compile(model, dynamic=True) if form.compiled else model
    lengths = common.training_lengths(data, sizes.max_length)
    starts = data.offsets[1:] - 3 - lengths
    people = np.flatnonzero(lengths > 0)
    for _ in range(epochs):
        began = time.perf_counter()
        total, tokens = 0.0, 0
        drawn = random.permutation(people)
        for start in range(0, len(drawn), common.BATCH):
            chosen = drawn[start : start + common.BATCH]
            batch = Batch.of(data, starts[chosen], lengths[chosen], form.buckets)
            targets = batch.next_items(data, starts[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(batch, targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
            tokens += len(targets)
        yield time.perf_counter() - began, total / tokens


@torch.inference_mode()
def evaluate(data: common.Histories, model: SASRec, sizes: common.Sizes) -> float:
    """Rank everybody's last item among all but those of the history; return NDCG@10."""
    ends = data.offsets[1:] - 1
    lengths = np.minimum(ends - data.offsets[:-1], sizes.max_length)
    people = np.argsort(-lengths, kind="stable") if model.form.buckets > 1 else np.arange(len(ends))
    gain = 0.0
    for start in range(0, len(people), common.REQUESTS):
        chosen = people[start : start + common.REQUESTS]
        starts = ends[chosen] - lengths[chosen]
        batch = Batch.of(data, starts, lengths[chosen], model.form.buckets)
        chosen = chosen[batch.order]
        scores = model.last_states(batch) @ model.item_embedding.T
        target = scores.gather(1, torch.from_numpy(data.items[ends[chosen]])[:, None])
        seen = [data.items[data.offsets[user] : ends[user]] for user in chosen]
        exclude(scores, seen)
        ranks = (scores > target).sum(1) + 1
        gain += float((1 / torch.log2(ranks[ranks <= common.TOP] + 1.0)).sum())
    return gain / data.users


def exclude(scores: Tensor, seen: Sequence[NDArray[np.int64]]) -> None:
    """Set the scores of each row's history to minus infinity."""
    rows = np.repeat(np.arange(len(seen)), [len(row) for row in seen])
    places = torch.from_numpy(rows * scores.shape[1] + np.concatenate(seen))
    scores.view(-1).index_fill_(0, places, -torch.inf)


@torch.inference_mode()
def answer(model: SASRec, sizes: common.Sizes, history: list[int]) -> tuple[Any, Any]:
    """Return ids and scores of the ten best items after one history, without padding."""
    seen = torch.tensor(history)
    items = seen[-sizes.max_length :]
    count = len(items)
    batch = Batch(items, None, items, torch.tensor([count - 1]), [(1, count)], [None], np.zeros(1))
    scores = torch.mv(model.item_embedding, model.last_states(batch)[0])
    best = scores.index_fill_(0, seen, -torch.inf).topk(common.TOP)
    return best.indices.numpy(), best.values.numpy()


@torch.inference_mode()
def answers(model: SASRec, sizes: common.Sizes, histories: list[list[int]]) -> tuple[Any, Any]:
    """Return ids and scores of the ten best items after each history."""
    seen = [np.asarray(history) for history in histories]
    counts = np.array([len(history) for history in seen])
    lengths = np.minimum(counts, sizes.max_length)
    ends = np.cumsum(counts)
    joined = common.Histories(np.concatenate(seen), np.concatenate([[0], ends]), "requests")
    batch = Batch.of(joined, ends - lengths, lengths, model.form.buckets)
    scores = model.last_states(batch) @ model.item_embedding.T
    exclude(scores, [seen[row] for row in batch.order])
    best = scores.topk(common.TOP)
    back = np.argsort(batch.order)
    return best.indices.numpy()[back], best.values.numpy()[back]


def load(data: common.Histories, sizes: common.Sizes, form: Form, weights: str | None) -> SASRec:
    """Return a model for inference, with weights that Elastirec exported or with new ones."""
    torch.manual_seed(0)
    model = SASRec(data.item_count, sizes, form).eval()
    if weights:
        with np.load(weights) as arrays:
            model.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays})
    return model


def measure_training(args: argparse.Namespace, data: common.Histories, sizes: common.Sizes) -> None:
    """Print the seconds of each epoch, and the peak memory."""
    run = train(data, sizes, FORMS[args.form], args.epochs)
    with common.memory_measured() as memory:
        for epoch in range(args.epochs):
            with common.measured() as meter:
                seconds, loss = next(run)
            detail = {"epoch": epoch + 1, "loss": loss, "threads": args.threads, **meter.detail}
            common.Measurement(f"train {args.data}", args.form, seconds, "s", detail).print()
    task = f"memory {args.data}"
    common.Measurement(task, args.form, memory.megabytes, "MB", memory.detail).print()


def measure_evaluation(
    args: argparse.Namespace, data: common.Histories, sizes: common.Sizes
) -> None:
    """Print the seconds that full ranking of all users takes."""
    model = load(data, sizes, FORMS[args.form], args.weights)
    for _ in range(args.repeats + 1):
        with common.measured() as meter:
            ndcg = evaluate(data, model, sizes)
        detail = {"ndcg@10": ndcg, "threads": args.threads, **meter.detail}
    common.Measurement(f"evaluate {args.data}", args.form, meter.seconds, "s", detail).print()


def measure_requests(args: argparse.Namespace, data: common.Histories, sizes: common.Sizes) -> None:
    """Print the latency of single requests, and how many a second go through in batches."""
    model = load(data, sizes, FORMS[args.form], args.weights)
    for length in (sizes.max_length, 10):
        histories = common.request_histories(data, length, 100)
        with common.measured() as meter:
            took = common.latency(lambda history: answer(model, sizes, history), histories)
        ids, scores = answer(model, sizes, histories[0])
        detail = {**took, "threads": args.threads, **meter.detail}
        detail.update(ids=ids.tolist(), scores=scores.tolist())
        task = f"request of {length} {args.data}"
        common.Measurement(task, args.form, 1e6 * took["median"], "us", detail).print()
    histories = common.request_histories(data, 0, common.REQUESTS)
    with common.measured() as meter:
        took = common.latency(lambda batch: answers(model, sizes, batch), [histories])
    detail = {**took, "threads": args.threads, **meter.detail}
    task, rate = f"batch of {common.REQUESTS} {args.data}", common.REQUESTS / took["median"]
    common.Measurement(task, args.form, rate, "requests/s", detail).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "evaluate", "request"))
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--form", choices=tuple(FORMS), default="tuned")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = common.load(args.data)
    sizes = common.Sizes(max_length=common.MAX_LENGTH.get(args.data, 200))
    run = {"train": measure_training, "evaluate": measure_evaluation, "request": measure_requests}
    run[args.task](args, data, sizes)


if __name__ == "__main__":
    main()
