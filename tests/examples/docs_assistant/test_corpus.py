"""The texts of the example: prose is prose, code is code, and production's are new."""

from __future__ import annotations

import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from examples.docs_assistant import corpus
from examples.docs_assistant.corpus import cut_code, cut_prose, documentation, is_prose, paragraphs
from upkeep.errors import ParamError

STDLIB = Path(sysconfig.get_paths()["stdlib"])


@pytest.fixture(scope="module")
def texts() -> corpus.Corpus:
    """The corpus of the Python that runs the tests."""
    return corpus.load()


def whole_paragraphs(of: tuple[str, ...]) -> Counter[str]:
    """Paragraphs that begin and end within a text: its first and last may be cut."""
    return Counter(p for text in of for p in text.split("\n\n")[1:-1])


def test_the_corpus_is_the_same_every_time(texts: corpus.Corpus) -> None:
    """A day that is served later must find the same texts."""
    assert corpus.load() == texts


def test_there_is_enough_of_everything(texts: corpus.Corpus) -> None:
    """About 100,000 tokens to train on, and a text for each request of sixteen days."""
    assert sum(map(len, texts.training)) > 300_000
    assert len(texts.production_prose) == corpus.PRODUCTION_PROSE
    assert len(texts.production_code) == corpus.PRODUCTION_CODE


def test_no_text_is_there_twice(texts: corpus.Corpus) -> None:
    """Neither within a part nor in two."""
    everything = texts.training + texts.production_prose + texts.production_code
    assert len(set(everything)) == len(everything)


def test_training_and_production_share_no_paragraph(texts: corpus.Corpus) -> None:
    """Production asks what the model never saw."""
    assert not whole_paragraphs(texts.training) & whole_paragraphs(texts.production_prose)


def test_no_paragraph_is_used_twice(texts: corpus.Corpus) -> None:
    """The documentation repeats itself; the corpus does not."""
    seen = whole_paragraphs(texts.training + texts.production_prose)
    assert seen
    assert max(seen.values()) == 1


def test_prose_says_nothing_of_the_packages_whose_code_is_asked_for(texts: corpus.Corpus) -> None:
    """Otherwise the model would know the docstrings in the code."""
    folders = [STDLIB / package for package in corpus.CODE_PACKAGES]
    sources = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    said = {p for source in sources for text in documentation(source) for p in paragraphs(text)}
    known = set(whole_paragraphs(texts.training + texts.production_prose))
    assert len(said) > 100
    assert len(said & known) <= 0.02 * len(said)  # sentences that other modules have too


def test_code_texts_are_whole_lines_of_the_source(texts: corpus.Corpus) -> None:
    """Unchanged, as an editor sends them."""
    folders = [STDLIB / package for package in corpus.CODE_PACKAGES]
    sources = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    assert all(any(text in source for source in sources) for text in texts.production_code)
    assert all(text.endswith("\n") for text in texts.production_code)


def test_nothing_comes_from_parts_that_a_minimal_python_lacks() -> None:
    """Debian puts these into other packages."""
    names = [name for name, _ in corpus._modules(STDLIB)]
    assert "json/decoder.py" in names
    outside = ("test", "idlelib", "tkinter", "distutils", "lib2to3", "venv", "ensurepip")
    assert not [n for n in names if n.split("/")[0] in (*outside, "site-packages")]
    assert not [n for n in names if "_sysconfigdata" in n]


def test_a_python_without_its_library_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With what was found and what is needed."""
    monkeypatch.setattr(corpus.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(ParamError, match="must hold"):
        corpus.load()


@pytest.mark.parametrize(
    "paragraph",
    [
        "Return the number of items in a container. The argument may be a sequence.",
        (
            "A class definition is an executable statement. The inheritance list\n"
            "usually gives a list of base classes, so each item in the list should count."
        ),
    ],
)
def test_sentences_are_prose(paragraph: str) -> None:
    """Also over several lines."""
    assert is_prose(paragraph)


@pytest.mark.parametrize(
    "paragraph",
    [
        "Too short.",
        "    Return the number of items, indented as an example in the text would be.",
        ">>> print('hello, this is a session of the interpreter, and no prose at all.')",
        "assignment_stmt ::= (target_list '=')+ (starred_expression | yield_expression)",
        "| operator | meaning of the operator in the table that this line belongs to. |",
        "for i in range(10): x[i] = y[i] + 2 * z[i] - q.foo(a, b, c)[0] # and more.",
        "A heading that is long enough to be a paragraph but ends without a stop",
    ],
)
def test_examples_tables_and_grammar_are_no_prose(paragraph: str) -> None:
    """They would make the prose easier or harder from text to text."""
    assert not is_prose(paragraph)


def test_documentation_is_docstrings_and_blocks_of_comments() -> None:
    """Strings, single comments and quotes within comments are none."""
    source = (
        '"""The module\'s docstring."""\n'
        "x = 1  # don't take this apostrophe for a string\n"
        "# A block of comments\n"
        "# of two lines.\n"
        "y = 'not # this'\n"
        "def f():\n"
        "    '''Do it.\n\n"
        "    More of it.\n"
        "    '''\n"
        "    # alone\n"
    )
    assert list(documentation(source)) == [
        "The module's docstring.",
        "A block of comments\nof two lines.",
        "Do it.\n\nMore of it.",
    ]


def test_prose_is_cut_between_words_and_loses_nothing_but_a_short_rest() -> None:
    """The texts joined are the beginning of the stream."""
    stream = " ".join(f"word{i}" for i in range(500))
    found = list(cut_prose(stream))
    assert stream.startswith(" ".join(found))
    assert len(stream) - len(" ".join(found)) < corpus.MIN_CHARS + 1
    assert all(corpus.MIN_CHARS <= len(text) <= corpus.PROSE_CHARS for text in found)


def test_code_is_cut_between_lines() -> None:
    """Each text is a little longer than its measure, the rest is dropped."""
    source = "".join(f"    line_{i} = {i}\n" for i in range(400))
    found = list(cut_code(source))
    assert source.startswith("".join(found))
    assert all(corpus.CODE_CHARS <= len(t) < corpus.CODE_CHARS + 40 for t in found)
