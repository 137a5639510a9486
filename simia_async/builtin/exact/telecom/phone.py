"""The user's tools: what their phone shows, and what can be changed on it."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.telecom.reception import (
    APN,
    MMS,
    area_of,
    has_data,
    line_of,
    mbps,
    network,
    signal,
)
from simia_async.environments.tool_effects import ToolError


def check_status_bar(state: State) -> Any:
    """What stands at the top of the screen."""
    phone, shown = state["phone"], signal(state)
    return {
        "signal": shown,
        "bars": area_of(state)["bars"] if shown == "connected" else 0,
        "network": network(state),
        "mobile_data": phone["mobile_data"] and shown == "connected",
        "wifi": phone["wifi"],
        "vpn": phone["vpn"]["connected"],
        "data_saver": phone["data_saver"],
    }


def check_network_settings(state: State) -> Any:
    """The page of settings for the network."""
    names = ("airplane_mode", "mobile_data", "data_roaming", "network_mode", "data_saver")
    return {name: state["phone"][name] for name in names}


def check_sim(state: State) -> Any:
    """What the phone says of its SIM card."""
    return {"sim": state["phone"]["sim"]}


def check_apn(state: State) -> Any:
    """The access point that is set."""
    return state["phone"]["apn"]


def check_vpn(state: State) -> Any:
    """The VPN."""
    return state["phone"]["vpn"]


def check_app_permissions(state: State, app: str) -> Any:
    """What an app may do."""
    return {"app": app, "permissions": _app(state, app)}


def check_payment_requests(state: State) -> Any:
    """Bills that wait to be paid."""
    customer_id = line_of(state)["customer_id"]
    return {
        "requests": [
            {"bill_id": key, "amount_eur": bill["amount_eur"], "month": bill["month"]}
            for key, bill in state["bills"].items()
            if bill["customer_id"] == customer_id and bill["requested"] and bill["status"] != "paid"
        ]
    }


def run_speed_test(state: State) -> Any:
    """Speed of mobile data."""
    if not has_data(state):
        return {"mbps": 0, "rating": "no connection"}
    speed = mbps(state)
    return {"mbps": speed, "rating": "good" if speed >= 20 else "poor" if speed >= 2 else "bad"}


def send_test_picture(state: State) -> Any:
    """Whether a picture message goes out."""
    allowed = _app(state, "messages")
    reason = ""
    if not has_data(state):
        reason = "no mobile data"
    elif state["phone"]["apn"]["mms"] != MMS:
        reason = "no address for picture messages"
    elif not (allowed["storage"] and allowed["sms"]):
        reason = "the app may not do this"
    return {"sent": not reason, "reason": reason}


def set_airplane_mode(state: State, on: bool) -> Any:
    """Airplane mode."""
    return _switched(state, "airplane_mode", on)


def set_mobile_data(state: State, on: bool) -> Any:
    """Mobile data."""
    return _switched(state, "mobile_data", on)


def set_data_roaming(state: State, on: bool) -> Any:
    """Data abroad."""
    return _switched(state, "data_roaming", on)


def set_data_saver(state: State, on: bool) -> Any:
    """The data saver."""
    return _switched(state, "data_saver", on)


def set_wifi(state: State, on: bool) -> Any:
    """WiFi."""
    return _switched(state, "wifi", on)


def set_network_mode(state: State, mode: str) -> Any:
    """The fastest network that it may use."""
    if state["phone"]["network_mode"] == mode:
        raise ToolError(f"network mode: is {mode} already")
    state["phone"]["network_mode"] = mode
    return {"network_mode": mode}


def disconnect_vpn(state: State) -> Any:
    """No VPN any more."""
    vpn = state["phone"]["vpn"]
    if not vpn["connected"]:
        raise ToolError("VPN: is not connected")
    vpn["connected"] = False
    return {"connected": False}


def reseat_sim(state: State) -> Any:
    """The SIM card out and in again."""
    phone = state["phone"]
    if phone["sim"] == "missing":
        phone["sim"] = "ready"
    return {"sim": phone["sim"]}


def enter_sim_pin(state: State, pin: str) -> Any:
    """The PIN that unlocks the SIM card."""
    phone = state["phone"]
    if phone["sim"] != "locked":
        raise ToolError(f"SIM: asks for no PIN, it is {phone['sim']}")
    if pin != line_of(state)["sim_pin"]:
        raise ToolError("SIM: the PIN is wrong")
    phone["sim"] = "ready"
    return {"sim": "ready"}


def reset_apn(state: State) -> Any:
    """The access point as the operator wants it, after a restart."""
    state["phone"]["apn"]["reset_at_restart"] = True
    return {"note": "the access point is set anew when the phone is restarted"}


def restart_phone(state: State) -> Any:
    """Off and on again."""
    phone, line = state["phone"], line_of(state)
    if phone["apn"]["reset_at_restart"]:
        phone["apn"] = {"name": APN, "mms": MMS, "reset_at_restart": False}
    phone["registered"] = line["status"] == "active" and line["registration"] == "ok"
    return check_status_bar(state)


def grant_app_permission(state: State, app: str, permission: str) -> Any:
    """Something that an app may do from now on."""
    permissions = _app(state, app)
    if permission not in permissions:
        raise ToolError(f"{app}: asks for no permission {permission}")
    if permissions[permission]:
        raise ToolError(f"{app}: has the permission {permission} already")
    permissions[permission] = True
    return {"app": app, "permissions": permissions}


def pay_bill(state: State, bill_id: str) -> Any:
    """A bill that was asked for."""
    bill = state["bills"].get(bill_id)
    mine = bill is not None and bill["customer_id"] == line_of(state)["customer_id"]
    if bill is None or not mine or not bill["requested"] or bill["status"] == "paid":
        raise ToolError(f"{bill_id}: no such payment is asked for")
    bill["status"] = "paid"
    return {"bill_id": bill_id, "status": "paid", "amount_eur": bill["amount_eur"]}


def _app(state: State, app: str) -> dict[str, bool]:
    apps: dict[str, dict[str, bool]] = state["phone"]["apps"]
    if app not in apps:
        raise ToolError(f"{app}: no such app; there are {', '.join(apps)}")
    return apps[app]


def _switched(state: State, name: str, on: bool) -> Any:
    if state["phone"][name] == on:
        raise ToolError(f"{name}: is {'on' if on else 'off'} already")
    state["phone"][name] = on
    return {name: on}
