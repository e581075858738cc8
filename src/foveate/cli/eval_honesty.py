"""`foveate eval honesty`: pages that can be read only by seeing."""

import argparse
from pathlib import Path

from foveate.cli import eval_reader
from foveate.cli import options as shared

TESTS = "prose shuffled letters numbers uuids lookalikes density degraded rotated blank needle (default: all)"


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "honesty",
        help="pages that nobody can guess",
        description="Has a reader read pages whose text cannot be guessed, pages of rising density, damaged "
        "and turned pages, blank sheets, and long texts with a needle. Pages have the side of the mode.",
    )
    add = parser.add_argument
    add("--text", metavar="FILE", type=Path, required=True, help="prose, plain or .xz")
    add("--tests", metavar="NAME", nargs="+", help=TESTS)
    add(
        "--count", metavar="N", type=shared.whole_number(1), default=4, help="pages of each kind (default: 4)"
    )
    add("--size", metavar="PIXELS", type=float, default=16.0, help="of the em (default: 16)")
    lengths = "pages of the texts with a needle (default: 1 2 4 8)"
    add("--lengths", metavar="N", type=shared.whole_number(1), nargs="+", default=[1, 2, 4, 8], help=lengths)
    add("--depths", metavar="N", type=shared.whole_number(1), default=5, help="of the needle (default: 5)")
    eval_reader.add_reader(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reads, scores and prints. Returns the exit code."""
    from foveate.evaluation import honesty
    from foveate.evaluation.run import fingerprint

    plan = honesty.Plan(
        text=options.text,
        tests=tuple(options.tests or honesty.TESTS),
        mode=options.mode,
        size=options.size,
        pages=options.count,
        lengths=tuple(options.lengths),
        depths=options.depths,
        seed=options.seed,
    )
    data = f"{options.text.name} {fingerprint([options.text])}"
    more = {name: getattr(options, name) for name in ("tests", "count", "size", "lengths", "depths")}
    done = eval_reader.read_and_score(
        options,
        "honesty",
        honesty.honesty_cases(plan),
        lambda pages: honesty.score_honesty(pages, options.seed),
        data,
        more,
    )
    eval_reader.say(options, [f"{done.name}: {eval_reader.speed_line(done)}", *_table(dict(done.scores))])
    return 0


def _table(scores: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """One line a test."""
    lines = [
        f"  {name:<12} {score['all']['value']:.3f}" for name, score in scores.items() if "all" in _of(score)
    ]
    if "blank" in scores:
        lines.append(
            f"  {'blank':<12} silent on {scores['blank']['silent']} of {scores['blank']['pages']} sheets"
        )
    if "needle" in scores:
        lines.append(f"  {'needle':<12} found in {scores['needle']['found']:.0%} of the texts")
    return lines


def _of(score: object) -> dict[str, object]:
    return score if isinstance(score, dict) else {}
