"""Scripts in which the user wants to know something, and nothing is changed."""

from typing import Any

from scripting import Call, Say, Script, User, call, numbered

from shell_world.people import SESSION, signed_in, told


def answered(
    name: str,
    use: Any,
    *,
    who: str,
    opening: str,
    looks: list[Call],
    answer: str,
    words: list[str],
) -> Script:
    """A question that looking answers."""
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(who, opening, "You want nothing changed."),
        goal=f"Nothing is changed, and the user is told: {answer}",
        must_say=[words],
        steps=[User(opening), SESSION, *looks, Say(answer)],
        wrong=[[], [call("write_file", path="/tmp/answer.txt", content=answer)]],
    )


def _kind(kind: str, *variants: dict[str, Any]) -> list[Script]:
    def named(name: str, use: Any, **variant: Any) -> Script:
        return answered(name, use, **({"who": "maya"} | variant))

    named.__name__ = kind
    return numbered(named, *variants)


ERRORS = "/var/log/web/error.log"
DATA = "/home/maya/projects/report/data.csv"

SCRIPTS: list[Script] = [
    *_kind(
        "count_in_log",
        {
            "opening": "How many uploads were refused as too large, according to the web error "
            "log?",
            "looks": [
                call("get_service", service="web"),
                call("search_text", path=ERRORS, text="upload too large"),
            ],
            "answer": "Two uploads were too large, both on 17 June: 2 lines in the log.",
            "words": ["2"],
        },
        {
            "opening": "The web error log complains about a template. Which one, and how often?",
            "looks": [call("search_text", path=ERRORS, text="template missing")],
            "answer": "invoice.html is missing; the log says so 3 times, all today.",
            "words": ["invoice.html", "3"],
        },
        {
            "opening": "How often could the worker not reach its queue today? Tell me the host "
            "too.",
            "looks": [
                call("get_service", service="worker"),
                call("search_text", path="/var/log/worker/worker.log", text="cannot reach"),
            ],
            "answer": "3 times: it cannot reach queue-old.lumen.example, an unknown host.",
            "words": ["3", "queue-old.lumen.example"],
        },
    ),
    *_kind(
        "how_big",
        {
            "opening": "Which of my downloads is the biggest, and how big is it?",
            "looks": [call("get_disk_usage", path="/home/maya/downloads")],
            "answer": "dataset-full.zip is the biggest, with 3400.0 MB.",
            "words": ["dataset-full.zip", "3400"],
        },
        {
            "opening": "How much space do all my projects take together? And which one the most?",
            "looks": [call("get_disk_usage", path="/home/maya/projects")],
            "answer": "Your projects take 4192.0 MB, nearly all of it (4190.0 MB) in simulation.",
            "words": ["4192", "simulation"],
        },
        {
            "opening": "How many megabytes of logs does the web service keep in /var/log/web?",
            "looks": [call("get_disk_usage", path="/var/log/web")],
            "answer": "The logs in /var/log/web take 4308.7 MB.",
            "words": ["4308.7"],
        },
        {
            "who": "jonas",
            "opening": "How big is my results directory, in megabytes?",
            "looks": [call("get_disk_usage", path="/home/jonas/results")],
            "answer": "/home/jonas/results takes 8000.0 MB.",
            "words": ["8000"],
        },
    ),
    *_kind(
        "where_is_it",
        {
            "opening": "I left TODOs in my scraper. Where, exactly? File and line please.",
            "looks": [call("search_text", path="/home/maya/projects/scraper", text="TODO")],
            "answer": "In scraper.py, lines 3 (handle redirects) and 6 (in parallel).",
            "words": ["scraper.py", "3", "6"],
        },
        {
            "opening": "Which config file under /etc sets index_dir, and to what?",
            "looks": [call("search_text", path="/etc", text="index_dir")],
            "answer": "/etc/search/search.toml sets index_dir to /srv/search/index.",
            "words": ["/etc/search/search.toml", "/srv/search/index"],
        },
        {
            "opening": "Somewhere in my projects I wrote about revenue growth. Which file, and how "
            "many percent did I say?",
            "looks": [
                call("search_text", path="/home/maya/projects", text="revenue", ignore_case=True),
                call(
                    "read_file",
                    path="/home/maya/projects/report/draft.md",
                    first_line=3,
                    last_line=4,
                ),
            ],
            "answer": "In /home/maya/projects/report/draft.md: revenue grew by 8 percent in 2024.",
            "words": ["draft.md", "8"],
        },
    ),
    *_kind(
        "sum_of_table",
        {
            "opening": "What was the revenue of all regions together in 2024? See data.csv in my "
            "report project.",
            "looks": [call("read_file", path=DATA)],
            "answer": "450 + 301 + 199 = 950 in 2024.",
            "words": ["950"],
        },
        {
            "opening": "data.csv of my report: what was the total revenue in 2023?",
            "looks": [call("read_file", path=DATA)],
            "answer": "410 + 280 + 190 = 880 in 2023.",
            "words": ["880"],
        },
        {
            "who": "jonas",
            "opening": "By how much did the accuracy in results/scores.csv rise from epoch 10 to "
            "30?",
            "looks": [call("read_file", path="/home/jonas/results/scores.csv")],
            "answer": "From 0.71 to 0.86, so by 0.15.",
            "words": ["0.15"],
        },
        {
            "opening": "In which region did revenue grow most from 2023 to 2024, and by how much? "
            "It's in data.csv of my report project.",
            "looks": [call("read_file", path=DATA)],
            "answer": "In the north: from 410 to 450, by 40. South grew by 21 and west by 9.",
            "words": ["north", "40"],
        },
    ),
    *_kind(
        "who_and_what",
        {
            "opening": "Who is on call this week? It's week 25, the rota is in /srv/research.",
            "looks": [
                call("find_files", path="/srv/research", name="rota*"),
                call("read_file", path="/srv/research/rota.csv"),
            ],
            "answer": "Jonas is on call in week 25.",
            "words": ["jonas"],
        },
        {
            "opening": "Which process uses the most memory right now, and whose is it?",
            "looks": [call("list_processes")],
            "answer": "Process 2467, `python train.py --epochs 40` of jonas, with 9870 MB.",
            "words": ["2467", "jonas"],
        },
        {
            "opening": "Which services don't run at the moment?",
            "looks": [call("list_services")],
            "answer": "search and mirror are stopped; the others run.",
            "words": ["search", "mirror"],
        },
        {
            "opening": "What release is the web site on, and which user does the service run as?",
            "looks": [
                call("get_file_info", path="/srv/web/current"),
                call("get_service", service="web"),
            ],
            "answer": "It is on release 2025-06-16, and the web service runs as www.",
            "words": ["2025-06-16", "www"],
        },
    ),
]
