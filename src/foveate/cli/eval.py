"""`foveate eval`: readers measured."""

import argparse

from foveate.cli import (
    eval_compare,
    eval_curve,
    eval_fox,
    eval_honesty,
    eval_omnidocbench,
    eval_report,
    eval_rules,
    eval_run,
    eval_tables,
)

ACTIONS = (
    *(eval_run, eval_fox, eval_curve, eval_rules, eval_omnidocbench, eval_tables, eval_honesty),
    *(eval_compare, eval_report),
)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "eval",
        help="measure readers",
        description="Measures how well readers read, ours and others, and compares them. Each action that "
        "reads writes one JSON file, with every page's text.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action in ACTIONS:
        action.add_parser(actions)
