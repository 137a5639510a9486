"""The operator as every conversation finds it: customers, lines, plans, bills, the network, and the
phone of whoever calls.
"""

from typing import Any

from simia_async.builtin.exact.telecom.reception import APN, MMS

TODAY = "2025-09-10"

_CUSTOMERS = [
    # Name, date of birth, plan, gigabytes used, PIN, where they live
    ("Ida Solberg", "1988-03-14", "plan_m", 6.2, "2580", "Harbour"),
    ("Marco Ferri", "1975-11-02", "plan_l", 21.5, "7413", "Old Town"),
    ("Amina Yusuf", "1996-07-21", "plan_s", 1.4, "9021", "Westfield"),
    ("Jan Novak", "1969-01-30", "plan_m", 3.8, "6644", "Old Town"),
    ("Lucie Martin", "2001-05-09", "plan_xl", 44.0, "1207", "Harbour"),
    ("Henrik Dahl", "1982-12-17", "plan_l", 9.9, "3350", "Westfield"),
    ("Rosa Alvarez", "1991-09-25", "plan_s", 2.2, "8178", "Harbour"),
    ("Piotr Zielinski", "1978-04-06", "plan_xl", 12.6, "5096", "Westfield"),
]

PLANS: dict[str, Any] = {
    "plan_s": {
        "name": "Lumo S",
        "monthly_eur": 9.0,
        "data_gb": 3.0,
        "network": "4g",
        "extra_gb_eur": 2.5,
    },
    "plan_m": {
        "name": "Lumo M",
        "monthly_eur": 16.0,
        "data_gb": 10.0,
        "network": "5g",
        "extra_gb_eur": 2.0,
    },
    "plan_l": {
        "name": "Lumo L",
        "monthly_eur": 25.0,
        "data_gb": 25.0,
        "network": "5g",
        "extra_gb_eur": 1.5,
    },
    "plan_xl": {
        "name": "Lumo XL",
        "monthly_eur": 38.0,
        "data_gb": 60.0,
        "network": "5g",
        "extra_gb_eur": 1.0,
    },
}

AREAS: dict[str, Any] = {
    f"area_{number}": {
        "name": name,
        "abroad": abroad,
        "status": "normal",
        "until": "",
        "network": network,
        "bars": bars,
    }
    for number, (name, abroad, network, bars) in enumerate(
        [
            ("Harbour", False, "5g", 4),
            ("Old Town", False, "5g", 5),
            ("Westfield", False, "5g", 3),
            ("Portugal", True, "5g", 4),
            ("Croatia", True, "4g", 3),
        ],
        1,
    )
}


def area(name: str) -> str:
    """Id of an area."""
    return next(key for key, it in AREAS.items() if it["name"] == name)


def _line(number: int, plan: str, used: float, pin: str) -> dict[str, Any]:
    return {
        "customer_id": f"cus_{100 + number}",
        "phone_number": f"555-01{40 + 7 * number}",
        "plan_id": plan,
        "plan_since": "2024-10-01",
        "status": "active",
        "suspended_for": "",
        "ends": "",
        "roaming": False,
        "registration": "ok",
        "data_used_gb": used,
        "data_added_gb": 0,
        "sim_pin": pin,
    }


CUSTOMERS: dict[str, Any] = {}
LINES: dict[str, Any] = {}
BILLS: dict[str, Any] = {}
HOMES: dict[str, str] = {}
"""Where whom each line belongs to lives, by line."""
for _number, (_name, _born, _plan, _used, _pin, _home) in enumerate(_CUSTOMERS, 1):
    CUSTOMERS[f"cus_{100 + _number}"] = {
        "name": _name,
        "birth_date": _born,
        "lines": [f"line_{200 + _number}"],
    }
    LINES[f"line_{200 + _number}"] = _line(_number, _plan, _used, _pin)
    HOMES[f"line_{200 + _number}"] = area(_home)
    BILLS[f"bill_08{_number}"] = {
        "customer_id": f"cus_{100 + _number}",
        "month": "2025-08",
        "amount_eur": PLANS[_plan]["monthly_eur"],
        "due": "2025-09-20",
        "status": "open",
        "requested": False,
    }

STATE: dict[str, Any] = {
    "today": {"date": TODAY},
    "customers": CUSTOMERS,
    "lines": LINES,
    "plans": PLANS,
    "bills": BILLS,
    "areas": AREAS,
    "tickets": {},
    "handover": {"department": ""},
    "phone": {
        "line_id": "line_201",
        "area_id": area("Harbour"),
        "sim": "ready",
        "registered": True,
        "airplane_mode": False,
        "mobile_data": True,
        "data_roaming": False,
        "network_mode": "5g",
        "data_saver": False,
        "wifi": False,
        "vpn": {"connected": False, "name": "SafeTunnel"},
        "apn": {"name": APN, "mms": MMS, "reset_at_restart": False},
        "apps": {
            "messages": {"sms": True, "storage": True, "contacts": True},
            "maps": {"location": True, "storage": True},
            "camera": {"camera": True, "location": False, "storage": True},
        },
    },
}
