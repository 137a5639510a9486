"""Tasks of `mini-telecom`: one complaint, many causes, and prices that need a yes."""

from typing import Any

import msgspec

from simia_async.builtin.worlds.drawing import WITHDRAWALS, Draw, Plot, Template
from simia_async.environments.task import Utterance

_YES = ("Yes, please.", "Yes.", "Yes, go ahead.")
_NO = ("No, that is too much.", "No, leave it then.", "No, I do not want that.")
_COMPLAINTS = (
    "my mobile data does not work.",
    "I have no internet on my phone.",
    "the internet on my phone is gone.",
)
_PLAN_WISHES = ("I want another plan.", "please change my plan.", "can you change my plan?")


class _Scene(msgspec.Struct, frozen=True):
    """A customer with two lines, the first of which the task is about."""

    line_id: str
    state: dict[str, Any]

    @property
    def line(self) -> dict[str, Any]:
        return self.state["lines"][self.line_id]  # type: ignore[no-any-return]

    @property
    def plan(self) -> dict[str, Any]:
        return self.state["plans"][self.line["plan_id"]]  # type: ignore[no-any-return]

    @property
    def bill(self) -> dict[str, Any]:
        return self.state["bills"][self.line["bill_id"]]  # type: ignore[no-any-return]

    @property
    def payment(self) -> str:
        return str(self.state["customers"][self.line["customer_id"]]["payment"])


def _scene(draw: Draw, **line: Any) -> _Scene:
    """A scene whose line works, except for what `line` says of it."""
    rng, customer_id = draw.rng, draw.user_id()
    plans = [_plan(draw, limit) for limit in rng.sample(range(3, 10), 4)]
    bills = [_bill(draw) for _ in range(2)]
    lines = [_line(draw, customer_id, plan, bill) for plan, bill in zip(plans, bills, strict=False)]
    lines[0] |= line
    ids = [line["line_id"] for line in lines]
    payment = f"card_{rng.randrange(100, 1000)}"
    customer = {"customer_id": customer_id, "lines": sorted(ids), "payment": payment}
    rng.shuffle(plans)
    state = {
        "customers": {customer_id: customer},
        "lines": dict(zip(ids, lines, strict=True)),
        "plans": {plan["plan_id"]: plan for plan in plans},
        "bills": {bill["bill_id"]: bill for bill in bills},
    }
    return _Scene(ids[0], state)


def _plan(draw: Draw, limit: int) -> dict[str, Any]:
    return {
        "plan_id": draw.id("P", 3),
        "monthly": draw.amount(10, 60),
        "limit_gb": limit,
        "refuel_price": draw.amount(3, 20),
    }


def _bill(draw: Draw) -> dict[str, Any]:
    return {"bill_id": draw.id("B", 4), "amount": draw.amount(10, 90), "status": "paid"}


def _line(
    draw: Draw, customer_id: str, plan: dict[str, Any], bill: dict[str, Any]
) -> dict[str, Any]:
    return {
        "line_id": draw.id("L", 4),
        "customer_id": customer_id,
        "plan_id": plan["plan_id"],
        "bill_id": bill["bill_id"],
        "status": "active",
        "reason": "",
        "used_gb": draw.rng.randrange(plan["limit_gb"]),
        "refuels": draw.rng.randrange(3),
        "roaming": draw.rng.choice(["on", "off"]),
        "contract": "free",
        "resets": 0,
    }


def _complaint(draw: Draw, scene: _Scene) -> tuple[Utterance, Utterance]:
    return Utterance(draw.opening(*_COMPLAINTS)), _named(draw, scene)


def _named(draw: Draw, scene: _Scene) -> Utterance:
    wordings = ("It is {}.", "My line is {}.", "{}.", "It is line {}.")
    return Utterance(draw.rng.choice(wordings).format(scene.line_id), when=("line",))


def _agreed(draw: Draw, price: float) -> Utterance:
    return Utterance(draw.rng.choice(_YES), when=(str(price),))


def _of_line(scene: _Scene, tool: str) -> tuple[str, dict[str, str]]:
    return (tool, {"line_id": scene.line_id})


def _monthly(draw: Draw) -> Plot:
    scene = _scene(draw)
    text = draw.opening("what do I pay for my plan every month?", "how much is my plan a month?")
    lines = (Utterance(text), _named(draw, scene))
    return Plot(scene.state, lines, must_say=((str(scene.plan["monthly"]),),))


