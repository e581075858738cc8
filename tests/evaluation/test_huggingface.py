"""Models of transformers, tiny and with random weights: what they are asked, and what comes back.

Loading and asking is what is tested here; what random weights write is nonsense.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from foveate.errors import ModelNotFound
from foveate.evaluation.readers import PageReader, ReaderOptions, get_reader
from foveate.evaluation.readers.adapters import ADAPTERS, GROUNDED, OTHERS

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
PAGE = Image.new("RGB", (90, 60), "white")
TEXT = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,
}


def tokenizer(*special: str) -> Any:
    """One token a byte, and the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    names = ["<unk>", "<s>", "</s>", "<pad>", *special]
    inner.add_special_tokens([AddedToken(name, special=True) for name in names])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def saved(folder: Path, model: Any, processor: Any) -> str:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return f"hf:{folder}"


def got(folder: Path) -> str:
    words = tokenizer("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>")
    vision = {"hidden_size": 16, "output_channels": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 1024, "mlp_dim": 24, "global_attn_indexes": []}
    config = transformers.GotOcr2Config(
        vision_config=vision,
        text_config={"model_type": "qwen2", **TEXT},
        image_token_index=words.convert_tokens_to_ids("<imgpad>"),
    )
    pictures = transformers.models.got_ocr2.image_processing_pil_got_ocr2.GotOcr2ImageProcessorPil(
        size={"height": 1024, "width": 1024}
    )
    processor = transformers.GotOcr2Processor(pictures, words)
    return saved(folder, transformers.GotOcr2ForConditionalGeneration(config), processor)


def nougat(folder: Path) -> str:
    encoder = transformers.DonutSwinConfig(
        image_size=[64, 64], patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    decoder = transformers.MBartConfig(
        vocab_size=400, d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, is_decoder=True,
        add_cross_attention=True, max_position_embeddings=256,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 257, 259, 258
    model = transformers.VisionEncoderDecoderModel(config=config)
    model.generation_config.decoder_start_token_id, model.generation_config.pad_token_id = 257, 259
    pictures = transformers.models.nougat.image_processing_pil_nougat.NougatImageProcessorPil(
        size={"height": 64, "width": 64}
    )
    words = transformers.NougatTokenizer(tokenizer_object=tokenizer().backend_tokenizer)
    return saved(folder, model, transformers.NougatProcessor(pictures, words))


def deepseek(folder: Path) -> str:
    words = tokenizer("<image>", "<|grounding|>")
    sam = {"hidden_size": 16, "output_channels": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sam |= {
        "image_size": 1024,
        "window_size": 14,
        "global_attn_indexes": [0],
        "downsample_channels": [16, 32],
    }
    config = transformers.DeepseekOcr2Config(
        vision_config={"sam_config": sam, "encoder_config": {**TEXT, "hidden_size": 32}},
        text_config={
            **TEXT,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_shared_experts": 1,
            "moe_intermediate_size": 16,
            "mlp_layer_types": ["dense", "sparse"],
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    kind = transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2
    processor = transformers.DeepseekOcr2Processor(kind.DeepseekOcr2ImageProcessorPil(), words)
    return saved(folder, transformers.DeepseekOcr2ForConditionalGeneration(config), processor)


MAKERS: dict[str, Callable[[Path], str]] = {"got_ocr2": got, "nougat": nougat, "deepseek_ocr2": deepseek}
VISION_TOKENS = {
    "got_ocr2": 256,
    "nougat": None,
    "deepseek_ocr2": 16 * 16 + 1,
}  # a page smaller than a tile: one view


def opened(make: Callable[[Path], str], folder: Path, **more: Any) -> PageReader:
    torch.manual_seed(0)
    return get_reader(make(folder), ReaderOptions(device="cpu", dtype="float32", max_tokens=6, **more))


@pytest.mark.parametrize("name", MAKERS)
def test_tiny_models_read(name: str, tmp_path: Path) -> None:
    reader = opened(MAKERS[name], tmp_path)
    reading = reader.read(PAGE)
    assert reading.error is None and 0 < (reading.text_tokens or 0) <= 6
    assert reader.name == f"hf:{tmp_path}" and "transformers" in reader.versions()
    assert reader.read(PAGE).text == reading.text  # greedy
    assert reading.vision_tokens == VISION_TOKENS[name]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="transformers"):
        get_reader(f"hf:{tmp_path}")


class FakeProcessor:
    """Keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, *pictures: Any, **what: Any) -> dict[str, Any]:
        self.asked.append((pictures, what))
        return {}

    def apply_chat_template(self, messages: Any, **what: Any) -> str:
        return str([part["type"] for part in messages[0]["content"]]) + messages[0]["content"][1]["text"]


@pytest.mark.parametrize(
    ("kind", "prompt", "text"),
    [
        ("deepseek_ocr2", "markdown", GROUNDED),
        ("deepseek_ocr2", "text", "<image>\nFree OCR."),
        ("unlimited_ocr", "markdown", "<image>document parsing."),
        ("qwen2_vl", "markdown", "['image', 'text']Convert this page to Markdown."),
        ("internvl", "Read it, please.", "['image', 'text']Read it, please."),
    ],
)
def test_each_model_has_its_own_prompt(kind: str, prompt: str, text: str) -> None:
    adapter, processor = ADAPTERS.get(kind, OTHERS), FakeProcessor()
    adapter.ask(processor, PAGE, adapter.choose(prompt))
    ((_, what),) = processor.asked
    assert what["text"][0].startswith(text) and what["images"] == [PAGE]


def test_got_is_asked_for_format_or_for_words() -> None:
    processor, adapter = FakeProcessor(), ADAPTERS["got_ocr2"]
    for prompt in ("markdown", "text"):
        adapter.ask(processor, PAGE, adapter.choose(prompt))
    assert [what["format"] for _, what in processor.asked] == [True, False]


def test_markup_becomes_markdown() -> None:
    head, words = "<|det|>[[0, 0, 999, 99]]<|/det|>", "<|det|>[[0, 200, 999, 300]]<|/det|>"
    raw = f"<|ref|>title<|/ref|>{head}\n# Head\n<|ref|>text<|/ref|>{words}\nWords."
    assert ADAPTERS["deepseek_ocr2"].finish(None, raw, PAGE.size) == "# Head\n\nWords."
    raw = "<|det|>title [0, 0, 999, 99]<|/det|># Head\n<|det|>text [0, 200, 999, 300]<|/det|>Words."
    assert ADAPTERS["unlimited_ocr"].finish(None, raw, PAGE.size) == "# Head\n\nWords."
    assert ADAPTERS["got_ocr2"].finish(None, "text<|im_end|>", PAGE.size) == "text"
