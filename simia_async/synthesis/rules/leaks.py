"""Nothing of the simulator's prompt, of its work or of a chat template stands in a conversation."""

import re
from functools import cache

import msgspec

from simia_async.environments import Environment
from simia_async.environments.seeds import STOP_MARK
from simia_async.simulation.prompts import TAGS, WORDS
from simia_async.synthesis.rules.derived import derived
from simia_async.synthesis.rules.verdict import Case, Mended, Reject, texts_of

_SECTIONS = "|".join(sorted({tag for tags in TAGS.values() for tag in tags}))
_TAG = rf"/?(?:{_SECTIONS}|tool_calls?|tool_response|function_calls?)>"
_MARKS = (
    ("<", re.compile(rf"<{_TAG}")),
    (r"\u003c", re.compile(rf"\\u003c{_TAG}")),
    ("<|", re.compile(r"<\|[\w ]{2,30}\|>")),
    ("INST]", re.compile(r"\[/?INST\]")),
    ("##", re.compile(rf"{STOP_MARK}|#{{2,4}} ?STOP\b")),
    ("HUMAN:", re.compile(r"^HUMAN:", re.MULTILINE)),
    ("ASSISTANT:", re.compile(r"^ASSISTANT:", re.MULTILINE)),
    ("FUNCTION_CALL:", re.compile(r"^FUNCTION_CALL:", re.MULTILINE)),
    ("OBSERVATION:", re.compile(r"^OBSERVATION:", re.MULTILINE)),
)
"""Tags of our prompts, as they are and as JSON writes them, those of chat templates, and marks of
the ways to write a conversation down; each with what it cannot do without.
"""

_TALK = (
    (
        "simulat",
        r"\b(?:this|the|our|a) simulat(?:ion|ed (?:user|tool|world|environment|conversation))\b"
        r"|\bsimulat(?:ed|ing) (?:user|tool|response|observation|api|conversation)s?\b"
        r"|\b(?:i|we)(?:'m| am|'ll| will| are) (?:now )?(?:the )?simulat(?:or|e|ing)\b",
    ),
    ("seed", r"\bseed (?:conversation|trajectory|dialogue|example|data)s?\b"),
    (
        "json",
        r"\b(?:answer|respond|reply)\w*(?: \w+){0,2} (?:in|with|as) (?:\w+ )?json\b"
        r"|\bjson (?:only|response|output|format|object)\b|\b(?:only|valid) json\b",
    ),
    (
        "play",
        r"\brole-?play(?:ing|er)?\b"
        r"|\b(?:i|you)(?:'m| am|'ll| will| are)? (?:now )?play(?:ing)? the (?:user|tools?)\b",
    ),
    ("prompt", r"\b(?:system|the above|this) prompt\b"),
    ("training", r"\btraining (?:conversation|trajectory|dialogue)\b"),
    ("conversation", r"\bhere(?: is|'s) (?:the|a) (?:new )?conversation\b"),
)
"""Talk about simulating, each with a word that it cannot do without."""

_SENTENCE = re.compile(r"[A-Z][^<{}]{23,}\.|[A-Za-z][^<{}]{34,}")


def no_leaked_prompt(case: Case) -> Mended | None:
    """No tag or sentence of our prompts, no stop mark, no token of a chat template, and no talk
    about simulating. Talk that the environment's own policy or tools hold is let be.
    """
    for sign, mark in _MARKS:
        if sign in case.text and (found := mark.search(case.text)):
            _reject(case, found[0])
    for sentence in _sentences(*WORDS.values(), *case.environment.prompts.values()):
        if sentence in case.text:
            _reject(case, sentence)
    for word, talk in derived(case.environment, "rules.talk", _talk):
        if word in case.lower_text and (found := talk.search(case.lower_text)):
            _reject(case, found[0])
    return None


def _reject(case: Case, leak: str) -> None:
    at = next(
        (
            at
            for at, message in enumerate(case.messages)
            if any(leak in text or leak in text.lower() for text in texts_of(message))
        ),
        0,
    )
    raise Reject(f"turn {at}: holds {leak!r}")


@cache
def _sentences(*prompts: str) -> tuple[str, ...]:
    """Sentences of the prompts, and parts of them, that are too long to be said by chance; of two
    the shorter, if one holds the other. Those with tags in them are found by the tags.
    """
    ends = (r"(?<=[.:;]) |`", r"(?<=\.) ")
    parts = {part.strip() for text in prompts for end in ends for part in re.split(end, text)}
    long = sorted((part for part in parts if _SENTENCE.fullmatch(part)), key=len)
    return tuple(
        part for at, part in enumerate(long) if not any(other in part for other in long[:at])
    )


def _talk(environment: Environment) -> list[tuple[str, re.Pattern[str]]]:
    own = environment.policy.lower() + msgspec.json.encode(environment.tools).decode().lower()
    talk = [(word, re.compile(pattern)) for word, pattern in _TALK]
    return [(word, pattern) for word, pattern in talk if not pattern.search(own)]
