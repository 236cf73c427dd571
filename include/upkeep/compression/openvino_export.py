"""A decoder in memory as a stateful OpenVINO graph, changed by NNCF and written to a folder.

The network comes from ``pretrained.load_model``, so that whatever it can build (matrices of low
rank, packed weights) can be exported; optimum-intel traces it and hides the cache in the graph's
own state.
"""

from __future__ import annotations

import io
import logging
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from upkeep.compression.outcome import outcome
from upkeep.compression.texts import TextParams, Texts, need_texts, texts_of
from upkeep.errors import ArtifactError
from upkeep.pretrained import copy_tokenizer, load_model
from upkeep.records import Sample

GRAPH = "openvino_model.xml"
FAILURES = (OSError, ValueError, KeyError, TypeError, RuntimeError)


class Exported(NamedTuple):
    """A graph (``openvino.Model``), and the text of the config.json that belongs to it."""

    graph: Any
    config: str


class Calibration(NamedTuple):
    """What a method looks at: ``samples``, cut by ``settings``; named in an error."""

    method: str
    samples: Sequence[Sample]
    settings: TextParams


def convert(
    champion: Path,
    out: Path,
    change: Callable[[Exported], Any],
    said: Sequence[str],
    *,
    half: bool = False,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export, let ``change`` quantize the graph, write it; measurements and notes.

    Raises:
        ArtifactError: the model cannot be exported, or NNCF cannot change it.

    """
    started = time.perf_counter()
    exported = export_graph(load_model(champion)[0])
    write_graph(changed(exported, change), champion, out, half=half)
    numbers, sentences = outcome(champion, out, started)
    return numbers, (*said, *sentences)


def read_both(champion: Path, calibration: Calibration) -> tuple[Exported, Texts]:
    """The champion's graph, and the texts that a method looks at.

    Raises:
        ParamError: there are no texts, or too few.
        ArtifactError: the model cannot be exported.

    """
    model, tokenizer = load_model(champion)
    method, samples, settings = calibration
    texts = need_texts(texts_of(model, tokenizer, samples, settings), method)
    return export_graph(model), texts


def export_graph(model: Any) -> Exported:
    """A network of ``load_model`` as a stateful graph with 32-bit weights.

    Raises:
        ArtifactError: its architecture cannot be exported.

    """
    with tempfile.TemporaryDirectory(prefix="upkeep-openvino-") as folder, quiet():
        import openvino as ov
        from optimum.exporters.openvino.convert import export_from_model

        try:
            export_from_model(model.eval(), folder, task="text-generation-with-past")
            graph = ov.Core().read_model(Path(folder) / GRAPH).clone()
        except FAILURES as error:
            name = type(model).__name__
            rule, fix = f"cannot be exported: {error}", "is this architecture supported?"
            raise ArtifactError("config.json", name, rule, fix) from error
    # The exporter advises precisions; the runtime sets its own, and says so.
    graph.set_rt_info({}, ["runtime_options"])
    return Exported(graph, model.config.to_json_string())


def changed(exported: Exported, change: Callable[[Exported], Any]) -> Exported:
    """The graph that NNCF makes of it; ArtifactError where it cannot."""
    with quiet():
        try:
            return exported._replace(graph=change(exported))
        except FAILURES as error:
            rule, fix = f"cannot be quantized: {error}", "take another method"
            raise ArtifactError("graph", "openvino", rule, fix) from error


def write_graph(exported: Exported, champion: Path, out: Path, *, half: bool = False) -> None:
    """Write a graph and its configuration to ``out``, with the champion's tokenizer.

    ``half`` rounds 32-bit constants to 16 bits.
    """
    import openvino as ov

    out.mkdir(parents=True, exist_ok=True)
    number_names(exported.graph)
    ov.save_model(exported.graph, out / GRAPH, compress_to_fp16=half)
    (out / "config.json").write_text(exported.config, encoding="utf-8")
    copy_tokenizer(champion, out)


def feeds(exported: Exported, blocks: Any) -> list[dict[str, Any]]:
    """What a stateful graph reads for each of ``blocks`` [blocks, tokens], from an empty state."""
    names = {name for port in exported.graph.inputs for name in port.get_names()}
    rows = [np.asarray(block, dtype=np.int64)[None] for block in blocks]
    whole = [
        {
            "input_ids": row,
            "attention_mask": np.ones_like(row),
            "position_ids": np.arange(row.shape[1], dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
        for row in rows
    ]
    return [{name: feed[name] for name in feed if name in names} for feed in whole]


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn of every constant of a graph that they export rightly; NNCF draws bars."""
    import nncf
    from transformers.utils import logging as transformers_logging

    nncf.set_log_level(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("optimum").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def number_names(graph: Any, name: str = "decoder") -> None:
    """Name what OpenVINO has numbered by what the process did before, by its place instead."""
    graph.set_friendly_name(name)
    for place, node in enumerate(graph.get_ordered_ops()):
        kind = node.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{kind}_at_{place}")
