"""The VQ-VAE, which turns a p x p tile of signed distance into (p / 8)^2 codes, and back.

Only this module imports vector-quantize-pytorch.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.config import VQVAEConfig
from visketch.models.blocks import ResidualConv, channels_last


class Codebook(nn.Module):
    """A trained codebook, which turns a latent into the nearest code, and a code into its latent.

    It consists of three tensors and needs no library.
    """

    def __init__(self, width: int, config: VQVAEConfig) -> None:
        super().__init__()
        self.cosine = not config.plain
        self.project_in = nn.Linear(width, config.codebook_dim)
        self.project_out = nn.Linear(config.codebook_dim, width)
        self.codes = nn.Parameter(torch.randn(config.codebook_size, config.codebook_dim))

    def nearest(self, latents: Float[Tensor, "n t w"]) -> Int[Tensor, "n t"]:
        # Half precision would sometimes select a neighbouring code
        with torch.autocast(latents.device.type, enabled=False):
            x = self.project_in(latents.float())
            x = F.normalize(x, dim=-1) if self.cosine else x
            return torch.cdist(x, self.codes.expand(len(x), -1, -1)).argmin(dim=-1)

    def lookup(self, codes: Int[Tensor, "n t"]) -> Float[Tensor, "n t w"]:
        return self.project_out(F.embedding(codes, self.codes))


def _norm(width: int) -> nn.Module:
    return nn.GroupNorm(1, width)


class VQVAE(nn.Module):
    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        w, half = config.width, config.width // 2
        self.config = config
        self.encoder = channels_last(
            nn.Sequential(
                nn.Conv2d(1, half, 5, stride=2, padding=2),
                ResidualConv(half, _norm),
                nn.Conv2d(half, w, 3, stride=2, padding=1),
                ResidualConv(w, _norm),
                nn.Conv2d(w, w, 3, stride=2, padding=1),
                ResidualConv(w, _norm),
                nn.Conv2d(w, w, 1),
            )
        )
        self.decoder = channels_last(
            nn.Sequential(
                nn.Conv2d(w, w, 3, padding=1),
                ResidualConv(w, _norm),
                nn.Conv2d(w, 4 * w, 1),
                nn.PixelShuffle(2),
                ResidualConv(w, _norm),
                nn.Conv2d(w, 4 * half, 1),
                nn.PixelShuffle(2),
                ResidualConv(half, _norm),
                nn.Conv2d(half, 16, 3, padding=1),
                nn.PixelShuffle(2),
                nn.Conv2d(4, 1, 3, padding=1),
            )
        )
        self.codebook = Codebook(w, config)

    def latents(self, tiles: Float[Tensor, "n p p"]) -> Float[Tensor, "n t w"]:
        """The latents of tiles before quantisation."""
        maps = self.encoder(tiles[:, None].contiguous(memory_format=torch.channels_last))
        return rearrange(maps, "n w p q -> n (p q) w")

    def encode(self, tiles: Float[Tensor, "n p p"]) -> Int[Tensor, "n t"]:
        return self.codebook.nearest(self.latents(tiles))

    def decode(self, codes: Int[Tensor, "n t"]) -> Float[Tensor, "n p p"]:
        return self.draw(self.codebook.lookup(codes))

    def draw(self, latents: Float[Tensor, "n t w"]) -> Float[Tensor, "n p p"]:
        """Turn quantised latents into tiles, clamped to the range of the field."""
        maps = rearrange(latents, "n (p q) w -> n w p q", p=int(latents.shape[1] ** 0.5))
        return self.decoder(maps.contiguous(memory_format=torch.channels_last))[:, 0].float().clamp(-1, 1)


class TrainableVQVAE(nn.Module):
    """A VQ-VAE in training. It has the library's quantiser in place of the codebook."""

    def __init__(self, vqvae: VQVAE) -> None:
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        config = vqvae.config
        self.vqvae = vqvae
        # Replacing unused codes matters most. Cosine similarity with a narrow codebook comes second (lab book).
        chosen = {} if config.plain else {"kmeans_init": True, "use_cosine_sim": True, "threshold_ema_dead_code": 2}
        self.quantise = VectorQuantize(
            dim=config.width,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            decay=0.8 if config.plain else 0.99,
            commitment_weight=1.0 if config.plain else 0.25,
            **chosen,
        )
        vqvae.codebook.requires_grad_(False)

    def forward(self, tiles: Float[Tensor, "n p p"]) -> tuple[Float[Tensor, "n p p"], Int[Tensor, "n t"], Tensor]:
        """The reconstruction, the codes and the commitment loss."""
        quantised, codes, commitment = self.quantise(self.vqvae.latents(tiles).float())
        maps = rearrange(quantised, "n (p q) w -> n w p q", p=int(quantised.shape[1] ** 0.5))
        drawn = self.vqvae.decoder(maps.contiguous(memory_format=torch.channels_last))[:, 0].float()
        return drawn, codes, commitment

    @torch.no_grad()
    def settle(self) -> VQVAE:
        """Copy the learned codes into the codebook of the VQ-VAE, and return it."""
        codebook = self.vqvae.codebook
        codebook.project_in.load_state_dict(self.quantise.project_in.state_dict())
        codebook.project_out.load_state_dict(self.quantise.project_out.state_dict())
        codebook.codes.copy_(self.quantise.codebook)
        return self.vqvae
