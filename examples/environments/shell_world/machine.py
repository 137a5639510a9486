"""The machine of `shell` as every conversation finds it: accounts, processes, services, jobs."""

from typing import Any

from shell_world.disk import FILES

TODAY = "2025-06-18"

MAYA = {
    "user": "maya",
    "groups": ["maya", "research", "web"],
    "sudo": True,
    "host": "orchid",
    "today": TODAY,
}
JONAS = {**MAYA, "user": "jonas", "groups": ["jonas", "research"], "sudo": False}
PRIYA = {**MAYA, "user": "priya", "groups": ["priya", "web", "deploy"], "sudo": True}

ACCOUNTS = {
    "root": {"name": "Administrator", "groups": ["root"], "sudo": True},
    "maya": {"name": "Maya Lindgren", "groups": MAYA["groups"], "sudo": True},
    "jonas": {"name": "Jonas Weber", "groups": JONAS["groups"], "sudo": False},
    "priya": {"name": "Priya Nair", "groups": PRIYA["groups"], "sudo": True},
    "www": {"name": "Web server", "groups": ["web"], "sudo": False},
    "worker": {"name": "Queue worker", "groups": ["worker"], "sudo": False},
    "search": {"name": "Search index", "groups": ["search"], "sudo": False},
    "db": {"name": "Database", "groups": ["db"], "sudo": False},
}


def _process(
    user: str, command: str, cpu: float, memory: int, started: str, *, stuck: bool = False
) -> dict[str, Any]:
    return {
        "user": user,
        "command": command,
        "cpu_percent": cpu,
        "memory_mb": memory,
        "status": "running",
        "started": started,
        "stuck": stuck,
    }


PROCESSES = {
    "1": _process("root", "/sbin/init", 0.0, 12, "2025-05-30"),
    "812": _process("db", "postgres -D /var/lib/db", 3.1, 2240, "2025-05-30"),
    "934": _process("www", "webd --config /etc/web/site.conf", 1.4, 310, "2025-06-16"),
    "1077": _process("worker", "queue-worker --config /etc/worker/worker.toml", 0.9, 420, TODAY),
    "2210": _process("maya", "python simulate.py --runs 5000", 98.7, 6120, "2025-06-17"),
    "2314": _process("maya", "jupyter lab --port 8890", 0.3, 540, "2025-06-12"),
    "2388": _process("maya", "python scraper.py --site lumen", 97.2, 1210, TODAY, stuck=True),
    "2401": _process("maya", "vim /home/maya/projects/report/draft.md", 0.0, 20, TODAY),
    "2467": _process("jonas", "python train.py --epochs 40", 96.0, 9870, "2025-06-16"),
    "2471": _process("jonas", "python plot.py --watch", 55.5, 880, TODAY, stuck=True),
    "2530": _process("priya", "rsync -a /srv/web/shared /mnt/mirror", 12.3, 90, TODAY),
}


def _service(
    status: str, user: str, config: str, log: str, requires: list[str], *, autostart: bool = True
) -> dict[str, Any]:
    return {
        "status": status,
        "autostart": autostart,
        "runs_as": user,
        "config": config,
        "log": log,
        "requires": requires,
        "history": [f"2025-06-16 {'stop' if status == 'stopped' else 'start'}"],
    }


SERVICES = {
    "database": _service(
        "running", "db", "/etc/db/db.conf", "/var/log/db/db.log", ["/var/lib/db/main.data"]
    ),
    "web": _service(
        "running", "www", "/etc/web/site.conf", "/var/log/web/error.log", ["/etc/web/site.conf"]
    ),
    "worker": _service(
        "running",
        "worker",
        "/etc/worker/worker.toml",
        "/var/log/worker/worker.log",
        ["/etc/worker/worker.toml", "/var/spool/worker"],
    ),
    "search": _service(
        "stopped",
        "search",
        "/etc/search/search.toml",
        "/var/log/search/search.log",
        ["/srv/search/index"],
    ),
    "mirror": _service(
        "stopped",
        "root",
        "/etc/mirror/mirror.conf",
        "/var/log/mirror/mirror.log",
        ["/etc/mirror/mirror.conf"],
        autostart=False,
    ),
}


def _job(user: str, schedule: str, command: str, *, enabled: bool = True) -> dict[str, Any]:
    return {"user": user, "schedule": schedule, "command": command, "enabled": enabled}


JOBS = {
    "backup-home": _job("maya", "15 3 * * *", "/home/maya/bin/backup.sh"),
    "weekly-report": _job("maya", "0 8 * * 1", "/home/maya/bin/report.sh"),
    "clean-downloads": _job("maya", "0 4 1 * *", "/home/maya/bin/clean.sh", enabled=False),
    "sync-data": _job("jonas", "30 * * * *", "/home/jonas/sync.sh"),
    "warm-cache": _job("priya", "*/10 * * * *", "/srv/web/bin/warm.sh"),
}

STATE = {
    "session": MAYA,
    "accounts": ACCOUNTS,
    "files": FILES,
    "processes": PROCESSES,
    "services": SERVICES,
    "jobs": JOBS,
}

_NAME = {"type": "string", "minLength": 1}
_NAMES = {"type": "array", "items": _NAME}
_DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_FLAG = {"type": "boolean"}
_COMMON = {
    "owner": _NAME,
    "group": _NAME,
    "mode": {"type": "string", "pattern": "^[0-7]{3}$"},
    "modified": _DAY,
}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _entry(kind: str, **own: Any) -> dict[str, Any]:
    return _object({"kind": {"const": kind}, **_COMMON, **own})


def _by_name(schema: dict[str, Any], pattern: str | None = None) -> dict[str, Any]:
    if pattern is None:
        return {"type": "object", "additionalProperties": schema}
    return {
        "type": "object",
        "patternProperties": {pattern: schema},
        "additionalProperties": False,
    }


SCHEMA = _object(
    {
        "session": _object(
            {"user": _NAME, "groups": _NAMES, "sudo": _FLAG, "host": _NAME, "today": _DAY}
        ),
        "accounts": _by_name(_object({"name": _NAME, "groups": _NAMES, "sudo": _FLAG})),
        "files": _by_name(
            {
                "oneOf": [
                    _entry("directory"),
                    _entry("link", target={"type": "string", "pattern": "^/"}),
                    _entry("file", content={"type": "string"}),
                    _entry("file", size_mb={"type": "number", "minimum": 0}),
                ]
            },
            "^/([^/]+(/[^/]+)*)?$",
        ),
        "processes": _by_name(
            _object(
                {
                    "user": _NAME,
                    "command": _NAME,
                    "cpu_percent": {"type": "number", "minimum": 0},
                    "memory_mb": {"type": "integer", "minimum": 0},
                    "status": {"enum": ["running", "terminating"]},
                    "started": _DAY,
                    "stuck": _FLAG,
                }
            ),
            r"^\d+$",
        ),
        "services": _by_name(
            _object(
                {
                    "status": {"enum": ["running", "stopped"]},
                    "autostart": _FLAG,
                    "runs_as": _NAME,
                    "config": _NAME,
                    "log": _NAME,
                    "requires": _NAMES,
                    "history": _NAMES,
                }
            )
        ),
        "jobs": _by_name(
            _object({"user": _NAME, "schedule": _NAME, "command": _NAME, "enabled": _FLAG})
        ),
    }
)
