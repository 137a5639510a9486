"""Scripts of people whose phone has no service."""

from typing import Any

from scripting import Say, Script, User, call, device

from telecom_world.asking import BAR, NOTHING, Caller, agreed, asked, kind, scripted, with_phone
from telecom_world.place import AREAS, area

_LOOK = (
    "Thank you, {name}, I found your line and it is active. What stands at the top of the screen?"
)


def _look(who: Caller, answer: str) -> list[Any]:
    return asked(_LOOK.format(name=who.name.split()[0]), BAR, answer=answer)


def airplane_mode_on(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Nobody noticed that airplane mode is on."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, "There is a little plane, and it says airplane mode."),
            *asked(
                "That is it: airplane mode cuts the phone off. Please switch airplane mode off.",
                device("set_airplane_mode", on=False),
                BAR,
                answer="Done. Now it says connected, and there are bars.",
            ),
            Say("Good, your phone is back in the network. Call again if there is anything else."),
        ],
        goal="Airplane mode is off on the phone, and nothing else is changed.",
        start=with_phone(who, airplane_mode=True),
        wrong=[[call("open_ticket", line_id=who.line_id, kind="check coverage")]],
    )


def sim_missing(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The SIM card sits badly."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, "It says no SIM."),
            *asked(
                "The phone does not find the SIM card. Please take it out, put it in again "
                "properly, and look at the top of the screen.",
                device("reseat_sim"),
                BAR,
                answer="I did. It says connected now.",
            ),
            Say("Then the SIM card was only loose. Everything works again."),
        ],
        goal="The SIM card is put in again, and nothing else is changed.",
        start=with_phone(who, sim="missing"),
        wrong=[[call("open_ticket", line_id=who.line_id, kind="replace SIM card")]],
    )


def sim_locked(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The PIN is asked for, and forgotten."""
    pin = who.line["sim_pin"]
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, "It says SIM locked."),
            *asked(
                f"The SIM card asks for its PIN, which is {pin}. Please enter it.",
                device("enter_sim_pin", pin=pin),
                BAR,
                answer="It took it, and now there are bars.",
            ),
            Say("Very good. Please keep the PIN in a safe place."),
        ],
        goal=f"The SIM card is unlocked with its PIN {pin}, and nothing else is changed.",
        start=with_phone(who, sim="locked"),
        manner="You have forgotten the PIN of your SIM card and do not guess at it.",
        must_say=[[pin]],
        wrong=[[call("open_ticket", line_id=who.line_id, kind="replace SIM card")]],
    )


def sim_faulty(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The SIM card is broken; a technician must replace it."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, "It says SIM error."),
            *asked(
                "Please take the SIM card out, put it in again, and look whether it is found.",
                device("reseat_sim"),
                device("check_sim"),
                answer="I did. It says that the SIM card is faulty.",
            ),
            *agreed(
                "Then the SIM card is broken. I would open a ticket, replace SIM card, for "
                f"{who.line_id}. Shall I?"
            ),
            call("open_ticket", line_id=who.line_id, kind="replace SIM card"),
            Say("The ticket is open; a new SIM card is sent to you."),
        ],
        goal=f"A ticket to replace the SIM card of {who.line_id} is open; nothing else is changed.",
        start=with_phone(who, sim="faulty"),
        wrong=[[call("open_ticket", line_id=who.line_id, kind="check coverage")]],
    )


def stale_registration(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The network has lost the line; both sides must do something."""
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, "Only no service. No plane, nothing else."),
            call("get_area_status", name=AREAS[who.home]["name"]),
            *agreed(
                "The network around you works, but the registration of your line is stale. I would "
                f"refresh the registration of {who.line_id}; you then restart the phone. Shall I?"
            ),
            call("refresh_registration", line_id=who.line_id),
            *asked(
                "It is refreshed. Please restart the phone now.",
                device("restart_phone"),
                answer="It is up again, and it says connected.",
            ),
            Say("Then you are registered again."),
        ],
        goal=f"The registration of {who.line_id} is refreshed and the phone is restarted; nothing "
        "else is changed.",
        start=with_phone(who, {"registration": "stale"}, registered=False),
        manner=f"You are in {AREAS[who.home]['name']}. If you are asked to confirm that your line "
        "is set up anew, say yes.",
        wrong=[[call("refresh_registration", line_id=who.line_id)]],
    )


