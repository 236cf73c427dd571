"""Images made of numbers, a linear ONNX extractor, and a very small CLIP model.

What they do not prove: that features of a real network say anything about images. They prove
that numbers are computed rightly, because any network does for that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fakes.tiny_model import _root

from upkeep.pictures import Pictures, image_name
from upkeep.quality import Settings
from upkeep.records import Sample

QUICK = Settings(min_samples=4, resamples=200)
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 40, 220),
    "yellow": (230, 220, 30),
    "white": (240, 240, 240),
    "black": (10, 10, 10),
}


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    """A PNG file of uint8 pixels, [H, W] grey or [H, W, 3] RGB."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(out, format="PNG")
    return out.getvalue()


def noise(n: int, seed: int = 0, *, low: int = 0, high: int = 256) -> list[bytes]:
    """``n`` grey 2 x 2 images of independent uniform pixels in [low, high)."""
    draw = np.random.default_rng(seed)
    return [png(draw.integers(low, high, (2, 2), dtype=np.uint8)) for _ in range(n)]


def named(images: Sequence[bytes]) -> dict[str, bytes]:
    return {image_name(each): each for each in images}


def samples_of(
    images: Sequence[bytes], *, slices: Sequence[str] = ("a", "b"), prompts: Sequence[str] = ("x",)
) -> list[Sample]:
    """One sample an image, in order."""
    return [
        Sample(
            id=f"s{i:04d}",
            slice=slices[i % len(slices)],
            prompt=prompts[i % len(prompts)],
            completion=image_name(image),
        )
        for i, image in enumerate(images)
    ]


def save_extractor(
    folder: Path, weights: np.ndarray, logits: np.ndarray | None = None, **config: Any
) -> tuple[Path, str]:
    """Features = pixels @ weights [C*H*W, D], logits = features @ logits [D, K].

    ``config`` replaces values of config.json; grey 2 x 2 images by default.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "input": "image",
        "size": [2, 2],
        "channels": 1,
        "scale": "0..1",
        "features": "features",
        "logits": None if logits is None else "logits",
    } | config
    (folder / "config.json").write_text(json.dumps(settings))
    tables = {"w": weights} | ({} if logits is None else {"k": logits})
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["features"]),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", None])]
    if logits is not None:
        nodes.append(helper.make_node("MatMul", ["features", "k"], ["logits"]))
        outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", None]))
    shape = ["n", settings["channels"], *settings["size"]]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        outputs,
        [numpy_helper.from_array(t.astype(np.float32), name) for name, t in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    save(model, str(folder / "model.onnx"))
    return folder, "e" * 64


@cache
def pixels_extractor() -> tuple[Path, str]:
    """Features are the four pixels, logits 40 times them: the brightest pixel is the class."""
    return save_extractor(_root() / "pixels", np.eye(4), 40.0 * np.eye(4))


def seen(
    outputs: Sequence[bytes],
    references: Sequence[bytes] = (),
    features: tuple[Path, str] | None = None,
) -> Pictures:
    """Pictures looked at by :func:`pixels_extractor`, or by ``features``."""
    return Pictures(named(outputs), named(references), features or pixels_extractor())


@cache
def tiny_clip() -> tuple[Path, str]:
    """A CLIPModel folder, trained for a moment on images of six colours and their words."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = _root() / "clip"
    letters = sorted({c for word in COLOURS for c in word} | set("a imgeof"))
    tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizerFast(vocab={t: i for i, t in enumerate(tokens)}, merges=[])
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    layers = {"num_hidden_layers": 1}
    text = {
        "vocab_size": len(tokens),
        "max_position_embeddings": 12,
        "bos_token_id": len(tokens) - 2,
        "eos_token_id": len(tokens) - 1,
        "pad_token_id": len(tokens) - 1,
    }
    torch.manual_seed(3)
    model = CLIPModel(
        CLIPConfig(
            text_config=sizes | layers | text,
            vision_config=sizes | layers | {"image_size": 16, "patch_size": 8},
            projection_dim=16,
        )
    )
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    _train(model, tokenizer, processor)
    for part in (model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder, "c" * 64


def coloured(n: int, seed: int = 0) -> tuple[list[bytes], list[str]]:
    """``n`` noisy 16 x 16 images of the colours in turn, and each one's word."""
    draw = np.random.default_rng(seed)
    words = [list(COLOURS)[i % len(COLOURS)] for i in range(n)]
    images = [
        png((np.array(COLOURS[w]) + draw.normal(0, 8, (16, 16, 3))).clip(0, 255).astype(np.uint8))
        for w in words
    ]
    return images, words


def _train(model: Any, tokenizer: Any, processor: Any) -> None:
    import torch
    from PIL import Image

    images, words = coloured(len(COLOURS), seed=9)
    pixels = processor([Image.open(io.BytesIO(i)) for i in images], return_tensors="pt")
    batch = dict(tokenizer(words, padding=True, return_tensors="pt")) | dict(pixels)
    steps = torch.optim.Adam(model.parameters(), lr=3e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other longer than so little work takes
    for _ in range(40):
        steps.zero_grad()
        model(**batch, return_loss=True).loss.backward()
        steps.step()
    torch.set_num_threads(threads)
