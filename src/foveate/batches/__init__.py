"""Many documents, read to the end whatever happens on the way.

run.py      `read_batch`, the room's door   report.py   what became of everything, and how far it is
inputs.py   folders, patterns, lists and addresses to documents
journal.py  the SQLite file that knows every page   pages that are read together: see its docstring
drawing.py  processes that draw pages (worker.py), beside the network   feeding.py   pages ahead, in order
outputs.py  Markdown and others, JSONL, Parquet: functions of the journal
"""
