"""A VQ-VAE like the one of the package, for any number of channels, and a short training that is the same for all."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import SketchConfig, VQVAEConfig
from visketch.device import multiplies_bfloat16
from visketch.models.vqvae import VQVAE, TrainableVQVAE

TILES = 128  # in each step, as in the package's training


class Codec(nn.Module):
    """Encodes the finest tiles of pictures and decodes them. The number of codes does not depend on the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vqvae = VQVAE(VQVAEConfig())
        self.vqvae.encoder[0] = nn.Conv2d(channels, self.vqvae.config.width // 2, 5, stride=2, padding=2)
        self.vqvae.decoder[-1] = nn.Conv2d(4, channels, 3, padding=1)
        self.quantise = TrainableVQVAE(self.vqvae).quantise

    def forward(self, tiles: Float[Tensor, "n i p p"]) -> tuple[Float[Tensor, "n i p p"], Tensor]:
        """Returns the reconstruction and the commitment loss."""
        maps = self.vqvae.encoder(tiles.contiguous(memory_format=torch.channels_last))
        quantised, _, commitment = self.quantise(rearrange(maps, "n w p q -> n (p q) w").float())
        maps = rearrange(quantised, "n (p q) w -> n w p q", p=maps.shape[-1])
        return self.vqvae.decoder(maps.contiguous(memory_format=torch.channels_last)).float(), commitment


def cut(pictures: Float[Tensor, "b i h h"], shape: SketchConfig) -> Float[Tensor, "b z i p p"]:
    each = [quadtree.cut(channel, shape.depth) for channel in pictures.unbind(1)]
    return torch.stack(each, dim=2)


def train(pictures: Float[Tensor, "b i h h"], shape: SketchConfig, steps: int, seed: int = 0) -> Codec:
    """Train a codec as the package trains its VQ-VAE: the loss has a larger weight near the zero level, and the
    learning rate warms up and then follows a cosine.
    """
    torch.manual_seed(seed)
    codec, rng = Codec(pictures.shape[1]), np.random.default_rng(seed)
    tiles = cut(pictures, shape).flatten(0, 1)
    tiles = tiles[tiles.amax(dim=(1, 2, 3)) > -0.5]
    optimizer = torch.optim.AdamW([p for p in codec.parameters() if p.requires_grad], lr=1e-3, betas=(0.9, 0.98))
    for step in range(steps):
        warm = min((step + 1) / 30, 0.5 + 0.5 * np.cos(np.pi * step / steps))
        optimizer.param_groups[0]["lr"] = 1e-3 * warm
        batch = tiles[rng.integers(len(tiles), size=TILES)].float().rot90(int(rng.integers(4)), (2, 3))
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            drawn, commitment = codec(batch)
        loss = ((drawn - batch).square() * (1 + 10 * torch.exp(-(batch / 0.2).square()))).mean() + commitment.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
    return codec.eval()


@torch.no_grad()
def read_back(codec: Codec, pictures: Float[Tensor, "b i h h"], shape: SketchConfig) -> Float[Tensor, "b i h h"]:
    """Encode and decode every tile of the finest level."""
    tiles = cut(pictures, shape)
    drawn = torch.cat([codec(some)[0] for some in tiles.flatten(0, 1).split(256)]).clamp(-1, 1)
    drawn = drawn.unflatten(0, tiles.shape[:2])
    return torch.stack([quadtree.join(channel) for channel in drawn.unbind(2)], dim=1)
