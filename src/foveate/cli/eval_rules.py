"""`foveate eval rules`: small facts that a reading must get right."""

import argparse
from pathlib import Path

from foveate.cli import eval_reader
from foveate.cli import options as shared


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "rules",
        help="facts about pages, as olmOCR-bench has them",
        description="Checks readings by rules: a text is present or absent, two come in an order, a table's "
        "cell has its neighbours, a formula is there.",
    )
    add = parser.add_argument
    add("--rules", metavar="FILE", type=Path, required=True, help="rules in olmOCR-bench's JSONL")
    add("--pdfs", metavar="DIR", type=Path, required=True, help="folder of their PDFs")
    add("--dpi", metavar="N", type=shared.whole_number(1), default=144, help="of the pages (default: 144)")
    eval_reader.add_reader(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reads, checks and prints. Returns the exit code."""
    from foveate.evaluation.rules import read_rules, rule_cases, score_rules
    from foveate.evaluation.run import fingerprint

    rules = read_rules(options.rules)
    cases = rule_cases(rules, options.pdfs, options.dpi)
    pdfs = [options.pdfs / name for name in dict.fromkeys(rule.pdf for rule in rules)]
    data = f"{options.rules.name} {fingerprint([options.rules, *pdfs])}"
    done = eval_reader.read_and_score(
        options, "rules", cases, lambda pages: score_rules(rules, pages), data, {"dpi": options.dpi}
    )
    lines = [f"{done.name}: {eval_reader.speed_line(done)}"]
    for kind, rate in [*done.scores["kinds"].items(), ("all", done.scores["all"])]:
        share = f"{rate['rate']:6.1%}  [{rate['low']:.1%}, {rate['high']:.1%}]"
        lines.append(f"  {kind:<9} {rate['passed']:>4} of {rate['total']:<4} {share}")
    eval_reader.say(options, lines)
    return 0
