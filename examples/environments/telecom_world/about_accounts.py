"""Scripts about plans and bills, and of who may ask."""

from typing import Any

from scripting import Say, Script, User, call

from telecom_world.asking import (
    NOTHING,
    Caller,
    agreed,
    amount,
    bills,
    caller,
    kind,
    scripted,
    with_phone,
)
from telecom_world.place import PLANS


def another_plan(name: str, use: Any, who: Caller, problem: str) -> Script:
    """A plan is changed."""
    wanted = "plan_l" if who.line["plan_id"] != "plan_l" else "plan_m"
    plan = PLANS[wanted]
    return scripted(
        name,
        use,
        who,
        problem.format(plan=plan["name"]),
        [
            bills(who),
            call("get_plan", plan_id=wanted),
            *agreed(
                f"{plan['name']} is {plan['monthly_eur']:.2f} EUR a month with "
                f"{plan['data_gb']:g} GB. I would change {who.line_id} to it from now on. Shall I?"
            ),
            call("change_plan", line_id=who.line_id, plan_id=wanted),
            Say(f"Done, you have {plan['name']}."),
        ],
        goal=f"{who.line_id} has {plan['name']}; nothing else is changed.",
        start=with_phone(who),
        manner=f"You want {plan['name']} and no other. If its price is told, say yes.",
        wrong=[[call("change_plan", line_id=who.line_id, plan_id="plan_xl")]],
    )


def plan_too_soon(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The plan was changed less than 30 days ago; it stays."""
    since = f"2025-08-2{who.line_id[-1]}"
    wanted = "Lumo XL" if who.line["plan_id"] != "plan_xl" else "Lumo L"
    key = next(key for key, plan in PLANS.items() if plan["name"] == wanted)
    return scripted(
        name,
        use,
        who,
        problem.format(plan=wanted),
        [
            Say(
                f"I am sorry: your plan was changed on {since}, and a plan can be changed again "
                "only after 30 days. Call again then."
            ),
            User("Pity. Then later."),
            Say("I changed nothing."),
        ],
        goal=f"They are told that the plan of {since} stays for 30 days; nothing is changed.",
        start=with_phone(who, {"plan_since": since}),
        manner=NOTHING,
        must_say=[["30 days"]],
        wrong=[[], [call("change_plan", line_id=who.line_id, plan_id=key)]],
    )


def question_of_bill(name: str, use: Any, who: Caller, problem: str) -> Script:
    """What is to be paid, and until when."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            bills(who),
            Say(f"Your bill of August is {amount(who)}; it is open, and due on 2025-09-20."),
            User("Thank you, that is all."),
            Say("You are welcome."),
        ],
        goal=f"They are told {amount(who)}, due on 2025-09-20; nothing is changed.",
        start=with_phone(who),
        manner=f"You want to know the amount and until when you must pay. {NOTHING}",
        must_say=[[f"{who.owed:.2f}", "2025-09-20"]],
        wrong=[[], [call("request_payment", bill_id=who.bill_id)]],
    )


def question_of_data(name: str, use: Any, who: Caller, problem: str) -> Script:
    """How much is left."""
    left = f"{PLANS[who.line['plan_id']]['data_gb'] - who.line['data_used_gb']:.1f}"
    return scripted(
        name,
        use,
        who,
        problem,
        [
            call("get_data_usage", line_id=who.line_id),
            Say(f"You have {left} GB left this month."),
            User("That is enough for me, thanks."),
            Say("You are welcome."),
        ],
        goal=f"They are told that {left} GB are left; nothing is changed.",
        start=with_phone(who),
        manner=NOTHING,
        must_say=[[left]],
        wrong=[[], [call("add_data", line_id=who.line_id, gigabytes=1)]],
    )


def somebody_else(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Who calls is not the customer; nothing is told or done."""
    other = caller(int(who.line_id[-1]) % 8 + 1)
    says = problem.format(name=who.name)
    return Script(
        id=name,
        use=use,
        instructions=(
            f"You are {other.name}, a relative of {who.name}, whose number is {who.number}. You "
            f"say: {says} You do not know the date of birth of {who.name}; asked for it, you tell "
            f"your own, {other.born}. Refused, you accept that."
        ),
        goal="Nothing is told or changed, because the caller is not the customer.",
        start=with_phone(who),
        steps=[
            User(f"{says} The number is {who.number}."),
            call("find_customer_by_phone", phone_number=who.number),
            Say("Please tell me your full name and date of birth."),
            User(f"I am {other.name}, born on {other.born}."),
            call("get_customer", customer_id=who.customer_id),
            Say(
                "I am sorry: I can speak about this line with the customer only. Please let them "
                "call us."
            ),
            User("All right, I will tell them."),
            Say("Thank you. I changed nothing."),
        ],
        must_say=[["customer"]],
        wrong=[
            [],
            [call("suspend_line", line_id=who.line_id, reason="lost phone")],
            [call("suspend_line", line_id=who.line_id, reason="customer's wish")],
        ],
    )


def bill_in_dispute(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Only people of Billing can take something off a bill."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            bills(who),
            *agreed(
                f"{who.bill_id} is {amount(who)}. I cannot take anything off a bill; Billing can. "
                "Shall I hand you over to them?"
            ),
            call("hand_over_to_human", department="Billing"),
        ],
        goal="The conversation is handed over to Billing, and nothing else is changed.",
        start=with_phone(who),
        manner="You want money back. If you are asked whether you want to speak to Billing, say "
        "yes.",
        wrong=[[call("hand_over_to_human", department="Contracts")]],
    )


SCRIPTS: list[Script] = [
    *kind(
        another_plan,
        ["I would like to have {plan} from now on.", "Please change my plan to {plan}."],
        *(5, 8, 6, 3),
    ),
    *kind(
        plan_too_soon,
        ["I want another plan: {plan}, please.", "Can you put me on {plan} today?"],
        *(6, 1, 5, 7),
    ),
    *kind(
        question_of_bill,
        ["What must I pay for August?", "I cannot find my last bill. How much is it?"],
        *(7, 6, 4, 1),
    ),
    *kind(
        question_of_data,
        ["How much data do I have left?", "Is there data left for this month?"],
        *(8, 4, 3, 2),
    ),
    *kind(
        somebody_else,
        ["Please suspend the line of {name}, it is lost.", "I want {name}'s line switched off."],
        *(1, 5, 7, 6),
    ),
    *kind(
        bill_in_dispute,
        ["My last bill is too high, I want 5 EUR back.", "I will not pay all of my August bill."],
        *(2, 3, 5, 8),
    ),
]
