"""How often Upkeep's tasks are tried, and how long they may take: a step adopts what is done."""

from __future__ import annotations

from datetime import timedelta

PATIENT = {
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 4.0,
    "execution_timeout": timedelta(hours=1),
}
