"""The files of the machine."""

from typing import Any

_Entry = dict[str, Any]
FILES: dict[str, _Entry] = {}


def _put(path: str, kind: str, rights: str, modified: str, **own: Any) -> None:
    owner, group, mode = rights.split()
    entry = {"kind": kind, "owner": owner, "group": group, "mode": mode, "modified": modified}
    FILES[path] = {**entry, **own}


def _directories(rights: str, modified: str, *paths: str) -> None:
    for path in paths:
        _put(path, "directory", rights, modified)


def _text(path: str, rights: str, modified: str, *lines: str) -> None:
    _put(path, "file", rights, modified, content="".join(f"{line}\n" for line in lines))


def _data(path: str, rights: str, modified: str, size_mb: float) -> None:
    _put(path, "file", rights, modified, size_mb=size_mb)


def _system() -> None:
    _directories(
        "root root 755",
        "2025-05-30",
        *("/", "/etc", "/etc/web", "/etc/worker", "/etc/search", "/etc/mirror", "/etc/db"),
        *("/home", "/mnt", "/mnt/mirror", "/srv", "/srv/search", "/usr", "/usr/bin"),
        *("/var", "/var/backups", "/var/lib", "/var/log", "/var/spool"),
    )
    _directories("root root 777", "2025-06-18", "/tmp")
    _directories("worker worker 755", "2025-06-18", "/var/spool/worker", "/var/log/worker")
    _directories("db db 750", "2025-06-18", "/var/lib/db", "/var/log/db", "/var/backups/db")
    _directories("www web 775", "2025-06-18", "/var/log/web")
    _directories("search search 755", "2025-06-16", "/var/log/search")
    _directories("root root 755", "2025-06-01", "/var/log/mirror")
    _text("/etc/hosts", "root root 644", "2025-05-30", "127.0.0.1 localhost", "10.0.4.12 orchid")
    _text("/etc/shadow", "root root 600", "2025-05-30", "root:$6$k1:20230:0:99999:7:::")
    _data("/usr/bin/python", "root root 755", "2025-05-30", 6.4)
    _text(
        "/etc/web/site.conf",
        "root web 664",
        "2025-06-11",
        "listen = 8080",
        "root = /srv/web/current",
        "workers = 4",
        "upload_limit = 20M",
        "access_log = /var/log/web/access.log",
        "gzip = off",
    )
    _text(
        "/etc/worker/worker.toml",
        "root root 644",
        "2025-06-10",
        "[queue]",
        'host = "queue-old.lumen.example"',
        "threads = 8",
        "retry_seconds = 30",
        "",
        "[log]",
        'level = "debug"',
    )
    _text(
        "/etc/search/search.toml",
        "root root 644",
        "2025-06-16",
        'index_dir = "/srv/search/index"',
        "max_results = 50",
    )
    _text("/etc/mirror/mirror.conf", "root root 644", "2025-06-01", "target = /mnt/mirror")
    _text("/etc/db/db.conf", "root db 640", "2025-05-30", "max_connections = 120")
    _data("/var/lib/db/main.data", "db db 600", "2025-06-18", 8120.0)


