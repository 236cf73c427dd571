"""What Upkeep raises: one tree, each leaf one thing that a person can act on.

::

    UpkeepError
    ├── InputError            what a person gave is not allowed; nothing was done
    │   ├── ConfigError       a file of fleet/, with file:line:field
    │   ├── ParamError        a parameter of a trigger or of the command line
    │   └── ArtifactError     model files that are unsafe, broken or not what was recorded
    ├── StoreError            the store of records
    │   ├── CorruptRecord     bytes that do not match their SHA-256 or their schema
    │   ├── ConflictingRecord another value lies under a key that is written once
    │   ├── LeaseHeld         somebody else works on it now
    │   └── StaleToken        an older try wants to write after a newer one took over
    ├── SourceError           production metrics that cannot be read at all
    ├── EngineError           a compute engine refused, or cannot be reached
    │   └── JobFailed         the job ran and failed; the end of its log is in the message
    ├── TrackingError         MLflow cannot be reached or answered nonsense
    └── PromotionRefused      the ledger or the gate says no
"""

from __future__ import annotations

MAX_SHOWN = 80


def shown(value: object) -> str:
    """The value as messages show it: ``repr``, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


class UpkeepError(Exception):
    """Base of everything that Upkeep raises on purpose."""


class InputError(UpkeepError):
    """What a person gave is not allowed. Raised before any side effect."""

    def __init__(self, where: str, value: object, rule: str, fix: str) -> None:
        """Say where (file:line:field or parameter), the value, the rule and the fix."""
        self.where, self.value, self.rule, self.fix = where, value, rule, fix
        super().__init__(f"{where}: {shown(value)}: {rule}; {fix}")


class ConfigError(InputError):
    """A file of fleet/ is not allowed; ``where`` is file:line:field."""


class ParamError(InputError):
    """A parameter of a trigger or of the command line is not allowed."""


class ArtifactError(InputError):
    """Model files are unsafe, broken or not the ones that were recorded."""


class StoreError(UpkeepError):
    """The store of records cannot do what was asked."""


class CorruptRecord(StoreError):
    """Stored bytes do not match their SHA-256 or their schema."""


class ConflictingRecord(StoreError):
    """Another value already lies under a key that is written once."""


class LeaseHeld(StoreError):
    """Somebody else holds the lease; ``owner`` says who."""

    def __init__(self, name: str, owner: str) -> None:
        """Name the lease and the one who holds it."""
        self.name, self.owner = name, owner
        super().__init__(f"{name} is worked on by {owner}")


class StaleToken(StoreError):
    """An older try wants to act after a newer one took over its lease."""


class SourceError(UpkeepError):
    """A source of production metrics cannot be read at all."""


class EngineError(UpkeepError):
    """A compute engine refused a job, or cannot be reached."""


class JobFailed(EngineError):
    """A job ran and failed; ``final`` says that it will not be started again."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        """Say which job, and the end of its log."""
        self.final = final
        super().__init__(message)


class TrackingError(UpkeepError):
    """MLflow cannot be reached, or answered nonsense."""


class PromotionRefused(UpkeepError):
    """The ledger or the gate does not let this version become champion."""