def outage(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The network is down; one can only wait."""
    place, until = AREAS[who.home]["name"], f"{14 + int(who.line_id[-1])}:30"
    start = with_phone(who) | {"areas": {who.home: {"status": "outage", "until": until}}}
    return scripted(
        name,
        use,
        who,
        problem,
        [
            *_look(who, f"It says no service. I am at home, in {place}."),
            call("get_area_status", name=place),
            Say(
                f"There is an outage in {place}; it will be over at {until}. There is nothing to "
                "change on your line or your phone: it will come back by itself."
            ),
            User("All right, then I wait."),
            Say("Thank you for your patience."),
        ],
        goal=f"They are told of the outage in {place} until {until}; nothing is changed.",
        start=start,
        manner=f"You are in {place}. {NOTHING}",
        must_say=[[until]],
        wrong=[[], [call("open_ticket", line_id=who.line_id, kind="check coverage")]],
    )


def abroad(name: str, use: Any, who: Caller, problem: str) -> Script:
    """Roaming is off on both sides."""
    country = "Portugal" if int(who.line_id[-1]) % 2 else "Croatia"
    return scripted(
        name,
        use,
        who,
        problem.format(country=country),
        [
            *_look(who, "It says no service."),
            call("get_area_status", name=country),
            *agreed(
                f"Our partner's network in {country} works, but roaming is off for {who.line_id}. "
                "I would set roaming to on; you then switch data roaming on. Shall I?"
            ),
            call("set_roaming", line_id=who.line_id, on=True),
            *asked(
                "Roaming is on. Now please switch data roaming on in the settings of the phone, "
                "and measure the speed.",
                device("set_data_roaming", on=True),
                device("run_speed_test"),
                answer="It says connected, and the speed is good.",
            ),
            Say(f"Then you can call and surf in {country}. Have a good trip."),
        ],
        goal=f"Roaming is on for {who.line_id}, and data roaming on the phone; nothing else is "
        "changed.",
        start=with_phone(who, area_id=area(country)),
        manner=f"You are in {country} and want to call and to surf there. If you are asked to "
        "confirm roaming, say yes.",
        wrong=[[call("set_roaming", line_id=who.line_id, on=True)]],
    )


def contract_ended(name: str, use: Any, who: Caller, problem: str) -> Script:
    """The line is no more; it cannot be resumed."""
    ended = f"2025-08-1{who.line_id[-1]}"
    return scripted(
        name,
        use,
        who,
        problem,
        [
            Say(
                f"Your contract ended on {ended}, and with it your line. A line that has ended "
                "cannot be resumed. I can hand you over to Contracts for a new one."
            ),
            User("No, thank you, I will think about it."),
            Say("All right, I changed nothing."),
        ],
        goal=f"They are told that the contract ended on {ended}; nothing is changed.",
        start=with_phone(who, {"status": "ended", "ends": ended}, registered=False),
        manner="You do not want to be handed over to anybody, nor a new contract today.",
        must_say=[[ended]],
        wrong=[[], [call("hand_over_to_human", department="Contracts")]],
    )


SCRIPTS: list[Script] = [
    *kind(
        airplane_mode_on,
        ["My phone has been dead since I landed this morning.", "Nobody can reach me on my phone."],
        *(1, 4, 6, 7),
    ),
    *kind(
        sim_missing,
        ["I dropped my phone and now I cannot call.", "My phone has no service any more."],
        *(2, 5, 8, 3),
    ),
    *kind(
        sim_locked,
        ["After an update my phone wants some code.", "I switched my phone on and cannot call."],
        *(3, 1, 7, 4),
    ),
    *kind(
        sim_faulty,
        [
            "My phone has had no service since it got wet.",
            "My phone does not get into the network.",
        ],
        *(4, 6, 2, 8),
    ),
    *kind(
        stale_registration,
        ["Since last night I have no service at all.", "I cannot call, although I am at home."],
        *(5, 2, 3, 1),
    ),
    *kind(
        outage,
        ["I have had no service for an hour.", "Is something wrong with my phone? It is dead."],
        *(6, 7, 1, 4),
    ),
    *kind(
        abroad,
        ["I am in {country} and my phone has no service.", "My phone is of no use in {country}."],
        *(7, 8, 5, 6),
    ),
    *kind(
        contract_ended,
        ["I have not been able to call for weeks.", "Why does my number not work any more?"],
        *(8, 3, 4, 2),
    ),
]