def _logs() -> None:
    _text(
        "/var/log/web/error.log",
        "www web 664",
        "2025-06-18",
        "2025-06-16 09:02 NOTICE started release 2025-06-16",
        "2025-06-17 13:40 ERROR upload too large: 34M, limit is 20M, client 10.0.7.31",
        "2025-06-17 13:52 ERROR upload too large: 28M, limit is 20M, client 10.0.7.31",
        "2025-06-17 18:11 WARN slow response /reports/annual 4.2s",
        "2025-06-18 07:55 ERROR template missing: invoice.html",
        "2025-06-18 08:01 ERROR template missing: invoice.html",
        "2025-06-18 08:20 WARN slow response /reports/annual 5.0s",
        "2025-06-18 08:44 ERROR template missing: invoice.html",
    )
    _data("/var/log/web/access.log", "www web 664", "2025-06-18", 182.5)
    _data("/var/log/web/access-2025-05.log", "www web 664", "2025-05-31", 940.2)
    _data("/var/log/web/access-2025-04.log", "www web 664", "2025-04-30", 1210.6)
    _data("/var/log/web/access-2025-03.log", "www web 664", "2025-03-31", 1105.0)
    _data("/var/log/web/access-2025-02.log", "www web 664", "2025-02-28", 870.4)
    _text(
        "/var/log/worker/worker.log",
        "worker worker 644",
        "2025-06-18",
        "2025-06-18 06:00 INFO started with 8 threads",
        "2025-06-18 06:00 ERROR cannot reach queue-old.lumen.example: unknown host",
        "2025-06-18 06:30 ERROR cannot reach queue-old.lumen.example: unknown host",
        "2025-06-18 07:00 ERROR cannot reach queue-old.lumen.example: unknown host",
        "2025-06-18 07:12 WARN job 88213 waits for 72 minutes",
    )
    _text(
        "/var/log/search/search.log",
        "search search 644",
        "2025-06-16",
        "2025-06-16 22:10 ERROR index directory /srv/search/index is missing",
        "2025-06-16 22:10 NOTICE stopped",
    )
    _text("/var/log/mirror/mirror.log", "root root 644", "2025-06-01", "2025-06-01 NOTICE stopped")
    _text("/var/log/db/db.log", "db db 640", "2025-06-18", "2025-06-18 03:00 INFO checkpoint done")
    _text(
        "/var/log/auth.log",
        "root root 640",
        "2025-06-18",
        "2025-06-17 23:14 failed login for jonas from 10.0.9.77",
        "2025-06-17 23:15 failed login for jonas from 10.0.9.77",
        "2025-06-18 07:31 login of maya from 10.0.4.20",
        "2025-06-18 07:58 login of priya from 10.0.4.21",
    )
    for day, size in (("14", 1510.0), ("15", 1522.5), ("16", 1531.0), ("17", 1540.4)):
        name = f"/var/backups/db/db-2025-06-{day}.dump"
        _data(name, "db db 640", f"2025-06-{day}", size)


def _web() -> None:
    _directories("priya web 775", "2025-06-16", "/srv/web", "/srv/web/releases", "/srv/web/shared")
    _directories("priya web 755", "2025-06-16", "/srv/web/bin")
    for day in ("2025-05-28", "2025-06-11", "2025-06-16"):
        base = f"/srv/web/releases/{day}"
        _directories("priya web 775", day, base, f"{base}/templates")
        _text(f"{base}/VERSION", "priya web 664", day, f"release {day}")
        _text(f"{base}/templates/home.html", "priya web 664", day, "<h1>Lumen</h1>")
        if day != "2025-06-16":
            _text(f"{base}/templates/invoice.html", "priya web 664", day, "<h1>Invoice</h1>")
        _data(f"{base}/assets.bin", "priya web 664", day, 84.0)
    _put(
        "/srv/web/current",
        "link",
        "priya web 777",
        "2025-06-16",
        target="/srv/web/releases/2025-06-16",
    )
    _text(
        "/srv/web/shared/settings.toml",
        "priya web 664",
        "2025-06-11",
        'title = "Lumen Reports"',
        'contact = "help@lumen.example"',
        "maintenance = false",
        "items_per_page = 25",
    )
    _text("/srv/web/shared/.env", "priya web 640", "2025-06-11", "DB_PASSWORD=quiet-river")
    _text("/srv/web/bin/warm.sh", "priya web 755", "2025-05-28", "#!/bin/sh", "warm-cache /srv/web")


