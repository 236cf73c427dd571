"""What reading a day's logs brings beside the rows: what was set aside, and what was odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from upkeep.records import Quarantined

KEPT_BYTES = 4 * 2**20  # of one file, for the quarantine
MAX_NAMED_LINES = 5
MAX_NAMED_FIELDS = 5


@dataclass
class Aside:
    """What is set aside for one reason: whole files (no line numbers) or lines of a file."""

    file: str
    reason: str
    rows: int = 0
    lines: list[int] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    unit: str = "line"

    @property
    def what(self) -> str:
        """The file, and the first few of the lines."""
        if not self.lines:
            return self.file
        numbers = ", ".join(map(str, self.lines))
        more = f" and {self.rows - len(self.lines)} more" if self.rows > len(self.lines) else ""
        return f"{self.file} {self.unit}{'' if self.rows == 1 else 's'} {numbers}{more}"

    def add_line(self, number: int, raw: bytes, room: int) -> None:
        """Count a line; keep of its bytes what there is room for."""
        self.rows += 1
        if len(self.lines) < MAX_NAMED_LINES:
            self.lines.append(number)
        self.data += raw[: max(room, 0)]


@dataclass(frozen=True)
class Reading:
    """How the rows were come by: what was read, what was set aside, which hours are whole.

    ``hours_with_rows`` are those whose files hold rows, good or not.
    """

    covered: tuple[bool, ...]
    coverage: float
    rows_read: int
    quarantined: tuple[Quarantined, ...]
    flags: tuple[str, ...]
    hours_with_rows: frozenset[int] = frozenset()


@dataclass
class Notes:
    """What is noted while the day's folders are read."""

    rows_read: int = 0
    hours_with_rows: set[int] = field(default_factory=set)
    asides: list[Aside] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    _unknown: set[str] = field(default_factory=set)

    def note_unknown(self, names: Iterable[str]) -> None:
        """Remember the first few names, in the order of the alphabet, of fields not known."""
        if not self._unknown.issuperset(found := set(names)):
            self._unknown = set(sorted(self._unknown | found)[: MAX_NAMED_FIELDS + 1])

    def facts(self, covered: Sequence[Sequence[bool]]) -> Reading:
        """What the record says of it; ``covered`` holds the 24 hours of each source."""
        return Reading(
            covered=tuple(all(source) for source in zip(*covered, strict=True)),
            coverage=sum(map(sum, covered)) / (24 * len(covered)),
            rows_read=self.rows_read,
            quarantined=tuple(
                Quarantined(what=a.what, reason=a.reason, rows=a.rows) for a in self.asides
            ),
            flags=(*self.flags, *self._more_flags()),
            hours_with_rows=frozenset(self.hours_with_rows),
        )

    def _more_flags(self) -> Iterator[str]:
        if self.unchecked:
            named = named_few(self.unchecked)
            yield f"no manifest and no page checksums: damage would not be seen in {named}"
        if self._unknown:
            more = " and more" if len(self._unknown) > MAX_NAMED_FIELDS else ""
            named = ", ".join(map(repr, sorted(self._unknown)[:MAX_NAMED_FIELDS]))
            yield f"rows have fields that are not known and not read: {named}{more}"


def named_few(names: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
