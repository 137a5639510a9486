"""The same said in other words, in the style of a persona."""

import random
import re
import zlib
from collections.abc import Sequence

import msgspec

from simia_async.builtin.author.phrases import COMMON, LABELS, OF_AGENTS, OF_USERS
from simia_async.messages import Message

Groups = Sequence[Sequence[str]]


class Style(msgspec.Struct, frozen=True):
    """How a user talks."""

    greetings: Sequence[str]
    """One opens the first turn."""
    about_me: Sequence[str]
    """One is added to the first turn."""
    openers: Sequence[str]
    closers: Sequence[str]
    talkative: float
    """How often a later turn gets an opener, and how often a closer."""


STYLES = (
    Style(("Hi, ", "Hello, ", "", "Hi there! "), ("",), ("Okay. ", "All right. "), (), 0.15),
    Style(
        ("Good morning. ", "Good afternoon. ", "Hello, and thank you for taking my request. "),
        ("I would be grateful for your help.", "Thank you in advance.", "I hope that is possible."),
        ("Thank you. ", "That is kind of you. ", "I see, thank you. "),
        ("Thank you.", "I appreciate it.", "Thanks for your patience."),
        0.4,
    ),
    Style(("", ""), ("",), (), (), 0.0),
    Style(
        ("Hey! ", "Hi there, hope you are well. ", "Hello hello! "),
        (
            "It has been one of those weeks, honestly.",
            "I have been meaning to do this for days.",
            "My family has been reminding me about it all week.",
            "I am not very good at these things, so bear with me.",
            "I am writing this over a cup of coffee.",
        ),
        ("Oh, right. ", "Let me see. ", "Ah, good question. ", "Hmm, okay. "),
        ("Sorry for going on like this.", "I hope that makes sense.", "That's all I can tell you."),
        0.5,
    ),
    Style(
        ("Hi, quick one. ", "Hello, ", "Hi. "),
        ("I'm short on time.", "I only have a few minutes.", "It is rather urgent."),
        ("Right. ", "Okay, ", "Fine. "),
        ("Please be quick.", "I'm in a hurry.", "The sooner the better."),
        0.3,
    ),
    Style(
        ("Hello. ", "Excuse me. ", "Good day. "),
        ("This is my first time doing this.", "Please tell me if you need anything else."),
        ("I think so. ", "If I understand correctly: ", "I hope this is right. "),
        ("I hope that is correct.", "Tell me if something is missing."),
        0.3,
    ),
)

_AGENT_HELLOS = ("", "Hello! ", "Hi! ", "Welcome! ", "Thank you for contacting us. ", "Good day! ")
_AFTER_LOOKING = ("Thank you for waiting. ", "All right. ", "I have checked. ", "Okay. ")
_AFTER_LISTENING = ("Got it. ", "All right. ", "Okay. ", "I see. ", "Thanks for telling me. ")
_HOW_OFTEN_AGENTS_ACKNOWLEDGE = 0.3
_SMALL_TALK = 0.4
_THANKS = (
    "Thank you, that was all.",
    "Thanks, that's everything for today.",
    "Okay, thank you for your time.",
    "That's all I wanted. Thanks!",
    "Great, nothing else from my side. Thank you!",
    "Good. Thank you, and goodbye.",
)
_GOODBYES = (
    "You're welcome! Have a great day!",
    "My pleasure. Take care!",
    "Glad to be of help. Goodbye!",
    "Thank you for contacting us. All the best!",
    "You're very welcome. Enjoy the rest of your day!",
    "Happy to help. Have a good one!",
)

_GREETING = re.compile(
    r"^(?:Hi|Hello|Hey|Good (?:morning|afternoon|evening|day)|Excuse me)(?: there| again)?[,.!]+ *"
)
_ACKNOWLEDGED = re.compile(
    r"^(?:Hi|Hello|Yes|No\b|Sure|Okay|OK\b|Ok\b|All right|Alright|Right|Of course|Certainly|Great|"
    r"Perfect|Wonderful|Excellent|Absolutely|Thank|Thanks|Many|Much|You're|You are|My pleasure|"
    r"Glad|Happy|Any time|I understand|I see|I get|I apologi|I'm sorry|I know|I hear|Unfortunately|"
    r"I'm afraid|Regrettably|Sorry|Got it|Understood|However|Still|That|Actually|Well|Not a|"
    r"One moment|Please hold|Let's|Here it is)"
)
_PARTING = ("thank", "appreciate", "bye", " day", "welcome", "take care", "pleasure", "any time")


