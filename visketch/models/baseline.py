"""A classifier of whole pictures, for comparison and as a judge of generated sketches.

Only this module imports transformers' vision models.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visketch.config import BaselineConfig
from visketch.errors import UsageError
from visketch.models.blocks import BatchNorm

CNN = (40, 80, 80, 160, 160, 320)  # channels of the plain CNN's blocks; where they grow, the side is halved


class Baseline(nn.Module):
    """A standard network without pretrained weights. It sees the same field as ViSketch, whole and in one channel.

    `resnet34` (He et al., 2015) and `cnn`, a simple residual network, take any side. `vit` (Dosovitskiy et al., 2020)
    takes any multiple of its patch, since it interpolates its position embeddings.
    """

    def __init__(self, config: BaselineConfig, canvas: int, classes: int) -> None:
        """Raises UsageError if transformers is not installed; only `cnn` works without it."""
        super().__init__()
        self.backbone = config.backbone
        self.net, width = _net(config, canvas)
        self.out = nn.Linear(width, classes)

    def features(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b e"]:
        """The input of the last linear layer: the mean over the picture, or the CLS token."""
        # Blank is 0, as it is beyond the border. With -1 nearly everywhere, a ViT learned nothing (lab book,
        # 2026-11-21).
        picture = (field[:, None] + 1).contiguous(memory_format=torch.channels_last)
        if self.backbone == "cnn":
            return self.net(picture)
        if self.backbone == "resnet34":
            return self.net(picture).pooler_output.flatten(1)
        return self.net(picture, interpolate_pos_encoding=True).last_hidden_state[:, 0]

    def forward(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        return self.out(self.features(field))


def _net(config: BaselineConfig, canvas: int) -> tuple[nn.Module, int]:
    """The network, and the width of its features."""
    if config.backbone == "cnn":
        return PlainCNN(), CNN[-1]
    return _resnet34(config) if config.backbone == "resnet34" else _vit(config, canvas)


class PlainCNN(nn.Module):
    """A strided convolution, six residual blocks, and the mean over the picture. It has 2.6 million parameters,
    including the last layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, CNN[0], 3, stride=2, padding=1, bias=False), BatchNorm(CNN[0]))
        self.blocks = nn.Sequential(*(PlainBlock(before, after) for before, after in pairwise((CNN[0], *CNN))))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, picture: Float[Tensor, "b 1 h h"]) -> Float[Tensor, "b e"]:
        return self.blocks(F.relu(self.stem(picture), inplace=True)).mean(dim=(2, 3))


class PlainBlock(nn.Module):
    """Two 3 x 3 convolutions with a residual connection, as in a ResNet (He et al., 2015). Where the channels grow, the
    sides are halved.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), BatchNorm(after))
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, padding=1, bias=False), BatchNorm(after))
        short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), BatchNorm(after))
        self.short = short if stride > 1 else nn.Identity()

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        hidden = F.relu(self.first(x), inplace=True)
        return F.relu(self.second(hidden) + self.short(x), inplace=True)


def _resnet34(config: BaselineConfig) -> tuple[nn.Module, int]:
    transformers = _transformers()
    widths = [config.channels << stage for stage in range(4)]
    shape = transformers.ResNetConfig(
        num_channels=1, embedding_size=widths[0], hidden_sizes=widths, depths=[3, 4, 6, 3], layer_type="basic"
    )
    net = transformers.ResNetModel(shape)
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):  # it is not trained yet, so ours can replace it
                setattr(module, name, BatchNorm(child.num_features))
    return net.to(memory_format=torch.channels_last), widths[-1]


def _vit(config: BaselineConfig, canvas: int) -> tuple[nn.Module, int]:
    transformers = _transformers()
    shape = transformers.ViTConfig(
        num_channels=1,
        image_size=canvas,
        patch_size=config.patch,
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        # The backward pass of the fused kernel is slow on a CPU (see blocks.attend).
        attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
    )
    return transformers.ViTModel(shape, add_pooling_layer=False), config.width


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise UsageError("a baseline needs transformers: pip install 'visketch[evaluate]'") from None
    return transformers
