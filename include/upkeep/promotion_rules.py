"""Who may become champion, and who is put back: pure rules over the ledger and the gate."""

from __future__ import annotations

from collections.abc import Sequence

from upkeep.errors import PromotionRefused
from upkeep.records import Approval, Candidate, GateResult, LedgerEntry


def refuse_unless_allowed(
    entries: Sequence[LedgerEntry], candidate: Candidate, gate: GateResult, *, promote_old: bool
) -> None:
    """PromotionRefused unless this gate let this candidate pass against today's champion."""
    if not entries:
        raise PromotionRefused(
            f"{candidate.model} has no champion to compare with; register the first one by hand"
        )
    _refuse_unless_passed(gate)
    _refuse_unless_of_this_candidate(candidate, gate)
    _refuse_unless_against(entries[-1], candidate, gate)
    made = [e.day for e in entries if e.day is not None and e.event == "promote"]
    newest = max(made, default=candidate.day)  # a rollback's day says nothing about its version
    if candidate.day < newest and not promote_old:
        raise PromotionRefused(
            f"{candidate.model}: a candidate of {candidate.day} does not replace a champion of "
            f"{newest}; promote_old allows it"
        )


def _refuse_unless_passed(gate: GateResult) -> None:
    """An unknown is never a pass: also not one that was never validated as a record."""
    failed = [row.check for row in gate.rows if row.passed is not True]
    if gate.passed is not True or failed:
        raise PromotionRefused(
            f"{gate.model}: the gate was not passed: {', '.join(failed) or 'no'}"
        )
    if all(row.effect is None for row in gate.rows):
        raise PromotionRefused(f"{gate.model}: the gate measured nothing")
    try:
        GateResult.parse(gate.canonical_bytes())
    except (ValueError, TypeError) as error:
        raise PromotionRefused(f"{gate.model}: the gate's result is not sound: {error}") from error


def _refuse_unless_of_this_candidate(candidate: Candidate, gate: GateResult) -> None:
    judged = (gate.model, gate.day, gate.kind, gate.candidate_files_sha256)
    made = (candidate.model, candidate.day, candidate.kind, candidate.folder.files_sha256)
    if judged != made:
        raise PromotionRefused(f"{candidate.model}: the gate judged {judged}, not {made}")


def _refuse_unless_against(head: LedgerEntry, candidate: Candidate, gate: GateResult) -> None:
    if candidate.folder.files_sha256 == head.folder.files_sha256:
        raise PromotionRefused(f"{head.model}: the candidate's files are the champion's own")
    compared = (gate.champion_version, gate.champion_files_sha256)
    if compared != (head.version, head.folder.files_sha256):
        raise PromotionRefused(
            f"{head.model}: the gate compared with version {gate.champion_version}, the champion "
            f"is version {head.version}; gate again"
        )


def refuse_unless_approved(model: str, approval: Approval | None, *, required: bool) -> None:
    """PromotionRefused if a person said no, or was to be asked and was not."""
    if approval is None and required:
        raise PromotionRefused(f"{model}: waits for a person's approval")
    if approval is not None and approval.approved is not True:
        raise PromotionRefused(f"{model}: refused by {approval.by}: {approval.note}")


def rollback_target(entries: Sequence[LedgerEntry], model: str, to: str | None) -> LedgerEntry:
    """The entry to go back to: the latest of version ``to``, or the champion before this one."""
    standing = standing_champions(entries)
    if to is None:
        if len(standing) < 2:  # noqa: PLR2004 - this one and the one before
            raise PromotionRefused(f"{model} has no earlier champion to go back to")
        return standing[-2]
    found = [e for e in entries if e.version == to]
    if not found:
        known = ", ".join(dict.fromkeys(e.version for e in entries)) or "none"
        raise PromotionRefused(f"{model}: version {to} was never champion; known: {known}")
    if entries[-1].version == to:
        raise PromotionRefused(f"{model}: version {to} is champion already")
    return found[-1]


def standing_champions(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The champions as undo sees them: a rollback takes away all that came after its target.

    After 1, 2, 3, back to 2, the one before is 1 and not 3.
    """
    standing: list[LedgerEntry] = []
    for entry in entries:
        if entry.event == "rollback":
            kept = [e.folder.files_sha256 for e in standing]
            if entry.folder.files_sha256 in kept:
                del standing[kept.index(entry.folder.files_sha256) :]
        standing.append(entry)
    return standing
