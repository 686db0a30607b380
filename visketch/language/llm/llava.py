"""A LLaVA (Liu et al., 2023) for two pictures, of any size, by transformers.

Only this module imports transformers' LLaVA and peft. There is one code path. `build` makes the small model from
settings, or loads a LLaVA from the Hub or a folder. `prepare` freezes the tower and, for a large model, adds LoRA to
the language model. All other functions work for any size.
"""

import os
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch.checkpoint import unloadable
from visketch.errors import UsageError, VisketchError, reason
from visketch.language.config import LanguageConfig, LoraConfig, TowerConfig
from visketch.language.vision.encoder import PairTower, Tokens
from visketch.language.vision.leaf_encoder import LeafTower

# These are the seven projections in every layer of the language model. Some projections of the tower have the same
# names and are not meant.
ADAPTED = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
PROJECTOR = "multi_modal_projector"


@cache
def transformers() -> Any:
    """The library transformers, with our towers registered. Raises UsageError if it is not installed."""
    try:
        import transformers as library
    except ImportError:
        raise UsageError("the sketch-language model needs transformers: pip install 'visketch[language]'") from None
    library.utils.logging.disable_progress_bar()
    _register(library)
    return library


def _register(library: Any) -> None:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    class RegisteredTowerConfig(library.PreTrainedConfig):
        model_type = "visketch-tower"

        def __init__(self, tower: dict | None = None, classes: int = 1, hidden_size: int = 1, **more: Any) -> None:
            self.tower, self.classes, self.hidden_size = tower or {}, classes, hidden_size
            super().__init__(**more)

    class TowerModel(library.PreTrainedModel):
        config_class = RegisteredTowerConfig
        main_input_name = "pixel_values"

        def __init__(self, config: RegisteredTowerConfig) -> None:
            super().__init__(config)
            self.tower = make_tower(TowerConfig.model_validate(config.tower), config.classes)
            self.post_init()

        def _init_weights(self, module: nn.Module) -> None:
            """Keep torch's initialisation."""

        def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
            tokens, mask = self.tower(pixel_values)
            tokens = (tokens * mask[..., None]).to(pixel_values.dtype)
            return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    library.AttentionInterface.register("visketch", attend)
    library.AttentionMaskInterface.register("visketch", library.masking_utils.eager_mask)
    library.AutoConfig.register("visketch-tower", RegisteredTowerConfig)
    library.AutoModel.register(RegisteredTowerConfig, TowerModel)


def attend(
    module: nn.Module,
    query: Float[Tensor, "b h n d"],
    key: Float[Tensor, "b h m d"],
    value: Float[Tensor, "b h m d"],
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Float[Tensor, "b n h d"], None]:
    """Attention in which every product keeps its own precision. On a CPU this is twice as fast as that of transformers,
    which computes the weights in single precision.
    """
    weights = (query * scaling) @ key.mT
    if attention_mask is not None:
        weights = weights + attention_mask[..., : key.shape[2]].to(weights.dtype)
    return (weights.softmax(dim=-1) @ value).transpose(1, 2).contiguous(), None


def make_tower(settings: TowerConfig, classes: int) -> PairTower | LeafTower:
    """A tower with fresh weights, or those of its checkpoint. Raises UsageError for one that is part of a LLaVA."""
    if settings.kind == "pair":
        return PairTower(settings, classes)
    if settings.kind == "leaf":
        return LeafTower(settings)
    raise UsageError(f"a {settings.kind} tower is part of a large model; name that as the base")


def build(settings: LanguageConfig, tokenizer: Any = None, tower: nn.Module | None = None, **loading: Any) -> Any:
    """A LlavaForConditionalGeneration, loaded from `settings.base` or made from scratch.

    `loading` is passed to `from_pretrained`. `tower` is a trained tower for a model from scratch. Raises VisketchError
    if there are no weights.
    """
    library = transformers()
    if settings.base:
        if settings.lora and settings.lora.nf4:
            loading = {"quantization_config": squeezed()} | loading
        return _fetched(settings.base, library, loading)
    classes = max(1, len(settings.labels))
    made = tower or make_tower(settings.tower, classes)
    shape, writer = settings.tower, settings.writer
    vision = library.AutoConfig.for_model(
        "visketch-tower", tower=shape.model_dump(mode="json"), classes=classes, hidden_size=made.width
    )
    text = library.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=writer.width,
        intermediate_size=writer.inner,
        num_hidden_layers=writer.layers,
        num_attention_heads=writer.heads,
        num_key_value_heads=writer.heads,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = library.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=made.tokens,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        # The backward pass of the fused kernel is slow on CPUs (see models/blocks.py).
        attn_implementation="sdpa" if torch.cuda.is_available() else "visketch",
    )
    model = library.LlavaForConditionalGeneration(config)
    model.model.vision_tower.tower.load_state_dict(made.state_dict())
    return model


def _fetched(base: str, library: Any, loading: dict[str, Any]) -> Any:
    try:
        return library.LlavaForConditionalGeneration.from_pretrained(base, **{"dtype": torch.bfloat16} | loading)
    except OSError:
        mend = f"download it with `hf download {base}`, or name its folder as base; the model `tiny` needs none"
        raise VisketchError(f"{base}: its weights are not here and cannot be downloaded; {mend}") from None


def squeezed() -> Any:
    """The settings for loading a base in four bits (nf4). Raises UsageError if that is not possible."""
    if find_spec("bitsandbytes") is None:
        raise UsageError("nf4 needs a CUDA card and `pip install bitsandbytes`; without it use lora.nf4=false")
    return transformers().BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


