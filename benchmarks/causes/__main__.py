"""Which cause is named first, for 200 planted incidents and 200 without a cause, three seeds.

python -m benchmarks.causes [SEED ...]
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from benchmarks.causes.incidents import CAUSELESS, HALF, KINDS
from benchmarks.causes.play import Seen, default_policy, play
from benchmarks.causes.service import COLLECTED

SEEDS = (101, 102, 103)  # never looked at while the diagnosis was written
TOTAL = 200


def share(found: list[Seen]) -> float:
    """The share of first causes that are right."""
    return sum(s.right for s in found) / len(found)


def table(found: list[Seen]) -> str:
    """Planted kinds against the first cause that was named, in markdown."""
    named = sorted({s.diagnosis.cause for s in found})
    kinds = list(
        dict.fromkeys(s.incident.kind for s in sorted(found, key=lambda s: s.incident.kind))
    )
    lines = [f"| planted | cause | n | days | {' | '.join(named)} |"]
    lines.append("|---|---|--:|--:|" + "--:|" * len(named))
    for kind in kinds:
        rows = [s for s in found if s.incident.kind == kind]
        counts = Counter(s.diagnosis.cause for s in rows)
        cells = " | ".join(str(counts[c] or "") for c in named)
        days = sum(s.days for s in rows) / len(rows)
        lines.append(f"| {kind} | {rows[0].incident.cause} | {len(rows)} | {days:.1f} | {cells} |")
    return "\n".join(lines)


def bottlenecks(found: list[Seen]) -> float:
    """The share of rightly named infrastructure incidents whose bottleneck is named rightly."""
    infra = [s for s in found if s.incident.bottleneck and s.right]
    right = sum(s.diagnosis.ranked[0].bottleneck == s.incident.bottleneck for s in infra)
    return right / len(infra) if infra else 0.0


def worst(found: list[Seen]) -> str:
    """The cause that is named rightly least often."""
    causes = sorted({s.incident.cause for s in found})
    shares = {c: share([s for s in found if s.incident.cause == c]) for c in causes}
    name = min(causes, key=lambda c: (shares[c], c))
    return f"{name} ({shares[name]:.0%})"


def measure(seed: int, collected: float) -> tuple[float, float]:
    """Print one seed's table; the shares of right first causes, and of unknown."""
    began, policy = time.perf_counter(), default_policy()
    planted = play(KINDS, seed, TOTAL, policy, collected)
    without = play(CAUSELESS, seed, TOTAL, policy, collected)
    print(f"## Seed {seed}, resources collected {collected:.0%}\n")
    print(f"{table([*planted, *without])}\n")
    print(
        f"first cause right {share(planted):.1%}, worst cause {worst(planted)}, bottleneck right "
        f"{bottlenecks(planted):.0%}, unknown of the causeless {share(without):.1%} "
        f"({time.perf_counter() - began:.0f} s)\n"
    )
    return share(planted), share(without)


def main(seeds: tuple[int, ...]) -> None:
    """Print a table a seed, the worst seed, and the same with half of the resources."""
    for collected in (COLLECTED, HALF):
        found = [measure(seed, collected) for seed in seeds]
        print(
            f"worst of {len(seeds)} seeds, resources collected {collected:.0%}: first cause "
            f"{min(f[0] for f in found):.1%}, unknown {min(f[1] for f in found):.1%}\n"
        )


if __name__ == "__main__":
    main(tuple(int(a) for a in sys.argv[1:]) or SEEDS)
