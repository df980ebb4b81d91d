"""A run is a folder: what was asked, where it was computed, and everything that came out.

    runs/sentiment-20300101-120000/
        config.json            study, seed and configuration
        environment.json       versions, processor, threads, commit
        status.json            running, finished or failed, and when; .lock is held while it runs
        measurements.parquet   one tidy table, a row for each measurement
        tried.jsonl            every feature that was tried, so that "best of many" can be counted
        figures/<name>.json    plotly figures
        tables/<name>.parquet
        examples/<name>.jsonl
        report.html            where a report belongs

Every file is replaced as a whole, so a reader never sees half of one. Only the log of tried
features grows in place: the reader leaves out a line that a crash cut short, and the next writer
removes it.
"""

from worldscope.runs.files import replacing
from worldscope.runs.listing import RunEntry, list_runs, load_run, runs_root
from worldscope.runs.run import Run
from worldscope.runs.starting import start_run

__all__ = ["Run", "RunEntry", "list_runs", "load_run", "replacing", "runs_root", "start_run"]
