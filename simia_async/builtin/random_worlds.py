"""Random worlds for pre-training the tiny base. In none of them is an order cancelled, refunded or
sent to another address, as in `mini-retail`.
"""

import random

from simia_async.builtin.worlds.desk import Action, Desk

_NOUNS = """
    order booking loan ticket parcel permit lesson rental claim invoice membership
    appointment repair table flight license quote plan course visit job lease badge trip
    policy reservation subscription contract deposit request
""".split()
_STATUSES = """
    pending packed shipped delivered active expired confirmed closed paid unpaid open
    draft approved rejected overdue booked missed done queued held late new verified
    printed signed
""".split()
_STATUS_VERBS = {
    "cancel": "cancelled",
    "pause": "paused",
    "renew": "renewed",
    "archive": "archived",
    "extend": "extended",
    "freeze": "frozen",
    "escalate": "escalated",
    "release": "released",
    "suspend": "suspended",
    "upgrade": "upgraded",
    "reopen": "reopened",
}
_PAYMENT_VERBS = {
    "refund": "refunded",
    "charge": "charged",
    "credit": "credited",
    "return": "returned",
    "reimburse": "reimbursed",
    "settle": "settled",
}
_ATTRIBUTES = ("address", "date", "time", "phone", "seat", "room")
_NAMED_ATTRIBUTES = ("street", "owner", "city", "label")
"""Made-up words as values, so that copying words is learnt and not only copying digits."""
_DESKS = ("customer", "help desk", "front desk", "service")


def draw_world(rng: random.Random) -> Desk:
    """A world with 3 to 5 statuses and one action of each effect."""
    while True:
        noun = rng.choice(_NOUNS)
        verb, payment_verb = rng.choice(list(_STATUS_VERBS)), rng.choice(list(_PAYMENT_VERBS))
        attribute = rng.choice((*_ATTRIBUTES, *_NAMED_ATTRIBUTES))
        if noun == "order" and (
            verb == "cancel" or payment_verb == "refund" or attribute == "address"
        ):
            continue
        statuses = tuple(rng.sample(_STATUSES, rng.randint(3, 5)))
        actions = [
            Action(f"{verb}_{noun}", verb, "status", _allowed(rng, statuses), _STATUS_VERBS[verb]),
            Action(f"change_{attribute}", "change", "attribute", _allowed(rng, statuses)),
            Action(
                f"{payment_verb}_{noun}",
                payment_verb,
                "payment",
                _allowed(rng, statuses),
                _PAYMENT_VERBS[payment_verb],
            ),
        ]
        rng.shuffle(actions)
        return Desk(
            name=rng.choice([noun, *_DESKS]),
            noun=noun,
            id_prefix=rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ"),
            statuses=statuses,
            attribute=attribute,
            actions=(actions[0], actions[1], actions[2]),
        )


def _allowed(rng: random.Random, statuses: tuple[str, ...]) -> tuple[str, ...]:
    chosen = rng.sample(statuses, rng.choice([1, 1, 2]))
    return tuple(status for status in statuses if status in chosen)
