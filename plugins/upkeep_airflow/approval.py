"""A person's yes or no before a promotion. Nothing is templated: what people say is text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from upkeep_airflow.asked import name_map_index
from upkeep_airflow.notes import plain

if TYPE_CHECKING:
    from upkeep_airflow.candidates import Verdict

APPROVE, REJECT = "Approve", "Reject"
ANSWER_WITHIN = timedelta(days=7)


class AskApproval(HITLOperator):  # type: ignore[misc]  # airflow is Any to mypy
    """Ask a person whether a candidate that passed the gate may become champion.

    Does not ask where nobody wants to be asked, or where the gate refused. Without an answer
    within seven days the answer is no: an unknown is never a pass. The answer (approved, by,
    note) goes downstream, a no as well, so that both are recorded.
    """

    template_fields: Sequence[str] = ("verdict",)

    def __init__(self, *, verdict: Any, params: Any = None, **kwargs: Any) -> None:
        """Take the gate's verdict. ``params`` of the DAG are not shown in the form."""
        del params
        super().__init__(
            subject="May this candidate become champion?",
            options=[APPROVE, REJECT],
            defaults=[REJECT],
            response_timeout=ANSWER_WITHIN,
            params={"comment": Param("", type="string", title="Comment", maxLength=2000)},
            **{"map_index_template": "{{ upkeep_label or task.verdict['model'] }}"}
            | kwargs
            | {"execution_timeout": None},
        )
        self.verdict = verdict

    def execute(self, context: Any) -> Any:
        """Ask, or go on without an answer where none is wanted."""
        verdict: Verdict = self.verdict
        if not (verdict["ask"] and verdict["passed"]):
            name_map_index(f"{verdict['model']}: not asked")
            return None
        self.subject = f"May this candidate become champion of {verdict['model']}?"
        self.body = "\n".join(f"- {plain(row)}" for row in verdict["words"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Hand the answer on."""
        answer = super().execute_complete(context, event)
        name_map_index(f"{self.verdict['model']}: {', '.join(answer['chosen_options'])}")
        user = answer["responded_by_user"]
        return {
            "approved": answer["chosen_options"] == [APPROVE],
            "by": user["name"] if user else f"nobody (no answer in {ANSWER_WITHIN.days} days)",
            "note": (answer["params_input"] or {}).get("comment", ""),
        }
