"""Post-processing: small named rules, each of which passes, repairs or rejects a conversation."""

from collections.abc import Sequence

from simia_async.environments import Environment
from simia_async.messages import Message
from simia_async.synthesis.rules.arguments import arguments_are_json
from simia_async.synthesis.rules.fingerprint import fingerprint
from simia_async.synthesis.rules.ids import ids_were_seen
from simia_async.synthesis.rules.leaks import no_leaked_prompt
from simia_async.synthesis.rules.observations import observations_agree
from simia_async.synthesis.rules.pairing import calls_are_answered
from simia_async.synthesis.rules.placeholders import no_placeholders
from simia_async.synthesis.rules.schemas import arguments_fit_schema
from simia_async.synthesis.rules.shape import (
    no_empty_turns,
    not_too_long,
    proper_end,
    role_order,
    storable_text,
    without_preface,
)
from simia_async.synthesis.rules.think import think_tags
from simia_async.synthesis.rules.tools import known_tools
from simia_async.synthesis.rules.verdict import (
    Case,
    Mended,
    Reject,
    Repair,
    Rule,
    RuleSettings,
    Verdict,
)

RULES: tuple[Rule, ...] = (
    not_too_long,
    storable_text,
    known_tools,
    proper_end,
    no_leaked_prompt,
    think_tags,
    no_empty_turns,
    calls_are_answered,
    role_order,
    arguments_are_json,
    no_placeholders,
    arguments_fit_schema,
    ids_were_seen,
    observations_agree,
)
"""In the order they are applied; each sees what the ones before left, and may rely on it.

Length comes first, so that all that follows ends soon. Tools are known by their names before the
end, which may be that of an ending tool, is looked at; and the end is cut before anything is held
against a last word that nobody answered. Thoughts go before turns are called empty. What is empty
or unpaired is named as such before the order of roles, which it breaks as well. Arguments are read
only once calls pair up: first as JSON, then placeholders, then types, and last what needs sound
arguments throughout: ids and repeated look-ups.
"""

_MOST_ROUNDS = 5
_LONGEST_REASON = 500
_DEFAULTS = RuleSettings()

__all__ = [
    "RULES",
    "Case",
    "Mended",
    "Reject",
    "Repair",
    "Rule",
    "RuleSettings",
    "Verdict",
    "apply_rules",
    "fingerprint",
]


def apply_rules(
    messages: Sequence[Message], environment: Environment, settings: RuleSettings = _DEFAULTS
) -> Verdict:
    """Run every rule until one rejects; never raises, whatever the messages hold.

    What was repaired goes through all rules again, until nothing is left to repair: what is kept
    is sound to every rule as it stands.
    """
    case = Case(without_preface(messages), environment, settings)
    repairs: list[Repair] = []
    for _ in range(_MOST_ROUNDS):
        before = case
        for rule in RULES:
            try:
                mended = rule(case)
            except Reject as reject:
                return Verdict(case.messages, repairs, rule.__name__, _told(str(reject)))
            except RecursionError:
                return Verdict(case.messages, repairs, rule.__name__, "nested too deeply")
            if mended:
                case = case.with_messages(mended.messages)
                repairs += [Repair(rule.__name__, _told(reason)) for reason in mended.reasons]
        if case is before:
            return Verdict(case.messages, repairs)
    return Verdict(case.messages, repairs, repairs[-1].rule, "its repairs do not come to rest")


def _told(reason: str) -> str:
    """A reason that can be stored and shown, whatever it quotes."""
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}…"
    return reason.encode(errors="backslashreplace").decode().replace("\0", "\\0")
