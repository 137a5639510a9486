"""Scripts about lines that are suspended, or are to be."""

from typing import Any

from scripting import Say, Script, User, call, device

from telecom_world.asking import (
    Caller,
    agreed,
    amount,
    asked,
    bills,
    kind,
    overdue,
    scripted,
    with_phone,
)


def _suspended(who: Caller, reason: str) -> dict[str, Any]:
    line = {"status": "suspended", "suspended_for": reason}
    return with_phone(who, line, registered=False)


def _july(who: Caller) -> str:
    return f"bill_07{who.line_id[-1]}"


def overdue_and_paid(name: str, use: Any, who: Caller, problem: str) -> Script:
    """A line that is suspended for a bill: paid on the phone, resumed, restarted."""
    bill = _july(who)
    return scripted(
        name,
        use,
        who,
        problem,
        [
            bills(who),
            *agreed(
                f"Your line is suspended because {bill} of {amount(who)} is overdue. I would ask "
                f"for its payment on your phone, and resume {who.line_id} once it is paid. Shall I?"
            ),
            call("request_payment", bill_id=bill),
            *asked(
                "Please look at your payment requests, and pay that bill.",
                device("check_payment_requests"),
                device("pay_bill", bill_id=bill),
                answer="It is paid.",
            ),
            call("get_bill", bill_id=bill),
            call("resume_line", line_id=who.line_id),
            *asked(
                "Thank you. Your line is active again. Please restart the phone.",
                device("restart_phone"),
                answer="It says connected.",
            ),
            Say("Then all is well again."),
        ],
        goal=f"{bill} is paid, {who.line_id} is active and the phone restarted; nothing else is "
        "changed.",
        start=_suspended(who, "overdue bill") | {"bills": overdue(who)},
        manner="If you are asked to pay the bill that is overdue, you agree and pay it, and that "
        "one only.",
        wrong=[[call("resume_line", line_id=who.line_id)]],
    )


def overdue_and_unwilling(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The bill is not paid today, so the line stays suspended."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            bills(who),
            Say(
                f"Your line is suspended because {_july(who)} of {amount(who)} is overdue. I can "
                "resume it as soon as that is paid. Shall I ask for the payment on your phone?"
            ),
            User("I cannot pay before the end of the month. Just switch it on again."),
            Say("I am sorry: a suspended line is resumed only once the overdue bill is paid."),
            User("All right, then I call again when I can pay."),
            Say("Thank you. I changed nothing."),
        ],
        goal=f"They are told that {amount(who)} must be paid first; nothing is changed.",
        start=_suspended(who, "overdue bill") | {"bills": overdue(who)},
        manner="You cannot pay anything now, and want no payment request. You ask once more that "
        "the line be switched on; refused again, you give up.",
        must_say=[[f"{who.owed:.2f}"]],
        wrong=[
            [],
            [call("resume_line", line_id=who.line_id)],
            [call("request_payment", bill_id=_july(who))],
        ],
    )


def lost_phone(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The line is suspended at once."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *agreed(f"I would suspend {who.line_id} as lost, so that nobody can use it. Shall I?"),
            call("suspend_line", line_id=who.line_id, reason="lost phone"),
            Say("It is suspended. Call us when you have found the phone."),
        ],
        goal=f"{who.line_id} is suspended because the phone is lost; nothing else is changed.",
        start=with_phone(who),
        manner="You call from a friend's phone: your own is not at hand, and you can look at "
        "nothing on it. If you are asked to confirm that your line is suspended, say yes.",
        wrong=[[call("suspend_line", line_id=who.line_id, reason="customer's wish")]],
        by_name=True,
    )


def found_phone(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The line is resumed, and the phone restarted."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            bills(who),
            *agreed(
                f"{who.line_id} is suspended because the phone was lost, and no bill is overdue. I "
                "would resume it. Shall I?"
            ),
            call("resume_line", line_id=who.line_id),
            *asked(
                "It is active. Please restart the phone now.",
                device("restart_phone"),
                answer="There are bars again.",
            ),
            Say("Good to hear that it turned up."),
        ],
        goal=f"{who.line_id} is active and the phone restarted; nothing else is changed.",
        start=_suspended(who, "lost phone"),
        manner="You have the phone in your hand again. If you are asked to confirm that the line "
        "is resumed, say yes.",
        wrong=[[call("resume_line", line_id=who.line_id)]],
    )


SCRIPTS: list[Script] = [
    *kind(
        overdue_and_paid,
        ["My phone shows no service. Did you cut me off?", "I can neither call nor surf."],
        *(1, 3, 6, 5),
    ),
    *kind(
        overdue_and_unwilling,
        ["Why is my line switched off?", "My line does not work, please switch it on."],
        *(2, 7, 8, 4),
    ),
    *kind(
        lost_phone,
        ["I left my phone on the train!", "My phone is gone, somebody may be using it."],
        *(3, 5, 2, 8),
    ),
    *kind(
        found_phone,
        ["I have found my phone again, please switch the line on.", "My lost phone is back."],
        *(4, 2, 1, 7),
    ),
]
