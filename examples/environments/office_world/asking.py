"""What all scripts of the office share."""

from collections.abc import Sequence
from typing import Any

from scripting import Call, Say, Script, State, Step, User, call, numbered

ANA = "ana.ribeiro@lumen.example"
ME = call("get_me")


def at(name: str) -> str:
    """A colleague's address."""
    return f"{name}@lumen.example"


def told(wish: str, manner: str = "If asked to confirm exactly that, say yes.") -> str:
    """What the simulated user is told."""
    return f"You are Ana Ribeiro, a project lead. {wish} {manner}".strip()


def agreed(proposal: str, answer: str = "Yes, please.") -> list[Step]:
    """The agent says what it would do, and Ana wants it."""
    return [Say(proposal), User(answer)]


def done_after_yes(
    name: str,
    use: Any,
    *,
    opening: str,
    looks: Sequence[Call],
    proposal: str,
    does: Sequence[Call],
    report: str,
    wrong: Sequence[Sequence[Call]],
    wish: str = "",
    goal: str = "",
    yes: str = "Yes, please.",
    free_text: bool = False,
    required: Sequence[Call] = (),
    must_say: Sequence[Sequence[str]] = (),
    start: State | None = None,
) -> Script:
    """Looks, a proposal, a yes, and what was agreed to."""
    return Script(
        id=name,
        use=use,
        start=start or {},
        instructions=told(wish or opening),
        goal=goal or report,
        free_text=free_text,
        required=required,
        must_say=must_say,
        steps=[User(opening), *looks, *agreed(proposal, yes), *does, Say(report)],
        wrong=wrong,
    )


def done_at_once(
    name: str,
    use: Any,
    *,
    opening: str,
    looks: Sequence[Call],
    does: Sequence[Call],
    report: str,
    wrong: Sequence[Sequence[Call]],
) -> Script:
    """What needs no confirmation."""
    return Script(
        id=name,
        use=use,
        instructions=told(opening),
        goal=report,
        steps=[User(opening), *looks, *does, Say(report)],
        wrong=wrong,
    )


def refused(
    name: str,
    use: Any,
    *,
    opening: str,
    looks: Sequence[Call],
    reason: str,
    words: Sequence[str],
    wrong: Sequence[Call],
    answer: str = "All right, leave it then.",
    start: State | None = None,
) -> Script:
    """What the rules forbid; nothing is changed."""
    return Script(
        id=name,
        use=use,
        start=start or {},
        instructions=told(
            opening, "If it is refused you accept that, and you want nothing else instead."
        ),
        goal=f"Nothing is changed or sent. {reason}",
        must_say=[words],
        steps=[
            User(opening),
            *looks,
            Say(f"{reason} I changed nothing."),
            User(answer),
            Say("All right, I left everything as it is."),
        ],
        wrong=[wrong, []],
    )


def answered(
    name: str, use: Any, *, opening: str, looks: Sequence[Call], answer: str, words: Sequence[str]
) -> Script:
    """A question that looking answers."""
    return Script(
        id=name,
        use=use,
        instructions=told(opening, "You want nothing changed or sent."),
        goal=f"Nothing is changed or sent, and Ana is told: {answer}",
        must_say=[words],
        steps=[User(opening), *looks, Say(answer)],
        wrong=[[], [call("create_document", title="Answer", folder="Atlas", body=answer)]],
    )


def kind(name: str, make: Any, *variants: dict[str, Any]) -> list[Script]:
    """Scripts of one kind, under a name of their own."""

    def named(identity: str, use: Any, **variant: Any) -> Script:
        script: Script = make(identity, use, **variant)
        return script

    named.__name__ = name
    return numbered(named, *variants)
