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
    """One may be added to the first turn."""
    openers: Sequence[str]
    closers: Sequence[str]
    talkative: float
    """How often a later turn gets an opener, and how often a closer."""


STYLES = (
    Style(("Hi, ", "Hello, ", "", "Hi there! "), (), ("Okay. ", "All right. "), (), 0.15),
    Style(
        ("Good morning. ", "Good afternoon. ", "Hello, and thank you for taking my request. "),
        ("I would be grateful for your help.", "Thank you in advance.", "I hope that is possible."),
        ("Thank you. ", "That is kind of you. ", "I see, thank you. "),
        ("Thank you.", "I appreciate it.", "Thanks for your patience."),
        0.4,
    ),
    Style(("",), (), (), (), 0.0),
    Style(
        ("Hey! ", "Hi there, hope you are well. ", "Hello hello! "),
        (
            "It has been one of those weeks, honestly.",
            "I have been meaning to do this for days.",
            "My family has been reminding me about it all week.",
            "I am not very good at these things, so bear with me.",
            "I am writing this over a cup of coffee.",
        ),
        ("Oh, right. ", "Let me see. ", "Hmm, okay. ", "Ah, well. "),
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
        ("Let me think. ", "I hope I get this right. "),
        ("I hope I explained that well.", "Sorry, this is all new to me."),
        0.3,
    ),
)

_AGENT_HELLOS = ("Hello! ", "Hi! ", "Welcome! ", "Thank you for contacting us. ", "Good day! ")
_AFTER_LOOKING = ("Thank you for waiting. ", "All right. ", "Thanks for waiting. ", "Okay. ")
_AFTER_A_QUESTION = ("All right. ", "Okay. ", "I see what you mean. ")
_AFTER_A_STATEMENT = ("Got it. ", "All right. ", "Okay. ", "Thanks for telling me. ", "Noted. ")
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
_SMALL_AFTER_COMMA = frozenset(
    "My Can Could Is Are Please There We How What The This That It Would Let".split()
)
_STILL_ASKS = ("?", "confirm", "provide", "share", "give me")
_PARTING = ("thank", "appreciate", "bye", " day", "welcome", "take care", "pleasure", "any time")


class Phrasebook:
    """Finds phrases of several groups, and says them in another way."""

    def __init__(self, *groups: Groups, after: str = r"(?<![\w'-])") -> None:
        """`after`: a look-behind at what may stand before a phrase."""
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
        self._phrase = re.compile(rf"{after}(?:{'|'.join(parts)})")

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
_LABELS_BOOK = Phrasebook(LABELS, after=r"(?<=\*\*|- )")


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
        self._said: set[str] = set()

    def of_user(self, text: str, *, opening: bool) -> str:
        """A turn of the user."""
        if not _is_prose(text):
            return text
        text = _USERS_BOOK.reword(self._rng, text)
        if opening:
            return self._greeted(text)
        if _is_parting(text):
            return text
        text = self._opened(text, self._style.openers, self._style.talkative)
        closer = self._unsaid(self._style.closers, self._style.talkative)
        return f"{text} {closer}" if closer and _is_finished(text) else text

    def of_agent(self, text: str, *, opening: bool, before: Message | None) -> str:
        """A reply of the agent to the user; `before` is what was said or observed before it."""
        if not _is_prose(text):
            return text
        text = _LABELS_BOOK.relabel(self._labels, self._rng, _AGENTS_BOOK.reword(self._rng, text))
        if opening:
            return self._opened(text, _AGENT_HELLOS, 0.8)
        heard = before.content or "" if before else ""
        if before and before.role == "tool":
            openers: Sequence[str] = _AFTER_LOOKING
        elif _is_parting(heard):
            openers = ()
        else:
            openers = _AFTER_A_QUESTION if heard.endswith("?") else _AFTER_A_STATEMENT
        return self._opened(text, openers, _HOW_OFTEN_AGENTS_ACKNOWLEDGE)

    def farewell(self, told: Sequence[Message]) -> list[Message]:
        """A word of thanks and its answer, where the conversation does not end with them yet, and
        nothing is left to decide.
        """
        said = [message.content or "" for message in told[-2:]]
        open_end = any(word in said[-1] for word in _STILL_ASKS) or not _is_finished(said[-1])
        if open_end or told[-1].role != "assistant" or told[-1].tool_calls:
            return []
        if any(map(_is_parting, said)) or self._rng.random() >= _SMALL_TALK:
            return []
        thanks, goodbye = self._rng.choice(_THANKS), self._rng.choice(_GOODBYES)
        return [Message("user", thanks), Message("assistant", goodbye)]

    def _greeted(self, text: str) -> str:
        plain = _GREETING.sub("", text)
        if not plain:
            return text
        greeting = self._rng.choice(self._style.greetings)
        about_me = self._unsaid(self._style.about_me, 0.8)
        told = _joined(greeting, plain)
        return f"{told} {about_me}" if about_me and _is_finished(told) else told

    def _opened(self, text: str, openers: Sequence[str], how_often: float) -> str:
        if _ACKNOWLEDGED.match(text):
            return text
        return _joined(self._unsaid(openers, how_often), text)

    def _unsaid(self, remarks: Sequence[str], how_often: float) -> str:
        """One of the remarks, if there is one that was not made yet in this conversation; or
        nothing.
        """
        left = [remark for remark in remarks if remark not in self._said]
        if not left or self._rng.random() >= how_often:
            return ""
        remark = self._rng.choice(left)
        self._said.add(remark)
        return remark


def _is_prose(text: str) -> bool:
    """Whether it is said in sentences, and not a name, an id or data."""
    return len(text.split()) > 2 and text.strip()[0] not in "{[<#*-"


def _is_parting(text: str) -> bool:
    """Whether it thanks or says goodbye."""
    lowered = text.lower()
    return any(word in lowered for word in _PARTING)


def _is_finished(text: str) -> bool:
    return text.rstrip().endswith((".", "!", "?"))


def _joined(before: str, text: str) -> str:
    """`text` after a remark, with a small letter after a comma where that is surely right."""
    text = text[:1].upper() + text[1:]
    if before.endswith(", ") and text.split(maxsplit=1)[0] in _SMALL_AFTER_COMMA:
        text = text[0].lower() + text[1:]
    return before + text
