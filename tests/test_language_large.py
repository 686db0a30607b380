"""The 7B recipe of O3SLM without its weights: what is trained, how long a prompt is, and a step of the same classes."""

from importlib.util import find_spec
from pathlib import Path

import language_dataset
import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from visketch.checkpoint import read_tensors  # noqa: E402
from visketch.errors import UsageError, VisketchError  # noqa: E402
from visketch.language import config  # noqa: E402
from visketch.language.config import LoraConfig  # noqa: E402
from visketch.language.dataset.rows import InstructionRows  # noqa: E402
from visketch.language.llm import llava  # noqa: E402
from visketch.language.llm import tokenizer as words  # noqa: E402
from visketch.language.vision.features import look  # noqa: E402
from visketch.training.language import train  # noqa: E402
from visketch.training.objectives.llava import LlavaObjective, packed, stacked, unwrapped  # noqa: E402

SAID = ["COUNT: How many are there?", "2", "SBIR: Is it there?", "yes", "no"]


@pytest.fixture(scope="module")
def tokenizer():
    return words.learn(SAID)


def shape(tokenizer=None, **small) -> "transformers.LlavaConfig":
    """The configuration of llava-hf/llava-1.5-7b-hf, or the same classes at another size."""
    vision = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    text = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    vision |= {"image_size": 336, "patch_size": 14, "projection_dim": 768, "vocab_size": 32000}
    text |= {"vocab_size": 32064, "max_position_embeddings": 4096}
    return transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision | small.get("vision", {})),
        text_config=transformers.LlamaConfig(**text | small.get("text", {})),
        image_token_index=32000 if tokenizer is None else tokenizer.convert_tokens_to_ids("<image>"),
        attn_implementation="eager",
    )


@pytest.fixture
def small(tokenizer):
    """The classes of the 7B model, with two layers and 56 pixels."""
    torch.manual_seed(0)
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision, text = tiny | {"image_size": 56}, tiny | {"vocab_size": len(tokenizer)}
    return transformers.LlavaForConditionalGeneration(shape(tokenizer, vision=vision, text=text))


def trained(model) -> dict[str, int]:
    """The number of trained parameters of each part."""
    counts = {"vision_tower": 0, "multi_modal_projector": 0, "language_model": 0, "other": 0}
    for name, value in model.named_parameters():
        if value.requires_grad:
            counts[next((part for part in counts if part in name), "other")] += value.numel()
    return counts


def test_the_7b_trains_the_projector_and_lora_on_the_language_model_alone() -> None:
    with torch.device("meta"):
        model = transformers.LlavaForConditionalGeneration(shape())
    assert round(sum(value.numel() for value in model.parameters()) / 1e9, 2) == 7.06
    lora = config.load("llava-7b").lora
    assert lora is not None
    counts = trained(llava.prepare(model, lora))
    assert counts == {
        "vision_tower": 0,
        "multi_modal_projector": 20_979_712,
        "language_model": 159_907_840,
        "other": 0,
    }
    assert round(sum(counts.values()) / 1e6, 1) == 180.9


def test_a_frozen_projector_leaves_lora_alone(small) -> None:
    counts = trained(llava.prepare(small, LoraConfig(rank=2), freeze_projector=True))
    assert counts["multi_modal_projector"] == counts["vision_tower"] == 0
    assert counts["language_model"] > 0


def test_a_prompt_of_the_7b_has_1152_image_tokens(tokenizer) -> None:
    speech = words.Prompts(tokenizer, llava.tokens_of(shape(tokenizer)))
    batch, _ = stacked([packed(speech.opening, [speech.turn(SAID[0], "2")])], speech.pad)
    assert int((batch["ids"] == speech.image).sum()) == 2 * 576


def batch_of(model, tokenizer) -> dict[str, torch.Tensor]:
    speech = words.Prompts(tokenizer, llava.tokens_of(model.config))
    squares = list(np.random.default_rng(0).integers(0, 256, (2, 56, 56, 3), dtype=np.uint8))
    seen = look(llava.VisionTower(model).eval(), squares)
    turns = [speech.turn(SAID[0], "2"), speech.turn(SAID[2], "yes")]
    return stacked([packed(speech.opening, turns)], speech.pad)[0] | {"seen": seen}


def test_a_step_moves_what_is_trained_and_nothing_else(small, tokenizer) -> None:
    batch = batch_of(small, tokenizer)
    model = llava.prepare(small, LoraConfig(rank=2))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    objective = LlavaObjective(model).train()
    optimizer = torch.optim.SGD([value for value in model.parameters() if value.requires_grad], lr=0.05)
    losses = []
    for _ in range(3):
        loss, _ = objective(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert all("lora_" in name or "multi_modal_projector" in name for name in moved)
    assert not any("vision_tower" in name for name in moved)
    assert any("multi_modal_projector" in name for name in moved)


def test_saved_reloaded_and_merged_it_says_the_same(small, tokenizer, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    batch = batch_of(small, tokenizer)
    model = llava.prepare(small, LoraConfig(rank=2, dropout=0.0))
    with torch.no_grad():  # as if it had been trained
        for value in model.parameters():
            if value.requires_grad:
                value.add_(0.1 * torch.randn_like(value))
    (tmp_path / "out").mkdir()
    llava.save(model, tokenizer, tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    chosen = config.LanguageConfig(base=str(tmp_path / "base"), lora=LoraConfig(rank=2))
    again, _ = llava.load(chosen, tmp_path / "out", dtype=torch.float32)
    assert not hasattr(again, "get_base_model")
    with torch.no_grad():
        one, other = (LlavaObjective(each.eval())(batch)[0] for each in (model, again))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert unwrapped(model) is not again


@pytest.mark.parametrize("frozen", [False, True])
def test_instruct_continues_from_the_aligned_adapter_and_projector(
    small, tokenizer, tmp_path: Path, frozen: bool
) -> None:
    small.to(torch.bfloat16).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    rows = InstructionRows(language_dataset.write(tmp_path / "pairs", scenes=2), "train")
    step = {"steps": 2, "batch": 2, "warmup": 0, "muon": False}
    chosen = config.LanguageConfig(
        base=str(tmp_path / "base"),
        lora=LoraConfig(rank=2, dropout=0.0),
        train={
            "precision": "no",
            "align": step | {"lr": 0.1},
            "instruct": step | {"lr": 1e-9, "freeze_projector": frozen},  # so low that nothing changes
        },
    )
    train("align", rows, tmp_path / "align", chosen)
    train("instruct", rows, tmp_path / "instruct", chosen, start=tmp_path / "align")
    aligned, instructed = (
        read_tensors(tmp_path / stage / "adapter_model.safetensors")[0] for stage in ("align", "instruct")
    )
    assert any(llava.PROJECTOR in name for name in aligned)
    assert all(value.any() for name, value in aligned.items() if "lora_B" in name), "align has learned"
    assert aligned.keys() == instructed.keys()
    for name, value in aligned.items():
        torch.testing.assert_close(instructed[name], value, msg=name)
    state = read_tensors(tmp_path / "instruct" / "training" / "instruct.safetensors")[0]
    averaged = [name for name in state if name.startswith("average/")]
    assert any("lora_" in name for name in averaged), "the adapter is still trained"
    assert any(llava.PROJECTOR in name for name in averaged) != frozen


def test_missing_weights_are_named_with_the_command_that_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(VisketchError, match=r"hf download llava-hf/llava-1\.5-7b-hf"):
        llava.build(config.load("llava-7b"))


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_nf4_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="pip install bitsandbytes"):
        llava.build(config.load("llava-7b", ["lora.nf4=true"]))
