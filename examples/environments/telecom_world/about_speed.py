"""Scripts of people whose mobile data is slow, or whose pictures do not go out."""

from typing import Any

from scripting import Say, Script, User, call, device

from telecom_world.asking import (
    NOTHING,
    SPEED,
    Caller,
    asked,
    kind,
    scripted,
    tried,
    with_phone,
)
from telecom_world.place import MMS, PLANS

_SETTINGS = device("check_network_settings")


def slow_network_mode(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The phone keeps to an old network."""
    fast = PLANS[who.line["plan_id"]]["network"]
    slow = "2g" if int(who.line_id[-1]) % 2 else "3g"
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, f"It says {slow} up there, and the speed is not good."),
            *asked(
                "Please look at the network mode in the settings.",
                _SETTINGS,
                answer=f"It is {slow}.",
            ),
            *asked(
                f"Your plan has {fast}. Please set the network mode to {fast}, and measure again.",
                device("set_network_mode", mode=fast),
                SPEED,
                answer="That is much better, it says good.",
            ),
            Say(f"Your phone uses {fast} now."),
        ],
        goal=f"The network mode is {fast}, the fastest of the plan; nothing else is changed.",
        start=with_phone(who, network_mode=slow),
        wrong=[[call("change_plan", line_id=who.line_id, plan_id="plan_xl")]],
    )


def slow_vpn(name: str, use: Any, who: Caller, problem: str) -> Script:
    """A VPN slows everything down."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "There is a sign for VPN, and the speed is not good."),
            *asked(
                "A VPN can be that slow. Please disconnect it, and measure again.",
                device("disconnect_vpn"),
                SPEED,
                answer="Now it is good.",
            ),
            Say("Then leave the VPN off when you need the speed."),
        ],
        goal="The VPN is disconnected, and nothing else is changed.",
        start=with_phone(who, vpn={"connected": True}),
        manner="You do not need the VPN.",
        wrong=[[call("add_data", line_id=who.line_id, gigabytes=1)]],
    )


def saver_and_vpn(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Two things make it slow."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "The data saver is on and the VPN too; the speed is bad."),
            *asked(
                "Please switch the data saver off, and measure again.",
                device("set_data_saver", on=False),
                SPEED,
                answer="A little better, but still not good.",
            ),
            *asked(
                "Then please disconnect the VPN as well, and measure once more.",
                device("disconnect_vpn"),
                SPEED,
                answer="Now it is good.",
            ),
            Say("It was both of them."),
        ],
        goal="The data saver is off and the VPN disconnected; nothing else is changed.",
        start=with_phone(who, data_saver=True, vpn={"connected": True}),
        manner="You need neither the data saver nor the VPN, and are content only with a good "
        "speed.",
        wrong=[[call("add_data", line_id=who.line_id, gigabytes=1)]],
    )


def picture_permission(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The app for messages may not do what it must."""
    lacking = "storage" if int(who.line_id[-1]) % 2 else "sms"
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *asked(
                "I found your line, it is active. Please try to send a picture.",
                device("send_test_picture"),
                answer="It did not go out: the app may not do this.",
            ),
            *asked(
                "Please look at what the app for messages may do.",
                device("check_app_permissions", app="messages"),
                answer=f"It may not use {lacking}.",
            ),
            *asked(
                f"Please allow it {lacking}, and try again.",
                device("grant_app_permission", app="messages", permission=lacking),
                device("send_test_picture"),
                answer="The picture is out!",
            ),
            Say("Then that was the reason."),
        ],
        goal=f"The app for messages has the permission {lacking}; nothing else is changed.",
        start=with_phone(who, apps={"messages": {lacking: False}}),
        wrong=[[call("refresh_registration", line_id=who.line_id)]],
    )


def picture_address(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The access point has no address for pictures."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *asked(
                "I found your line, it is active. Please try to send a picture.",
                device("send_test_picture"),
                answer="It says that there is no address for picture messages.",
            ),
            *asked(
                "Please reset the access point, restart the phone, and try again.",
                device("reset_apn"),
                device("restart_phone"),
                device("send_test_picture"),
                answer="Now it was sent.",
            ),
            Say("The access point was not complete; now it is."),
        ],
        goal=f"The access point has the address {MMS} again; nothing else is changed.",
        start=with_phone(who, apn={"mms": ""}),
        wrong=[[call("open_ticket", line_id=who.line_id, kind="check coverage")]],
    )


def no_5g_in_plan(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The plan has 4g at most, and stays."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *tried(who, "It says 4g, and the speed is good."),
            call("get_plan", plan_id="plan_s"),
            call("list_plans"),
            Say(
                "Your plan Lumo S has 4G at most, so your phone is all right. 5G comes with Lumo M "
                "from 16.00 EUR a month. Would you like to change?"
            ),
            User("No, then I keep what I have."),
            Say("All right, I changed nothing."),
        ],
        goal="They are told that Lumo S has only 4G and which plans have 5G; nothing is changed.",
        start=with_phone(who, {"plan_id": "plan_s", "data_used_gb": 1.1}),
        manner=f"You want to know why. You want to pay no more than now. {NOTHING}",
        must_say=[["Lumo S", "4G"], ["Lumo M"]],
        wrong=[[], [call("change_plan", line_id=who.line_id, plan_id="plan_m")]],
    )


SCRIPTS: list[Script] = [
    *kind(
        slow_network_mode,
        ["My phone is as slow as twenty years ago.", "Even mails take minutes on my phone."],
        *(7, 4, 2, 5),
    ),
    *kind(
        slow_vpn,
        ["My mobile data has been so slow lately.", "Why is my connection slow everywhere?"],
        *(8, 5, 6, 2),
    ),
    *kind(
        saver_and_vpn,
        ["Pictures load for ages on my phone.", "My phone is slow, at home and at work."],
        *(1, 7, 4, 3),
    ),
    *kind(
        picture_permission,
        ["I cannot send pictures in messages.", "My photos do not go out, texts do."],
        *(2, 1, 5, 6),
    ),
    *kind(
        picture_address,
        ["Picture messages fail on my phone.", "Sending a picture gives me an error."],
        *(3, 6, 1, 8),
    ),
    *kind(
        no_5g_in_plan,
        ["My phone can do 5G, but it never shows it.", "Why do I not get 5G? Is it broken?"],
        *(4, 7, 2, 3),
    ),
]
