"""`simia meter`: instruments that tell whether simulator and judge can be trusted."""

import typer

from simia_async.cli import meter_fidelity, meter_judge, meter_luck

app = typer.Typer(no_args_is_help=True, help="Measure whether simulator and judge can be trusted.")
app.command("luck")(meter_luck.luck)
app.command("fidelity")(meter_fidelity.fidelity)
app.command("judge")(meter_judge.judge)
