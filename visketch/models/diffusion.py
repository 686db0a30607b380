"""The coarse stage as a field: it turns a class into a p x p signed distance field, by flow matching."""

from collections.abc import Callable
from itertools import pairwise

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import AttnProcessor
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.config import DiffusionConfig
from visketch.models.flow import times


class Diffusion(nn.Module):
    """A UNet of diffusers, trained to predict the flow `noise - field` at a time t in [0, 1] (rectified flow).

    It sees a field as patches, where the pixels of a patch are channels. In the same CPU time it drew better than a DiT
    (lab book, 2026-11-21).
    """

    def __init__(self, config: DiffusionConfig, tile: int, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes  # the label `classes` is the null class
        self.net = _unet(config, tile, classes)
        if not torch.cuda.is_available():  # the fused kernel's backward pass is slow on a CPU (see blocks.attend)
            for module in self.net.modules():
                if hasattr(module, "set_processor"):
                    module.set_processor(AttnProcessor())  # type: ignore[operator]

    def flow(
        self, noisy: Float[Tensor, "b p p"], time: Float[Tensor, " b"], label: Int[Tensor, " b"]
    ) -> Float[Tensor, "b p p"]:
        """The predicted flow. The label `classes` is the null class."""
        s = self.config.patch
        patches = rearrange(noisy, "b (p s) (q r) -> b (s r) p q", s=s, r=s)
        patches = patches.contiguous(memory_format=torch.channels_last)
        flow = self.net(patches, timestep=time * 1000, class_labels=label).sample
        return rearrange(flow, "b (s r) p q -> b (p s) (q r)", s=s, r=s)

    def loss(
        self, field: Float[Tensor, "b p p"], label: Int[Tensor, " b"], noise: Float[Tensor, "b p p"], time: Tensor
    ) -> Float[Tensor, ""]:
        """The mean squared error of the flow at some times. `label` may be the null class."""
        noisy = torch.lerp(field, noise, time[:, None, None])
        return (self.flow(noisy, time, label).float() - (noise - field)).square().mean()

    @torch.no_grad()
    def sample(
        self,
        label: Int[Tensor, " b"],
        noise: Float[Tensor, "b p p"],
        steps: int | None = None,
        guidance: float | None = None,
        on_progress: Callable[[int, int, Tensor], None] = lambda done, total, x: None,
        rough: Float[Tensor, "b p p"] | None = None,
        strength: float = 1.0,
    ) -> Float[Tensor, "b p p"]:
        """Turn noise into fields in [-1, 1], by Euler steps with classifier-free guidance (1 switches it off).

        `rough` are fields to start from. They are noised up to the time `strength` in (0, 1] and drawn again from
        there, in that share of the steps (SDEdit, Meng et al., 2022, arXiv 2108.01073). At 1 nothing of them is left.
        """
        guidance = self.config.guidance if guidance is None else guidance
        route = times(steps or self.config.steps, strength)
        x = noise if rough is None else torch.lerp(rough, noise, strength)
        for done, (time, after) in enumerate(pairwise(route), 1):
            x = x + (after - time) * self.guided(x, torch.full((len(x),), time, device=x.device), label, guidance)
            on_progress(done, len(route) - 1, x)
        return x.clamp(-1, 1)

    def guided(
        self, x: Float[Tensor, "b p p"], time: Float[Tensor, " b"], label: Int[Tensor, " b"], guidance: float
    ) -> Float[Tensor, "b p p"]:
        """The flow with classifier-free guidance (Ho and Salimans, 2022)."""
        if guidance == 1:
            return self.flow(x, time, label).float()
        null = torch.full_like(label, self.classes)
        both = self.flow(torch.cat([x, x]), torch.cat([time, time]), torch.cat([null, label]))
        without, given = both.float().chunk(2)
        return without + guidance * (given - without)


def _unet(config: DiffusionConfig, tile: int, classes: int) -> nn.Module:
    """The UNet. Its width doubles from level to level, and its last level has attention."""
    k = config.levels
    return UNet2DModel(
        sample_size=tile // config.patch,
        in_channels=config.patch**2,
        out_channels=config.patch**2,
        layers_per_block=config.layers,
        block_out_channels=tuple(config.width * 2**level for level in range(k)),
        norm_num_groups=8,
        down_block_types=("DownBlock2D",) * (k - 1) + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (k - 1),
        num_class_embeds=classes + 1,
        attention_head_dim=config.width * 2 ** (k - 1) // config.heads,
    ).to(memory_format=torch.channels_last)
