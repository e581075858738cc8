"""`foveate eval omnidocbench`: the benchmark's pages, read and scored."""

import argparse
from pathlib import Path

from foveate.cli import eval_reader
from foveate.errors import OptionError


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "omnidocbench",
        help="text, formulas, tables and order of OmniDocBench",
        description="Reads OmniDocBench's pages, or takes a folder of readings, and scores text, formulas, "
        "tables and reading order, for each language, document type and attribute. The folder of predictions "
        "that it writes is what the official evaluator takes.",
    )
    add = parser.add_argument
    add("--data", metavar="FILE", type=Path, required=True, help="OmniDocBench.json")
    add("--images", metavar="DIR", type=Path, required=True, help="its pictures")
    add("--predictions", metavar="DIR", type=Path, help="readings, one .md a picture; written with --reader")
    add("--no-cdm", action="store_true", help="no CDM of formulas, even where there is LaTeX")
    eval_reader.add_reader(parser, required=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reads, scores and prints. Returns the exit code."""
    from foveate.evaluation import omnidocbench
    from foveate.evaluation.run import fingerprint

    if options.reader is None:
        if options.predictions is None:
            raise OptionError("there are no readings: name a --reader, or a folder of --predictions")
        options.reader, folder = f"predictions:{options.predictions}", None
    else:
        folder = options.predictions or options.json.with_name(f"{options.json.stem}-predictions")
    pages = omnidocbench.read_benchmark(options.data)
    cases = omnidocbench.benchmark_cases(pages, options.images)
    done = eval_reader.read_and_score(
        options,
        "omnidocbench",
        cases,
        lambda results: omnidocbench.score_benchmark(pages, results, options.seed, not options.no_cdm),
        f"{options.data.name} {fingerprint([options.data])}",
    )
    lines = [f"{done.name}: {eval_reader.speed_line(done)}"]
    for name in omnidocbench.SCORES:
        if name in (scores := done.scores["all"]):
            lines.append(f"  {name:<22} {scores[name]['value']:.3f}  ({scores[name]['pages']} pages)")
    if done.scores["cdm_note"]:
        lines.append(f"  CDM: {done.scores['cdm_note']}")
    if folder is not None:
        omnidocbench.write_predictions(done.pages, folder)
        lines.append(f"predictions: {folder}")
    eval_reader.say(options, lines)
    return 0