def _roaming(draw: Draw) -> Plot:
    scene = _scene(draw, roaming="off")
    abroad = Utterance(draw.rng.choice(["Yes, I am.", "Yes, in Spain."]), when=("abroad",))
    return Plot(
        scene.state, (*_complaint(draw, scene), abroad), (_of_line(scene, "enable_roaming"),)
    )


def _at_home(draw: Draw) -> Plot:
    """Roaming is off, but that is not why."""
    scene = _scene(draw, roaming="off")
    home = Utterance(draw.rng.choice(["No, I am at home.", "No."]), when=("abroad",))
    return Plot(scene.state, (*_complaint(draw, scene), home), (_of_line(scene, "reset_line"),))


def _reset(draw: Draw) -> Plot:
    scene = _scene(draw, roaming="on")
    return Plot(scene.state, _complaint(draw, scene), (_of_line(scene, "reset_line"),))


def _used_up(draw: Draw) -> _Scene:
    scene = _scene(draw)
    scene.line["used_gb"] = scene.plan["limit_gb"]
    return scene


def _refuel(draw: Draw) -> Plot:
    scene = _used_up(draw)
    lines = (*_complaint(draw, scene), _agreed(draw, scene.plan["refuel_price"]))
    return Plot(scene.state, lines, (_of_line(scene, "refuel_data"),))


def _refuel_declined(draw: Draw) -> Plot:
    scene = _used_up(draw)
    texts = (draw.opening(*_COMPLAINTS), f"It is {scene.line_id}.", draw.rng.choice(_NO))
    return Plot(scene.state, tuple(Utterance(text) for text in texts))


def _resume(draw: Draw) -> Plot:
    scene = _scene(draw, status="suspended", reason="unpaid bill")
    return Plot(scene.state, _complaint(draw, scene), (_of_line(scene, "resume_line"),))


def _resume_unpaid(draw: Draw) -> Plot:
    scene = _scene(draw, status="suspended", reason="unpaid bill")
    scene.bill["status"] = "unpaid"
    pay = ("pay_bill", {"bill_id": scene.bill["bill_id"], "payment": scene.payment})
    lines = (*_complaint(draw, scene), _agreed(draw, scene.bill["amount"]))
    return Plot(scene.state, lines, (pay, _of_line(scene, "resume_line")))


def _resume_refused(draw: Draw) -> Plot:
    scene = _scene(draw, status="suspended", reason="fraud")
    return Plot(scene.state, _complaint(draw, scene), must_say=(("cannot", "fraud"),))


def _change_plan(draw: Draw) -> Plot:
    scene = _scene(draw)
    others = [plan for plan in scene.state["plans"].values() if plan is not scene.plan]
    wanted = sorted(plan["limit_gb"] for plan in others)[1]
    fitting = [plan for plan in others if plan["limit_gb"] >= wanted]
    best = min(fitting, key=lambda plan: float(plan["monthly"]))
    # The user's own plan is out of the question: it is the dearest.
    scene.plan["monthly"] = draw.amount(70, 90)
    need = Utterance(f"The cheapest plan with at least {wanted} GB.", when=("plan",))
    call = ("change_plan", {"line_id": scene.line_id, "plan_id": best["plan_id"]})
    lines = (Utterance(draw.opening(*_PLAN_WISHES)), _named(draw, scene), need)
    return Plot(scene.state, lines, (call,), ((best["plan_id"],),))


def _change_plan_refused(draw: Draw) -> Plot:
    scene = _scene(draw, contract="bound")
    lines = (Utterance(draw.opening(*_PLAN_WISHES)), _named(draw, scene))
    return Plot(scene.state, lines, must_say=(("cannot", "bound"),))


def _change_plan_withdrawn(draw: Draw) -> Plot:
    lines = (draw.opening(*_PLAN_WISHES), draw.rng.choice(WITHDRAWALS))
    return Plot(_scene(draw).state, tuple(Utterance(line) for line in lines))


TEMPLATES: dict[str, Template] = {
    "monthly": _monthly,
    "roaming": _roaming,
    "at-home": _at_home,
    "reset": _reset,
    "refuel": _refuel,
    "refuel-declined": _refuel_declined,
    "resume": _resume,
    "resume-unpaid": _resume_unpaid,
    "resume-refused": _resume_refused,
    "change-plan": _change_plan,
    "change-plan-refused": _change_plan_refused,
    "change-plan-withdrawn": _change_plan_withdrawn,
}
