"""The coarse stage: class → p x p signed distance field, by flow matching. The only door to diffusers."""

import torch
from diffusers import DiTTransformer2DModel, FlowMatchEulerDiscreteScheduler
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.config import DiffusionConfig


class Diffusion(nn.Module):
    """diffusers' DiT, trained to predict the flow `noise - field` at time t in [0, 1] (rectified flow)."""

    def __init__(self, config: DiffusionConfig, tile: int, classes: int) -> None:
        super().__init__()
        self.config, self.tile, self.classes = config, tile, classes
        self.net = DiTTransformer2DModel(
            num_attention_heads=config.heads,
            attention_head_dim=config.width // config.heads,
            in_channels=1,
            out_channels=1,
            num_layers=config.layers,
            norm_num_groups=1,
            sample_size=tile,
            patch_size=config.patch,
            num_embeds_ada_norm=classes,  # and one more, the null class, which training draws 10 % of the time
        )
        if not torch.cuda.is_available():  # the fused kernel's backward is slow on CPU, see blocks.attend
            for module in self.net.modules():
                if hasattr(module, "set_processor"):
                    module.set_processor(AttnProcessor())

    def flow(
        self, noisy: Float[Tensor, "b p p"], time: Float[Tensor, " b"], label: Int[Tensor, " b"]
    ) -> Float[Tensor, "b p p"]:
        """The predicted flow; label = `classes` is the null class."""
        return self.net(noisy[:, None], timestep=time * 1000, class_labels=label).sample[:, 0]

    def loss(
        self, field: Float[Tensor, "b p p"], label: Int[Tensor, " b"], noise: Float[Tensor, "b p p"], time: Tensor
    ) -> Float[Tensor, ""]:
        noisy = torch.lerp(field, noise, time[:, None, None])
        return (self.flow(noisy, time, label).float() - (noise - field)).square().mean()

    @torch.no_grad()
    def sample(
        self,
        label: Int[Tensor, " b"],
        noise: Float[Tensor, "b p p"],
        steps: int | None = None,
        guidance: float | None = None,
        progress=lambda step, steps: None,
    ) -> Float[Tensor, "b p p"]:
        """Noise → fields in [-1, 1], by Euler steps with classifier-free guidance (1 switches it off)."""
        steps = steps or self.config.steps
        guidance = self.config.guidance if guidance is None else guidance
        scheduler = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(steps)
        x, null = noise, torch.full_like(label, self.classes)
        for step, timestep in enumerate(scheduler.timesteps):
            time = (timestep / 1000).expand(len(x)).to(x.device)
            if guidance == 1:
                flow = self.flow(x, time, label)
            else:
                both = self.flow(torch.cat([x, x]), torch.cat([time, time]), torch.cat([null, label]))
                without, given = both.float().chunk(2)
                flow = without + guidance * (given - without)
            x = scheduler.step(flow.float(), timestep, x, return_dict=False)[0]
            progress(step + 1, steps)
        return x.clamp(-1, 1)
