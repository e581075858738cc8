"""`foveate eval tables`: how near tables are to what they should be, as trees (TEDS)."""

import argparse
from pathlib import Path

from foveate.cli import eval_reader
from foveate.cli import options as shared


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = commands.add_parser(
        "tables",
        help="TEDS of tables as HTML",
        description="Scores tables by TEDS and by TEDS of their structure alone, as PubTabNet defines them.",
    )
    add = parser.add_argument
    add("--pairs", metavar="FILE", type=Path, required=True, help='[{"id", "truth", "prediction"}, …], HTML')
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="of the intervals (default: 0)")
    eval_reader.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Scores, writes and prints the means. Returns the exit code."""
    from foveate.evaluation.fox import run_of
    from foveate.evaluation.run import Setup, check_place, fingerprint
    from foveate.evaluation.table_metrics import read_pairs, score_tables

    check_place(options.json)
    results = read_pairs(options.pairs)
    data = f"{options.pairs.name} {fingerprint([options.pairs])}"
    setup = Setup("tables", options.pairs.stem, seed=options.seed, data=data)
    scores = score_tables(results, options.seed)
    run_of(setup, results, scores).save(options.json)
    means, spans = scores["metrics"], scores["intervals"]
    lines = [f"{name:<14}  {means[name]:.4f}  [{low:.4f}, {high:.4f}]" for name, (low, high) in spans.items()]
    eval_reader.say(options, [f"{len(results)} tables", *lines])
    return 0
