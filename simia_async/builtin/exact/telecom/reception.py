"""What a phone has of the network: it follows from its settings, its line, and where it is."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.telecom.finding import gigabytes_left

NETWORKS = ("2g", "3g", "4g", "5g")
_MBPS = {"2g": 0.1, "3g": 4.0, "4g": 40.0, "5g": 160.0}
_THROTTLED_MBPS = 0.05
"""With all data of the month used."""
_SAVED_MBPS = 1.0
"""At most, with the data saver on."""

APN = "lumo.internet"
MMS = "http://mms.lumo.example"


def line_of(state: State) -> dict[str, Any]:
    """The line that the phone's SIM card belongs to."""
    line: dict[str, Any] = state["lines"][state["phone"]["line_id"]]
    return line


def area_of(state: State) -> dict[str, Any]:
    """Where the phone is."""
    area: dict[str, Any] = state["areas"][state["phone"]["area_id"]]
    return area


def signal(state: State) -> str:
    """What stands where the bars would: `connected`, or why there is no service."""
    phone, line, area = state["phone"], line_of(state), area_of(state)
    if phone["airplane_mode"]:
        return "airplane mode"
    if phone["sim"] != "ready":
        return {"missing": "no SIM", "locked": "SIM locked", "faulty": "SIM error"}[phone["sim"]]
    is_served = line["status"] == "active" and phone["registered"] and area["status"] != "outage"
    return "connected" if is_served and (line["roaming"] or not area["abroad"]) else "no service"


def network(state: State) -> str | None:
    """The fastest network that phone, plan and place have; None without service."""
    if signal(state) != "connected":
        return None
    limits: tuple[str, ...] = (
        state["phone"]["network_mode"],
        state["plans"][line_of(state)["plan_id"]]["network"],
        area_of(state)["network"],
    )
    return min(limits, key=NETWORKS.index)


def has_data(state: State) -> bool:
    """Whether mobile data gets through at all."""
    phone = state["phone"]
    return (
        network(state) is not None
        and phone["mobile_data"]
        and phone["apn"]["name"] == APN
        and (phone["data_roaming"] or not area_of(state)["abroad"])
    )


def mbps(state: State) -> float:
    """Speed of mobile data; 0 where there is none."""
    reached = network(state)
    if reached is None or not has_data(state):
        return 0.0
    if gigabytes_left(state, line_of(state)) <= 0:
        return _THROTTLED_MBPS
    speed = _MBPS[reached]
    if state["phone"]["vpn"]["connected"]:
        speed = speed / 20
    return min(speed, _SAVED_MBPS) if state["phone"]["data_saver"] else speed