def _maya() -> None:
    home = "/home/maya"
    mine = "maya maya 644"
    _directories("maya maya 755", "2025-06-17", home, f"{home}/bin", f"{home}/downloads")
    _directories(
        "maya maya 755",
        "2025-06-17",
        *(f"{home}/projects", f"{home}/projects/report", f"{home}/projects/report/figures"),
        *(f"{home}/projects/scraper", f"{home}/projects/simulation", f"{home}/archive"),
    )
    _directories("maya maya 700", "2025-05-30", f"{home}/.ssh")
    _text(f"{home}/.ssh/id_ed25519", "maya maya 600", "2025-05-30", "PRIVATE KEY")
    _text(f"{home}/.ssh/config", "maya maya 644", "2025-05-30", "Host mirror", "  Port 2222")
    _text(
        f"{home}/notes.txt",
        mine,
        "2025-06-17",
        "ask Priya about the release on Friday",
        "renew the conference hotel",
        "figure 3 needs the new runs",
    )
    _text(
        f"{home}/bin/backup.sh",
        mine,
        "2025-06-12",
        "#!/bin/sh",
        "tar czf /mnt/mirror/maya.tgz /home/maya/projects",
    )
    _text(f"{home}/bin/report.sh", "maya maya 755", "2025-05-30", "#!/bin/sh", "make-report")
    _text(f"{home}/bin/clean.sh", "maya maya 755", "2025-05-30", "#!/bin/sh", "clean-downloads")
    report = f"{home}/projects/report"
    _text(
        f"{report}/draft.md",
        mine,
        "2025-06-17",
        "# Annual report",
        "",
        "Revenue grew by 8 percent in 2024.",
        "The team in Lisbon now has 14 people.",
        "See figures/revenue.png and figures/team.png.",
    )
    _text(f"{report}/draft-old.md", mine, "2025-04-02", "# Annual report", "", "To be written.")
    _text(
        f"{report}/data.csv",
        mine,
        "2025-06-10",
        "region,year,revenue",
        "north,2023,410",
        "north,2024,450",
        "south,2023,280",
        "south,2024,301",
        "west,2023,190",
        "west,2024,199",
    )
    _data(f"{report}/figures/revenue.png", mine, "2025-06-11", 1.2)
    _data(f"{report}/figures/team.png", mine, "2025-06-11", 0.8)
    scraper = f"{home}/projects/scraper"
    _text(
        f"{scraper}/config.toml",
        mine,
        "2025-06-15",
        'site = "lumen"',
        "timeout = 10",
        "retries = 2",
        "delay_seconds = 1",
    )
    _text(
        f"{scraper}/scraper.py",
        mine,
        "2025-06-15",
        "import config",
        "",
        "def fetch_page(url):  # TODO: handle redirects",
        "    return config.client.get(url)",
        "",
        "def fetch_all(urls):",
        "    return [fetch_page(url) for url in urls]  # TODO: in parallel",
    )
    _text(f"{scraper}/.env", "maya maya 600", "2025-06-15", "API_TOKEN=amber-field")
    _text(f"{home}/projects/simulation/simulate.py", mine, "2025-06-16", "import runs", "runs.go()")
    _data(f"{home}/projects/simulation/runs.npz", mine, "2025-06-18", 2210.0)
    _data(f"{home}/projects/simulation/runs-may.npz", mine, "2025-05-20", 1980.0)
    _data(f"{home}/downloads/dataset-full.zip", mine, "2025-06-03", 3400.0)
    _data(f"{home}/downloads/talk.mp4", mine, "2025-02-11", 760.0)
    _data(f"{home}/downloads/paper.pdf", mine, "2025-06-09", 2.4)
    _data(f"{home}/downloads/installer.run", mine, "2025-01-20", 512.0)


def _others() -> None:
    _directories("jonas jonas 755", "2025-06-17", "/home/jonas", "/home/jonas/results")
    _directories("priya priya 700", "2025-06-17", "/home/priya")
    _text("/home/jonas/sync.sh", "jonas jonas 755", "2025-06-01", "#!/bin/sh", "sync-data")
    _text("/home/jonas/train.py", "jonas jonas 644", "2025-06-16", "import model", "model.fit()")
    _text(
        "/home/jonas/results/scores.csv",
        "jonas research 664",
        "2025-06-17",
        "epoch,loss,accuracy",
        "10,0.82,0.71",
        "20,0.55,0.80",
        "30,0.41,0.86",
    )
    _data("/home/jonas/results/model.bin", "jonas jonas 644", "2025-06-17", 4100.0)
    _data("/home/jonas/results/model-old.bin", "jonas jonas 644", "2025-04-30", 3900.0)
    _text("/home/priya/plans.txt", "priya priya 600", "2025-06-10", "offer for the new office")
    _directories("root research 775", "2025-06-10", "/srv/research", "/srv/research/2024")
    _text(
        "/srv/research/rota.csv",
        "maya research 664",
        "2025-06-10",
        "week,on_call",
        "24,maya",
        "25,jonas",
        "26,priya",
    )
    _text("/srv/research/README.md", "root research 664", "2025-05-30", "# Shared data")
    _text("/srv/research/2024/survey.csv", "jonas research 640", "2025-01-15", "id,score", "1,4")
    _directories("jonas jonas 755", "2025-06-02", "/tmp/render-cache")
    _data("/tmp/render-cache/tiles.bin", "jonas jonas 644", "2025-06-02", 2750.0)
    _data("/tmp/maya-export.tar", "maya maya 644", "2025-05-12", 1340.0)
    _text("/tmp/session.lock", "maya maya 644", "2025-06-18", "2401")


for _part in (_system, _logs, _web, _maya, _others):
    _part()
