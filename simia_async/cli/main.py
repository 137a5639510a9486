"""Entry point of `simia`."""

import typer

from simia_async.cli import (
    card,
    config,
    demo,
    env,
    evaluate,
    export,
    generate,
    judge,
    meter,
    policy,
    readable_help,
    report,
    rollout,
    runs,
    scripted_server,
    serve,
    show,
    submit,
    tasks,
    tau2,
    train,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train tool-using LLM agents in worlds that an LLM imagines.",
)
app.command("demo")(demo.demo)
env.app.command("import-tau2")(tau2.import_environment)
app.add_typer(env.app, name="env")
app.command("generate")(generate.generate)
app.command("rollout")(rollout.rollout)
app.command("judge")(judge.judge)
app.command("show")(show.show_trajectory)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("card")(card.card)
app.add_typer(tasks.app, name="tasks")
app.add_typer(train.app, name="train")
app.add_typer(meter.app, name="meter")
app.add_typer(policy.app, name="policy")
app.add_typer(runs.app, name="runs")
app.add_typer(tau2.beside(evaluate.evaluate), name="eval")
app.command("serve")(serve.serve)
app.add_typer(submit.app, name="submit")
app.command("scripted-server")(scripted_server.scripted_server)
app.add_typer(config.app, name="config")
readable_help.readable(app)


def main() -> None:
    """Run the command line."""
    app()