class Phrasebook:
    """Finds phrases of several groups, and says them in another way."""

    def __init__(self, *groups: Groups) -> None:
        self._others: dict[str, Sequence[str]] = {}
        for group in (group for part in groups for group in part):
            self._enter(group)
        by_word: dict[str, list[str]] = {}
        for phrase in sorted(self._others, key=len, reverse=True):
            word, rest = re.fullmatch(r"(\w+)(.*)", phrase).groups()  # type: ignore[union-attr]
            end = r"(?!\w)" if phrase[-1].isalnum() else ""
            by_word.setdefault(word, []).append(re.escape(rest) + end)
        # By first words, since most words of a text begin no phrase.
        words = sorted(by_word, key=len, reverse=True)
        parts = (f"{word}(?:{'|'.join(by_word[word])})" for word in words)
        self._phrase = re.compile(rf"(?<![\w'])(?:{'|'.join(parts)})")

    def _enter(self, group: Sequence[str]) -> None:
        for phrase in group:
            self._others.setdefault(phrase, group)
        if group[0][0].islower():
            capitalised = [phrase[0].upper() + phrase[1:] for phrase in group]
            for phrase in capitalised:
                self._others.setdefault(phrase, capitalised)

    def reword(self, rng: random.Random, text: str) -> str:
        """`text` with each phrase as it was or as another of its group."""
        return self._phrase.sub(lambda match: rng.choice(self._others[match.group()]), text)

    def relabel(self, chosen: dict[str, str], rng: random.Random, text: str) -> str:
        """As `reword`, but always the same of a group; `chosen` remembers."""

        def replace(match: re.Match[str]) -> str:
            group = self._others[match.group()]
            return chosen.setdefault(group[0], rng.choice(group))

        return self._phrase.sub(replace, text)


_USERS_BOOK = Phrasebook(OF_USERS, COMMON)
_AGENTS_BOOK = Phrasebook(OF_AGENTS, COMMON)
_LABELS_BOOK = Phrasebook(LABELS)


class Wording:
    """How one conversation is worded."""

    def __init__(self, rng: random.Random, persona: str | None) -> None:
        """`persona`: any text; the same text means the same style. Without one, any style."""
        self._rng = rng
        self._style = (
            rng.choice(STYLES)
            if persona is None
            else STYLES[zlib.crc32(persona.encode(errors="replace")) % len(STYLES)]
        )
        self._labels: dict[str, str] = {}

    def of_user(self, text: str, *, opening: bool) -> str:
        """A turn of the user."""
        if not _is_prose(text):
            return text
        text = _USERS_BOOK.reword(self._rng, text)
        if opening:
            plain = _GREETING.sub("", text)
            about = self._rng.choice(self._style.about_me)
            text = self._rng.choice(self._style.greetings) + _capitalised(plain)
            return f"{text} {about}" if about and _is_finished(text) else text
        if _is_parting(text):
            return text
        return self._closed(self._opened(text, self._style.openers, self._style.talkative))

    def of_agent(self, text: str, *, opening: bool, after_call: bool) -> str:
        """A reply of the agent to the user."""
        if not _is_prose(text):
            return text
        text = _LABELS_BOOK.relabel(self._labels, self._rng, _AGENTS_BOOK.reword(self._rng, text))
        if opening:
            return text if _ACKNOWLEDGED.match(text) else self._rng.choice(_AGENT_HELLOS) + text
        openers = _AFTER_LOOKING if after_call else _AFTER_LISTENING
        return self._opened(text, openers, _HOW_OFTEN_AGENTS_ACKNOWLEDGE)

    def farewell(self, told: Sequence[Message]) -> list[Message]:
        """A word of thanks and its answer, where the conversation does not end with them yet, and
        nothing is left to decide.
        """
        last = told[-1]
        ended = (
            last.role == "assistant" and not last.tool_calls and _is_finished(last.content or "")
        )
        if not ended or (last.content or "").rstrip().endswith("?"):
            return []
        said = [m.content or "" for m in told[-2:]]
        if any(map(_is_parting, said)) or self._rng.random() >= _SMALL_TALK:
            return []
        thanks, goodbye = self._rng.choice(_THANKS), self._rng.choice(_GOODBYES)
        return [Message("user", thanks), Message("assistant", goodbye)]

    def _opened(self, text: str, openers: Sequence[str], how_often: float) -> str:
        if not openers or _ACKNOWLEDGED.match(text) or self._rng.random() >= how_often:
            return text
        opener = self._rng.choice(openers)
        return opener + (text if opener.endswith((". ", "! ", ": ")) else _uncapitalised(text))

    def _closed(self, text: str) -> str:
        closers = self._style.closers
        if not closers or not _is_finished(text) or self._rng.random() >= self._style.talkative:
            return text
        return f"{text} {self._rng.choice(closers)}"


def _is_prose(text: str) -> bool:
    """Whether it is said in sentences, and not a name, an id or data."""
    return len(text.split()) > 2 and text.strip()[0] not in "{[<#*-"


def _is_parting(text: str) -> bool:
    """Whether it thanks or says goodbye."""
    lowered = text.lower()
    return any(word in lowered for word in _PARTING)


def _is_finished(text: str) -> bool:
    return text.rstrip().endswith((".", "!", "?"))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapitalised(text: str) -> str:
    return text if re.match(r"I\b|[A-Z]{2}|\W", text) else text[:1].lower() + text[1:]
