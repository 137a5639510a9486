"""Judging conversations: exact checks, an LLM by a rubric, and how both make a reward."""

from simia_async.judging.case import Case, MadeCall, Verdict
from simia_async.judging.checks import check_case, check_exactly
from simia_async.judging.dropout import dropped_criteria
from simia_async.judging.judge import Judge
from simia_async.judging.rubric import Rubric, check_judgeable
from simia_async.judging.rubric_file import choose_rubric, load_rubric
from simia_async.judging.wanted import wanted_state

__all__ = [
    "Case",
    "Judge",
    "MadeCall",
    "Rubric",
    "Verdict",
    "check_case",
    "check_exactly",
    "check_judgeable",
    "choose_rubric",
    "dropped_criteria",
    "load_rubric",
    "wanted_state",
]
