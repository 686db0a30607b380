"""The objective of the VQ-VAE."""

import numpy as np
import torch

from visketch import quadtree
from visketch.config import Config
from visketch.geometry.sketch import Sketch
from visketch.models.vqvae import VQVAE, TrainableVQVAE
from visketch.training.objectives.objective import Batch, Example, Objective, Result, draw


class VQVAEObjective(Objective):
    """Reconstruct inked tiles of all levels. The nearer a pixel is to the zero level, the more weight it has."""

    TILES = 8  # the tiles taken from each sketch; most of them are of the finest level

    def __init__(self, config: Config, vqvae: VQVAE) -> None:
        super().__init__()
        self.config = config
        self.trainable = TrainableVQVAE(vqvae)
        self.parts = {"vqvae": vqvae}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        tiles = quadtree.first_tile(shape.depth + 1)
        return {
            "canvas": draw(sketch, rng, shape, 1.0, shape.canvas),
            "score": rng.random(tiles, dtype=np.float32),
        }

    def forward(self, batch: Batch) -> Result:
        tiles = quadtree.tiles(batch["canvas"], self.config.sketch.depth)
        inked = tiles.amax(dim=(2, 3)) > -0.5
        chosen = torch.where(inked, batch["score"], -1).topk(min(self.TILES, tiles.shape[1]), dim=1).indices
        which = torch.zeros_like(inked).scatter(1, chosen, torch.ones_like(inked)) & inked
        tiles = tiles[which]
        if self.config.vqvae.binary:
            tiles = (tiles > 0).float() * 2 - 1
        drawn, codes, commitment = self.trainable(tiles)
        error = (drawn - tiles).square()
        weight = 1 + 10 * torch.exp(-(tiles / 0.2).square())
        loss = (error * weight).mean()
        used = torch.bincount(codes.flatten(), minlength=self.config.vqvae.codebook_size) / codes.numel()
        perplexity = torch.exp(-(used * torch.log(used.clamp(min=1e-9))).sum())
        return loss + commitment.sum(), {"mse": error.mean(), "perplexity": perplexity}

    def settle(self) -> None:
        self.trainable.settle()
