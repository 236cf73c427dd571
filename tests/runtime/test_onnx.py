"""ONNX: the cache is read rightly, other exporters' graphs run, the precision is the graph's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes.tiny_model import WORDS, tiny_llama, tiny_onnx

from upkeep.compression.onnx_export import write
from upkeep.compression.onnx_quantization import Int4, Int8, changed
from upkeep.errors import ArtifactError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load
from upkeep.runtime.onnx import Graph


def made_of(change: Callable[[Any], Any], target: Path) -> Path:
    """The tiny graph, changed, in a folder of its own."""
    shutil.copytree(tiny_onnx(), target)
    write(change(onnx.load(str(target / "model.onnx"))), target)
    return target


def test_it_gives_the_losses_and_the_words_of_pytorch() -> None:
    """It gives the losses and the words of PyTorch."""
    ours, theirs = load(tiny_onnx(), "onnx"), load(tiny_llama(), "safetensors")
    texts = [WORDS, "the loop", "a model that drifts"]
    for found, exact in zip(ours.nll(texts), theirs.nll(texts), strict=True):
        assert found.tokens == exact.tokens
        assert found.nll_nats == pytest.approx(exact.nll_nats, rel=1e-5)
    words = [model.generate("the loop", 20, ignore_end=True).text for model in (ours, theirs)]
    assert words[0] == words[1]


def test_a_text_read_in_parts_has_the_logits_of_the_whole() -> None:
    """A text read in parts has the logits of the whole."""
    ids = np.arange(2 * 11).reshape(2, 11) % 300
    graph = Graph(tiny_onnx(), 1)
    whole = graph.logits(ids).copy()
    graph.logits(ids[:, :4])
    rest = np.concatenate([graph.extend(ids[:, 4:5]), graph.extend(ids[:, 5:])], axis=1)
    assert rest == pytest.approx(whole[:, 4:], abs=1e-4)


def test_masks_and_positions_are_given_to_a_graph_that_asks_for_them(tmp_path: Path) -> None:
    """Other exporters make them inputs; the tiny graph is made to add them to its logits."""

    def ask(model: Any) -> Any:
        helper, graph = onnx.helper, model.graph
        for name in ("attention_mask", "position_ids"):
            port = helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["rows", name])
            graph.input.append(port)
        last = next(node for node in graph.node if "logits" in node.output)
        last.output[list(last.output).index("logits")] = "plain"
        graph.node.extend(
            [
                helper.make_node("ReduceSum", ["attention_mask"], ["seen"], keepdims=0),
                helper.make_node("ReduceMax", ["position_ids"], ["place"], keepdims=0),
                helper.make_node("Sub", ["seen", "place"], ["one"]),
                helper.make_node("Cast", ["one"], ["real"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Add", ["plain", "real"], ["logits"]),
            ]
        )
        return model

    asking = Graph(made_of(ask, tmp_path / "m"), 1)
    plain = Graph(tiny_onnx(), 1)
    ids = np.arange(7)[None]
    # seen - last place = 1 at every step, if both are right.
    assert asking.logits(ids) == pytest.approx(plain.logits(ids) + 1.0, abs=1e-4)
    further = np.asarray([[5]])
    assert asking.extend(further) == pytest.approx(plain.extend(further) + 1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m, "weights float, float32, cache float32, onnxruntime 1."),
        (
            lambda m: changed(m, Int8()),
            "weights float+int8+uint8, 8-bit activations, scales at run time, cache float32",
        ),
        (lambda m: changed(m, Int4()), "4-bit products in 8-bit activations, cache"),
        (lambda m: changed(m, Int4(accuracy_level=1)), "4-bit products in f32, cache"),
        (lambda m: changed(m, Int4(sym=True)), "weights float+int4, "),
    ],
)
def test_the_precision_is_read_from_the_graph(
    tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    """The precision is read from the graph."""
    folder = made_of(change, tmp_path / "m")
    check_model_folder(folder, "onnx")
    assert said in load(folder, "onnx").precision


def drop(name: str) -> Callable[[Any], Any]:
    """Take an output out of the graph."""

    def change(model: Any) -> Any:
        left = [port for port in model.graph.output if port.name != name]
        del model.graph.output[:]
        model.graph.output.extend(left)
        return model

    return change


def rename(model: Any) -> Any:
    """Call the ids by a name that nobody feeds."""
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "input_ids":
                node.input[place] = "tokens"
    model.graph.input[0].name = "tokens"
    return model


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("logits"), r"lacks \['logits'\]"),
        (drop("present.1.value"), r"lacks \['present.1.value'\]"),
        (rename, r"lacks \['input_ids'\], has the unknown \['tokens'\]"),
    ],
)
def test_a_graph_that_is_no_decoder_is_refused(
    tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    """A graph that is no decoder is refused."""
    with pytest.raises(ArtifactError, match=said):
        load(made_of(change, tmp_path / "m"), "onnx")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """A file that is no graph is refused."""
    broken = shutil.copytree(tiny_onnx(), tmp_path / "m")
    (broken / "model.onnx").write_bytes((tiny_onnx() / "model.onnx").read_bytes()[:500])
    with pytest.raises(ArtifactError, match="cannot be loaded: ONNX Runtime"):
        load(broken, "onnx")