def prepare(model: Any, lora: LoraConfig | None, freeze_projector: bool = False, aligned: Path | None = None) -> Any:
    """Choose what is trained: never the tower; the projector, unless it is frozen; the language model, completely or by
    LoRA. Returns the model, which is wrapped by peft if LoRA is used.

    `aligned` is a folder with an adapter and a projector from which training with LoRA continues. The adapter keeps its
    own rank, alpha and dropout. Raises UsageError if LoRA is used and peft is not installed.
    """
    model.model.vision_tower.requires_grad_(False).eval()
    if lora is None:
        model.model.multi_modal_projector.requires_grad_(not freeze_projector)
        return model
    try:
        import peft
    except ImportError:
        raise UsageError("LoRA needs peft: pip install 'visketch[language]'") from None
    if aligned:
        adapted = peft.PeftModel.from_pretrained(model, str(aligned), is_trainable=True)
    else:
        wanted = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=ADAPTED,
            modules_to_save=[PROJECTOR],  # also if it is frozen, since a later stage may train it
            task_type="CAUSAL_LM",
        )
        adapted = peft.get_peft_model(model, wanted)
    if freeze_projector:
        unwrapped(adapted).model.multi_modal_projector.requires_grad_(False)
    return adapted


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what was trained, in half precision.

    A small model is written completely. With LoRA, the adapter and the projector are written. Each file is replaced as
    a whole, but one after another, so do not read the folder while it is saved. Raises VisketchError.
    """
    part = folder / f".language.{os.getpid()}.part"
    try:
        if hasattr(model, "get_base_model"):
            model.save_pretrained(str(part))
        else:
            halved = {name: value.detach().half() for name, value in model.state_dict().items()}
            model.save_pretrained(str(part), state_dict=halved)
            tokenizer.save_pretrained(str(part))
        for file in part.iterdir():
            os.replace(file, folder / file.name)
    except OSError as error:
        raise VisketchError(f"{folder}: cannot be written, {reason(error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(settings: LanguageConfig, folder: Path, **loading: Any) -> tuple[Any, Any]:
    """The model and the tokenizer of a checkpoint's folder. Raises VisketchError if something is missing."""
    library = transformers()
    if settings.base:
        tokenizer = library.AutoTokenizer.from_pretrained(settings.base)
        return merged(build(settings, tokenizer, **loading), folder), tokenizer
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(str(folder))
        model = library.LlavaForConditionalGeneration.from_pretrained(str(folder), dtype=torch.float32)
    except unloadable() as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{folder}: no trained sketch-language model ({first}); `visketch language train` makes one"
        raise VisketchError(message) from None
    return model.eval(), tokenizer


def merged(base: Any, folder: Path) -> Any:
    """A base model into which the LoRA adapter and the projector of a folder have been merged."""
    import peft

    return peft.PeftModel.from_pretrained(base, str(folder)).merge_and_unload()


class VisionTower(nn.Module):
    """The tower of a LLaVA, with the interface of other towers: it turns pixels in [0, 1] into tokens and a mask."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower, self.config = model.model.vision_tower, model.config
        mean, deviation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # CLIP's
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    @property
    def canvas(self) -> int:
        """The side of its input squares in pixels."""
        vision = self.config.vision_config
        return int(vision.tower["canvas"] if vision.model_type == "visketch-tower" else vision.image_size)

    def forward(self, pixels: Float[Tensor, "b 3 h h"]) -> Tokens:
        if self.config.vision_config.model_type == "visketch-tower":
            return self.tower.tower(pixels)
        seen = (pixels - self.mean) / self.deviation
        layers = self.tower(seen.to(self.tower.dtype), output_hidden_states=True).hidden_states
        tokens = layers[self.config.vision_feature_layer]
        tokens = tokens[:, 1:] if self.config.vision_feature_select_strategy == "default" else tokens
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


def tokens_of(config: Any) -> int:
    """The number of tokens that a picture has in a model of this configuration."""
    if config.vision_config.model_type == "visketch-tower":
        return int(config.image_seq_length)
    side = config.vision_config.image_size // config.vision_config.patch_size
    return side**2 + (config.vision_feature_select_strategy == "full")


def unwrapped(model: Any) -> Any:
    """The LLaVA within peft's wrapper, if there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def hidden_states(
    model: Any,
    ids: Int[Tensor, "b n"],
    seen: Float[Tensor, "s t e"],
    place: Int[Tensor, "b n"],
    visible: Bool[Tensor, "b 1 n n"],
) -> Float[Tensor, "b n w"]:
    """The language model's hidden state at each position of a sequence.

    `ids` are the tokens, `seen` are the tokens of the pictures in their order, `place` is the position of each token,
    and `visible` says which positions each one sees.
    """
    llava = unwrapped(model).model
    words = embedded(llava, ids, seen, unwrapped(model).config.image_token_id)
    hidden = torch.zeros(visible.shape, dtype=words.dtype, device=words.device)
    hidden.masked_fill_(~visible, torch.finfo(words.dtype).min)
    heard = llava.language_model(inputs_embeds=words, attention_mask=hidden, position_ids=place, use_cache=False)
    return heard.last_hidden_state


def embedded(llava: Any, ids: Int[Tensor, "b n"], seen: Float[Tensor, "s t e"], image: int) -> Float[Tensor, "b n w"]:
    """Words and pictures as embeddings. At the positions of pictures, these are the projector's output for `seen`."""
    words = llava.get_input_embeddings()(ids)
    projector = llava.multi_modal_projector
    projected = projector(seen.to(words.dtype)).to(words.dtype)
    return words.masked_scatter((ids == image)[..., None], projected)
