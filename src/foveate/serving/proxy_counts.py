"""What the proxy counts, for /foveate/metrics and /foveate/status, and the line of the log. No content."""

from __future__ import annotations

import logging
import threading
from typing import Any

from foveate.serving.proxy_packing import Handled

LOG = logging.getLogger("foveate.proxy")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS = {
    "requests": "Requests that were answered, by status",
    "packed": "Chat requests of which older text went on as pages",
    "unpacked": "Chat requests that could not be packed and went on untouched",
    "over_budget": "Chat requests of which the text that must stay is over the budget",
    "tokens_before": "Tokens of chat requests as they came",
    "tokens_after": "Tokens of chat requests as they went on",
    "tokens_saved": "Tokens saved, or that would have been in a dry run",
    "images": "Pages sent",
    "dropped_messages": "Messages left out, for which no page was left",
    "packing_seconds": "Time spent on packing",
    "upstream_failures": "Requests that upstream did not answer",
}


class Counts:
    """Totals since the start."""

    def __init__(self) -> None:
        self._totals: dict[str, float] = dict.fromkeys(_COUNTERS, 0)
        self._statuses: dict[int, int] = {}
        self._lock = threading.Lock()

    def handled(self, handled: Handled) -> None:
        """Counts what was done to a chat request."""
        add = {"packing_seconds": handled.seconds, "unpacked": float(handled.problem is not None)}
        if (account := handled.accounting) is not None:
            sent = account.after if not handled.dry_run else account.before
            add |= {
                "packed": float(account.images > 0 and not handled.dry_run),
                "over_budget": float(account.over_budget),
                "tokens_before": account.before,
                "tokens_after": sent,
                "tokens_saved": account.saved,
                "images": 0 if handled.dry_run else account.images,
                "dropped_messages": 0 if handled.dry_run else account.dropped_messages,
            }
        with self._lock:
            for name, value in add.items():
                self._totals[name] += value

    def answered(self, status: int, failed: bool = False) -> None:
        """Counts an answer."""
        with self._lock:
            self._totals["requests"] += 1
            self._totals["upstream_failures"] += failed
            self._statuses[status] = self._statuses.get(status, 0) + 1

    def totals(self) -> dict[str, Any]:
        """As JSON values."""
        with self._lock:
            statuses = {str(status): count for status, count in sorted(self._statuses.items())}
            return {**self._totals, "statuses": statuses}

    def text(self) -> str:
        """For Prometheus (text format 0.0.4)."""
        totals = self.totals()
        lines = []
        for name, about in _COUNTERS.items():
            metric = f"foveate_proxy_{name}_total"
            lines += [f"# HELP {metric} {about}", f"# TYPE {metric} counter"]
            if name == "requests":
                rows = totals["statuses"].items()
                lines += [f'{metric}{{status="{status}"}} {count}' for status, count in rows]
            else:
                lines.append(f"{metric} {totals[name]:g}")
        return "\n".join(lines) + "\n"


def log(method: str, path: str, status: int, seconds: float, handled: Handled | None) -> None:
    """One line for a request: numbers and names, nothing that anybody said."""
    fields: dict[str, Any] = {"method": method, "path": path, "status": status, "seconds": round(seconds, 3)}
    if handled is not None:
        fields["model"] = handled.model[:100]
        if handled.problem is not None:
            fields["not_packed"] = handled.problem[:200]
        if (account := handled.accounting) is not None:
            fields |= {
                "provider": account.provider,
                "before": account.before,
                "after": account.after,
                "images": account.images,
                "dropped": account.dropped_messages,
                "dry_run": handled.dry_run,
                "packing_seconds": round(handled.seconds, 3),
            }
    LOG.info("request", extra={"fields": fields})
