"""Scripts of people whose mobile data is gone or used up."""

from typing import Any

from scripting import Say, Script, User, call, device

from telecom_world.asking import (
    SPEED,
    Caller,
    agreed,
    asked,
    kind,
    scripted,
    tried,
    with_phone,
)
from telecom_world.place import APN, PLANS

_SETTINGS = device("check_network_settings")


def mobile_data_off(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Mobile data was switched off."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "There are bars, but mobile data is off, and there is no connection."),
            *asked(
                "Please switch mobile data on, and measure again.",
                device("set_mobile_data", on=True),
                SPEED,
                answer="Now it is good.",
            ),
            Say("Then that was all."),
        ],
        goal="Mobile data is on, and nothing else is changed.",
        start=with_phone(who, mobile_data=False),
        wrong=[[call("add_data", line_id=who.line_id, gigabytes=1)]],
    )


def two_switches(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Airplane mode, and then mobile data, must be seen to."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "It says airplane mode, and there is no connection."),
            *asked(
                "Please switch airplane mode off, and measure again.",
                device("set_airplane_mode", on=False),
                SPEED,
                answer="Now I have bars, but there is still no connection.",
            ),
            *asked(
                "Then please look at the settings of the network.",
                _SETTINGS,
                answer="Mobile data is off there.",
            ),
            *asked(
                "Please switch it on, and measure once more.",
                device("set_mobile_data", on=True),
                SPEED,
                answer="Good speed!",
            ),
            Say("Both were off; now all works."),
        ],
        goal="Airplane mode is off and mobile data is on; nothing else is changed.",
        start=with_phone(who, airplane_mode=True, mobile_data=False),
        manner="You want to surf, not only to call.",
        wrong=[[call("refresh_registration", line_id=who.line_id)]],
    )


def data_used_up(name: str, use: Any, who: Caller, problem: str) -> Script:
    """More data is bought."""
    plan = PLANS[who.line["plan_id"]]
    gigabytes = 1 + int(who.line_id[-1]) % 4
    cost = f"{gigabytes * plan['extra_gb_eur']:.2f}"
    return scripted(
        name,
        use,
        who,
        f"{problem} If I have used up my data, I want {gigabytes} GB more.",
        [
            *tried(who, "I have bars, but the speed is bad."),
            call("get_data_usage", line_id=who.line_id),
            call("get_plan", plan_id=who.line["plan_id"]),
            *agreed(
                f"Your data of this month is used up. I would add {gigabytes} GB to {who.line_id} "
                f"for {cost} EUR. Shall I?"
            ),
            call("add_data", line_id=who.line_id, gigabytes=gigabytes),
            *asked("It is added. Please measure again.", SPEED, answer="It is good now."),
            Say("Then you can surf again."),
        ],
        goal=f"{gigabytes} GB are added to {who.line_id}; nothing else is changed.",
        start=with_phone(who, {"data_used_gb": plan["data_gb"] + 0.4}),
        manner=f"You want exactly {gigabytes} GB more, if that is what helps, and say yes to the "
        "price.",
        wrong=[
            [call("add_data", line_id=who.line_id, gigabytes=gigabytes + 1)],
            [call("change_plan", line_id=who.line_id, plan_id="plan_xl")],
        ],
    )


def too_much_data(name: str, use: Any, who: Caller, problem: str) -> Script:
    """More than may be added; refused."""
    return scripted(
        name,
        use,
        who,
        f"{problem} Add 25 GB.",
        [
            call("get_data_usage", line_id=who.line_id),
            Say(
                "I cannot add 25 GB: at most 10 GB can be added to a line in a month. I could add "
                "up to 10 GB, or change your plan."
            ),
            User("Then leave it. I wait for the next month."),
            Say("All right, I changed nothing."),
        ],
        goal="They are told that at most 10 GB can be added; nothing is changed.",
        start=with_phone(who, {"data_used_gb": PLANS[who.line["plan_id"]]["data_gb"] - 0.3}),
        manner="It is 25 GB or nothing: you want neither less nor another plan.",
        must_say=[["10 GB"]],
        wrong=[
            [],
            [call("add_data", line_id=who.line_id, gigabytes=10)],
            [
                call("add_data", line_id=who.line_id, gigabytes=10),
                call("add_data", line_id=who.line_id, gigabytes=10),
                call("add_data", line_id=who.line_id, gigabytes=5),
            ],
        ],
    )


def wrong_apn(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The access point is another operator's."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "Bars are there and mobile data is on, but it says no connection."),
            *asked(
                "Please look at the access point that is set.",
                device("check_apn"),
                answer="It says internet.other.",
            ),
            *asked(
                f"That is not ours, which is {APN}. Please reset the access point, restart the "
                "phone, and measure again.",
                device("reset_apn"),
                device("restart_phone"),
                SPEED,
                answer="The speed is good now.",
            ),
            Say("Then it was the access point."),
        ],
        goal=f"The access point is {APN} again, and nothing else is changed.",
        start=with_phone(who, apn={"name": "internet.other"}),
        wrong=[[call("refresh_registration", line_id=who.line_id)]],
    )


SCRIPTS: list[Script] = [
    *kind(
        mobile_data_off,
        ["I can call, but no page opens on my phone.", "The internet on my phone is gone."],
        *(2, 6, 5, 1),
    ),
    *kind(
        two_switches,
        ["Nothing works on my phone, no calls, no pages.", "I cannot surf since my flight."],
        *(3, 8, 4, 7),
    ),
    *kind(
        data_used_up,
        ["Pages open terribly slowly on my phone.", "Videos do not play on my phone any more."],
        *(4, 1, 3, 6),
    ),
    *kind(
        too_much_data,
        ["I will need a lot of data this week.", "My data is nearly gone, and I travel by train."],
        *(5, 2, 7, 8),
    ),
    *kind(
        wrong_apn,
        ["I put my SIM card into another phone, and no page opens.", "I have bars, but no data."],
        *(6, 3, 8, 4),
    ),
]
