"""English prose and Python source, both out of the Python installation that runs this.

Prose: ``pydoc_data.topics``, docstrings and comments of the standard library, paragraph by
paragraph, without examples, tables and grammar. Code: the source of a few packages, whose
docstrings are kept out of the prose. Every paragraph is used once, texts never overlap, and the
split into training and production is fixed by a seed: production asks what the model never saw.
Only modules that a minimal CPython 3.11 has are read.
"""

from __future__ import annotations

import inspect
import itertools
import random
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data import topics

from upkeep.errors import ParamError

CODE_PACKAGES = ("asyncio", "http")
NOT_EVERYWHERE = frozenset(
    {
        *("distutils", "ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages"),
        *("test", "tests", "tkinter", "turtledemo", "venv"),  # other Debian packages, or left out
        *("encodings", "lib-dynload", "pydoc_data", "__phello__", "__pycache__"),  # no prose
    }
)
PROSE_CHARS = 560
CODE_CHARS = 1_100
MIN_CHARS = 280
MIN_PARAGRAPH_CHARS = 60
MIN_LETTERS = 0.9  # share of the characters
MIN_PLAIN_WORDS = 0.75  # share of the words
PRODUCTION_PROSE = 1_370
PRODUCTION_CODE = 208
SPLIT_SEED = 20260305

_LEXEMES = re.compile(
    r'"""(?P<double>.*?)"""'
    r"|'''(?P<single>.*?)'''"
    r"|(?P<comment>(?:^[ \t]*#[^\n]*\n){2,})"
    r"|#[^\n]*"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'",
    re.DOTALL | re.MULTILINE,
)
_WORD = re.compile(r"[\"'(*]*[A-Za-z][a-z'-]*[,.;:)\"'*?!]*")


@dataclass(frozen=True)
class Corpus:
    """Texts that share no paragraph: for training, and for production's prompts."""

    training: tuple[str, ...]
    production_prose: tuple[str, ...]
    production_code: tuple[str, ...]


def load() -> Corpus:
    """The corpus of this Python; the same on every call.

    Raises:
        ParamError: the installation holds too little text for the sixteen days.

    """
    modules = dict(_modules(Path(sysconfig.get_paths()["stdlib"])))
    projects = {name: text for name, text in modules.items() if _package(name) in CODE_PACKAGES}
    prose = _shuffled(_prose_texts({n: s for n, s in modules.items() if n not in projects}))
    code = _shuffled(text for source in projects.values() for text in cut_code(source))
    if len(prose) < 1.2 * PRODUCTION_PROSE or len(code) < PRODUCTION_CODE:
        raise ParamError(
            "python",
            f"{len(prose)} prose and {len(code)} code texts",
            f"must hold {1.2 * PRODUCTION_PROSE:.0f} and {PRODUCTION_CODE}",
            "use a whole CPython 3.11 (Debian: libpython3.11-stdlib)",
        )
    return Corpus(
        training=prose[PRODUCTION_PROSE:],
        production_prose=prose[:PRODUCTION_PROSE],
        production_code=code[:PRODUCTION_CODE],
    )


def is_prose(paragraph: str) -> bool:
    """Whether a paragraph is English sentences: no indentation, no symbols, mostly words."""
    lines = paragraph.split("\n")
    flat = " ".join(paragraph.split())
    if len(flat) < MIN_PARAGRAPH_CHARS or flat[-1] not in ".:;)?!":
        return False
    if any(line.startswith((" ", "\t", ">>>", "|", "+", "-", "=")) for line in lines):
        return False
    letters = sum(c.isalpha() or c in " ,.'" for c in flat) / len(flat)
    words = flat.split()
    plain = sum(_WORD.fullmatch(word) is not None for word in words) / len(words)
    return letters > MIN_LETTERS and plain > MIN_PLAIN_WORDS


def paragraphs(text: str) -> Iterator[str]:
    """The prose paragraphs of a documentation text, each on one line."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        if is_prose(paragraph.strip("\n")):
            yield " ".join(paragraph.split())


def documentation(source: str) -> Iterator[str]:
    """Docstrings (all triple-quoted strings) and blocks of comments of a module's source."""
    for found in _LEXEMES.finditer(source):
        docstring = found["double"] or found["single"]
        if docstring:
            yield inspect.cleandoc(docstring)
        elif found["comment"]:
            lines = found["comment"].splitlines()
            yield "\n".join(line.strip().lstrip("#").removeprefix(" ") for line in lines)


def cut_prose(stream: str) -> Iterator[str]:
    """Texts of about ``PROSE_CHARS`` characters, cut between words; a short rest is dropped."""
    while len(stream) >= MIN_CHARS:
        end = stream.rfind(" ", 0, PROSE_CHARS) if len(stream) > PROSE_CHARS else len(stream)
        yield stream[:end].strip()
        stream = stream[end:]


def cut_code(source: str) -> Iterator[str]:
    """Texts of whole lines, about ``CODE_CHARS`` characters each; the rest is dropped."""
    text = ""
    for line in source.splitlines(keepends=True):
        text += line
        if len(text) >= CODE_CHARS:
            yield text
            text = ""


def _modules(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        private = place.parts[0].startswith(("config-", "_sysconfigdata", "sitecustomize"))
        if not private and not NOT_EVERYWHERE & set(place.parts):
            yield place.as_posix(), path.read_text("utf-8", errors="replace")


def _package(name: str) -> str:
    return name.partition("/")[0]


def _prose_texts(modules: dict[str, str]) -> Iterator[str]:
    seen: set[str] = set()
    streams = [topics.topics[name] for name in sorted(topics.topics)]
    for texts in [streams, *(list(documentation(source)) for source in modules.values())]:
        found = itertools.chain.from_iterable(map(paragraphs, texts))
        new = [p for p in dict.fromkeys(found) if p not in seen]
        seen.update(new)
        yield from cut_prose("\n\n".join(new))


def _shuffled(texts: Iterable[str]) -> tuple[str, ...]:
    found = list(dict.fromkeys(texts))
    random.Random(SPLIT_SEED).shuffle(found)
    return tuple(found)
