"""Tools for the processes, services and scheduled jobs of the simulated machine."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.shell.paths import check_sudo
from simia_async.environments.tool_effects import ToolError

_CHANGES = {"start": "running", "stop": "stopped", "restart": "running", "reload": "running"}


def list_processes(state: State, user: str | None = None, command: str | None = None) -> Any:
    """Processes, all or those of a user or with a text in their command."""
    rows = [
        {"pid": pid, **process}
        for pid, process in sorted(state["processes"].items())
        if user in (None, process["user"]) and (command is None or command in process["command"])
    ]
    return {"processes": rows}


def stop_process(state: State, pid: str, signal: str, sudo: bool = False) -> Any:
    """A process told to end. One that is stuck ends only when it is killed."""
    check_sudo(state, sudo)
    process = state["processes"].get(pid)
    if process is None:
        raise ToolError(f"{pid}: no such process")
    if process["user"] != state["session"]["user"] and not sudo:
        raise ToolError(f"{pid}: operation not permitted")
    if signal == "TERM" and process["status"] == "terminating":
        raise ToolError(f"{pid}: was told to end before and still runs")
    if signal == "TERM" and process["stuck"]:
        process["status"] = "terminating"
        return {"pid": pid, "signal": signal, "ended": False}
    del state["processes"][pid]
    return {"pid": pid, "signal": signal, "ended": True}


def list_services(state: State) -> Any:
    """Services and how they are."""
    return {"services": [{"service": name, **_short(it)} for name, it in state["services"].items()]}


def get_service(state: State, service: str) -> Any:
    """All about one service."""
    return _service(state, service)


def control_service(state: State, service: str, action: str) -> Any:
    """A service started, stopped, restarted or reloaded, always with root's rights."""
    check_sudo(state, sudo=True)
    found = _service(state, service)
    running = found["status"] == "running"
    if action == "start" and running:
        raise ToolError(f"{service}: runs already")
    if action in ("stop", "reload") and not running:
        raise ToolError(f"{service}: is not running")
    missing = [path for path in found["requires"] if path not in state["files"]]
    if action in ("start", "restart") and missing:
        raise ToolError(f"{service}: cannot start, {missing[0]} is missing")
    found["status"] = _CHANGES[action]
    found["history"] = [*found["history"], f"{state['session']['today']} {action}"]
    return {"service": service, "status": found["status"], "history": found["history"]}


def set_service_autostart(state: State, service: str, enabled: bool) -> Any:
    """Whether a service starts with the machine, always with root's rights."""
    check_sudo(state, sudo=True)
    found = _service(state, service)
    if found["autostart"] == enabled:
        raise ToolError(f"{service}: autostart is {'on' if enabled else 'off'} already")
    found["autostart"] = enabled
    return {"service": service, "autostart": enabled}


def list_scheduled_jobs(state: State) -> Any:
    """The scheduled jobs of the signed-in user."""
    mine = state["session"]["user"]
    return {
        "jobs": [{"job": name, **job} for name, job in state["jobs"].items() if job["user"] == mine]
    }


def set_scheduled_job(
    state: State, job: str, schedule: str, command: str, enabled: bool = True
) -> Any:
    """A job of the signed-in user, new or in place of one of that name."""
    if len(schedule.split()) != 5:
        raise ToolError(f"{schedule!r}: give the five fields of cron, such as '30 2 * * *'")
    if not job.strip() or not command.strip():
        raise ToolError("job and command must not be empty")
    before = state["jobs"].get(job)
    if before is not None and before["user"] != state["session"]["user"]:
        raise ToolError(f"{job}: is a job of another user")
    made = {
        "user": state["session"]["user"],
        "schedule": schedule,
        "command": command,
        "enabled": enabled,
    }
    if made == before:
        raise ToolError(f"{job}: is exactly so already")
    state["jobs"][job] = made
    return {"job": job, **made}


def remove_scheduled_job(state: State, job: str) -> Any:
    """Away with a job of the signed-in user."""
    found = state["jobs"].get(job)
    if found is None or found["user"] != state["session"]["user"]:
        raise ToolError(f"{job}: you have no such job")
    del state["jobs"][job]
    return {"job": job, "removed": True}


def hand_over_to_admin(state: State, summary: str) -> Any:  # noqa: ARG001
    """The conversation goes to a human."""
    return {"handed_over": True}


def _service(state: State, name: str) -> dict[str, Any]:
    service: dict[str, Any] | None = state["services"].get(name)
    if service is None:
        raise ToolError(f"{name}: no such service; there are {', '.join(state['services'])}")
    return service


def _short(service: dict[str, Any]) -> dict[str, Any]:
    return {key: service[key] for key in ("status", "autostart")}
