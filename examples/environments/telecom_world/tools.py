"""The agent's tools of `telecom`."""

from declaring import Argument, Declared, derives, flag, reads, text, writes

CUSTOMER = text("Id of a customer, for example cus_101.")
LINE = text("Id of a line, for example line_201.")
BILL = text("Id of a bill, for example bill_081.")
PLAN = text("Id of a plan, for example plan_m.")
ON = Argument(flag("True for on, false for off.").schema)

_LOOKS = [
    reads(
        "find_customer_by_phone",
        "Find the customer and the line that a phone number belongs to.",
        phone_number=text("The number, as 555-0147."),
    ),
    reads(
        "find_customer_by_name",
        "Find a customer by full name and date of birth, and which lines are theirs.",
        name=text("First and last name."),
        birth_date=text("Date of birth, as YYYY-MM-DD."),
    ),
    reads(
        "get_customer",
        "Tell all about a customer: name, date of birth, lines.",
        "/customers/{customer_id}",
        customer_id=CUSTOMER,
    ),
    reads(
        "get_line",
        "Tell all about a line: number, plan, status and why it is suspended, roaming, "
        "registration in the network, data of this month, PIN of its SIM card.",
        "/lines/{line_id}",
        line_id=LINE,
    ),
    derives(
        "get_data_usage",
        "Tell how much data of this month is included, added, used and left.",
        "/lines/{line_id}",
        line_id=LINE,
    ),
    reads("list_plans", "List all plans with price, data, network and price of more data."),
    reads("get_plan", "Tell all about a plan.", "/plans/{plan_id}", plan_id=PLAN),
    derives(
        "list_bills",
        "List the bills of a customer, the newest first.",
        "/bills",
        customer_id=CUSTOMER,
    ),
    reads("get_bill", "Tell all about a bill.", "/bills/{bill_id}", bill_id=BILL),
    reads(
        "get_area_status",
        "Tell whether the network works in a place, until when it does not, and how fast it is.",
        name=text("Name of the place, for example Harbour; abroad, the country."),
    ),
]

_CHANGES = [
    writes(
        "suspend_line",
        "Suspend an active line, so that nobody can use it.",
        "/lines/{line_id}/status",
        "/lines/{line_id}/suspended_for",
        "/phone/registered",
        line_id=LINE,
        reason=text("Why.", "lost phone", "customer's wish"),
    ),
    writes(
        "resume_line",
        "Make a suspended line active again. Its phone must be restarted afterwards.",
        "/lines/{line_id}/status",
        "/lines/{line_id}/suspended_for",
        line_id=LINE,
    ),
    writes(
        "set_roaming",
        "Allow a line to be used abroad, or not.",
        "/lines/{line_id}/roaming",
        line_id=LINE,
        on=ON,
    ),
    writes(
        "change_plan",
        "Give a line another plan, from now on.",
        "/lines/{line_id}/plan_id",
        "/lines/{line_id}/plan_since",
        line_id=LINE,
        plan_id=PLAN,
    ),
    writes(
        "add_data",
        "Add data to a line for this month, at the price of its plan.",
        "/lines/{line_id}/data_added_gb",
        line_id=LINE,
        gigabytes=Argument(
            {"type": "integer", "minimum": 1, "maximum": 10, "description": "How many gigabytes."}
        ),
    ),
    writes(
        "request_payment",
        "Ask for an unpaid bill to be paid: the request appears on the customer's phone.",
        "/bills/{bill_id}/requested",
        bill_id=BILL,
    ),
    writes(
        "refresh_registration",
        "Set up a line anew in the network, if its registration is stale. Its phone must be "
        "restarted afterwards.",
        "/lines/{line_id}/registration",
        line_id=LINE,
    ),
    writes(
        "open_ticket",
        "Open a ticket for a technician.",
        "/tickets",
        line_id=LINE,
        kind=text("What it is about.", "replace SIM card", "check coverage"),
    ),
    writes(
        "hand_over_to_human",
        "Hand the conversation over to people of a department.",
        "/handover/department",
        department=text("The department.", "Billing", "Contracts", "Fraud"),
    ),
]

TOOLS: list[Declared] = [*_LOOKS, *_CHANGES]
