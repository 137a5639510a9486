"""What a state of the operator must look like."""

from typing import Any

_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_FLAG = {"type": "boolean"}
_AMOUNT = {"type": "number", "minimum": 0}
_DAY = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}
_DAY_OR_NONE = {"type": "string", "pattern": r"^(\d{4}-\d\d-\d\d)?$"}
_NETWORK = {"enum": ["2g", "3g", "4g", "5g"]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _by_id(prefix: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {rf"^{prefix}_\d+$": schema},
        "additionalProperties": False,
    }


SCHEMA = _object(
    {
        "today": _object({"date": _DAY}),
        "customers": _by_id(
            "cus",
            _object(
                {"name": _NAME, "birth_date": _DAY, "lines": {"type": "array", "items": _NAME}}
            ),
        ),
        "lines": _by_id(
            "line",
            _object(
                {
                    "customer_id": _NAME,
                    "phone_number": {"type": "string", "pattern": r"^555-\d{4}$"},
                    "plan_id": _NAME,
                    "plan_since": _DAY,
                    "status": {"enum": ["active", "suspended", "ended"]},
                    "suspended_for": {
                        "enum": ["", "overdue bill", "lost phone", "customer's wish"]
                    },
                    "ends": _DAY_OR_NONE,
                    "roaming": _FLAG,
                    "registration": {"enum": ["ok", "stale"]},
                    "data_used_gb": _AMOUNT,
                    "data_added_gb": _AMOUNT,
                    "sim_pin": {"type": "string", "pattern": r"^\d{4}$"},
                }
            ),
        ),
        "plans": {
            "type": "object",
            "additionalProperties": _object(
                {
                    "name": _NAME,
                    "monthly_eur": _AMOUNT,
                    "data_gb": _AMOUNT,
                    "network": _NETWORK,
                    "extra_gb_eur": _AMOUNT,
                }
            ),
        },
        "bills": _by_id(
            "bill",
            _object(
                {
                    "customer_id": _NAME,
                    "month": {"type": "string", "pattern": r"^\d{4}-\d\d$"},
                    "amount_eur": _AMOUNT,
                    "due": _DAY,
                    "status": {"enum": ["open", "overdue", "paid"]},
                    "requested": _FLAG,
                }
            ),
        ),
        "areas": _by_id(
            "area",
            _object(
                {
                    "name": _NAME,
                    "abroad": _FLAG,
                    "status": {"enum": ["normal", "outage"]},
                    "until": _TEXT,
                    "network": _NETWORK,
                    "bars": {"type": "integer", "minimum": 0, "maximum": 5},
                }
            ),
        ),
        "tickets": _by_id(
            "tic",
            _object({"line_id": _NAME, "customer_id": _NAME, "kind": _NAME, "opened": _DAY}),
        ),
        "handover": _object({"department": _TEXT}),
        "phone": _object(
            {
                "line_id": _NAME,
                "area_id": _NAME,
                "sim": {"enum": ["ready", "missing", "locked", "faulty"]},
                "registered": _FLAG,
                "airplane_mode": _FLAG,
                "mobile_data": _FLAG,
                "data_roaming": _FLAG,
                "network_mode": _NETWORK,
                "data_saver": _FLAG,
                "wifi": _FLAG,
                "vpn": _object({"connected": _FLAG, "name": _NAME}),
                "apn": _object({"name": _NAME, "mms": _TEXT, "reset_at_restart": _FLAG}),
                "apps": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "additionalProperties": _FLAG},
                },
            }
        ),
    }
)
