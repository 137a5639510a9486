"""The user's tools of `telecom`: their phone."""

from declaring import Argument, Declared, derives, flag, may_write, reads, text, writes

ON = Argument(flag("True for on, false for off.").schema)
APP = text("The app.", "messages", "maps", "camera")
RECEPTION = ("/phone", "/lines")
"""What service and speed follow from, of what can change."""

_LOOKS = [
    derives(
        "check_status_bar",
        "Look at the top of the screen: service, bars, network, mobile data, WiFi, VPN, data "
        "saver.",
        *RECEPTION,
    ),
    derives(
        "check_network_settings",
        "Look at the settings of the network: airplane mode, mobile data, data roaming, network "
        "mode, data saver.",
        "/phone",
    ),
    derives(
        "check_sim", "Look whether the SIM card is ready, missing, locked or faulty.", "/phone/sim"
    ),
    reads("check_apn", "Look at the access point (APN) that is set.", "/phone/apn"),
    reads("check_vpn", "Look whether the VPN is connected.", "/phone/vpn"),
    derives("check_app_permissions", "Look at what an app may do.", "/phone/apps/{app}", app=APP),
    derives("check_payment_requests", "Look at the bills that you are asked to pay.", "/bills"),
    derives("run_speed_test", "Measure the speed of mobile data.", *RECEPTION),
    derives("send_test_picture", "Try whether a picture message goes out.", *RECEPTION),
]


def _switch(name: str, what: str) -> Declared:
    return writes(f"set_{name}", f"Switch {what} on or off.", f"/phone/{name}", on=ON)


_CHANGES = [
    _switch("airplane_mode", "airplane mode"),
    _switch("mobile_data", "mobile data"),
    _switch("data_roaming", "data roaming (mobile data abroad)"),
    _switch("data_saver", "the data saver"),
    _switch("wifi", "WiFi"),
    writes(
        "set_network_mode",
        "Choose the fastest network that the phone may use.",
        "/phone/network_mode",
        mode=text("The network.", "2g", "3g", "4g", "5g"),
    ),
    writes("disconnect_vpn", "Disconnect the VPN.", "/phone/vpn/connected"),
    may_write("reseat_sim", "Take the SIM card out and put it in again, properly."),
    writes(
        "enter_sim_pin", "Unlock the SIM card with its PIN.", "/phone/sim", pin=text("Four digits.")
    ),
    may_write("reset_apn", "Have the access point (APN) set anew at the next restart."),
    may_write("restart_phone", "Restart the phone, and look at the top of the screen."),
    writes(
        "grant_app_permission",
        "Allow an app something.",
        "/phone/apps",
        app=APP,
        permission=text("What it is to be allowed, for example storage."),
    ),
    writes(
        "pay_bill",
        "Pay a bill that you were asked to pay.",
        "/bills/{bill_id}/status",
        bill_id=text("Id of the bill, for example bill_081."),
    ),
]

USER_TOOLS: list[Declared] = [*_LOOKS, *_CHANGES]
