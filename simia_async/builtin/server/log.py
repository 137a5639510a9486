"""What the server was asked and how it answered, for assertions. No key is ever in it."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Literal, overload

import msgspec

from simia_async.builtin.server.faults import Fault
from simia_async.errors import ConfigError

Outcome = Literal["in flight", "answered", "client gone", "dropped", "server closed", "failed"]
"""`failed` is an error of the server itself."""

_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"}
)


class RequestRecord(msgspec.Struct, gc=False):
    """One request. Times are seconds of `time.monotonic`."""

    number: int
    """Counts from 0, in order of arrival."""
    arrived: float
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case. In place of a credential stands the start of its SHA-256."""
    credential: str | None = None
    """`sha256:` and 8 digits of the key that was sent; None if there was none."""
    body: Any = None
    """The decoded JSON; None if it was none, or where bodies are not kept."""
    identity: str = ""
    """Hash of the body's bytes: a retried request has the same."""
    attempt: int = 0
    """How often this very body had been seen before."""
    fault: Fault | None = None
    status: int | None = None
    """None where nothing was answered."""
    latency_s: float = 0.0
    """What was drawn, and waited for before the first byte."""
    tokens: int = 0
    """Charged to the quota on admission: prompt estimated at 4 characters each, plus what it may
    answer (`max_completion_tokens` or `max_tokens`)."""
    finished: float | None = None
    outcome: Outcome = "in flight"


class RequestLog(Sequence[RequestRecord]):
    """The requests in order of arrival.

    `keep=False` keeps none of them and only counts; `bodies=False` keeps all but their bodies.
    With `path`, each is written to that file as a JSON line when it is over, and kept only if
    `keep` says so. Raises `ConfigError` if the file cannot be opened.
    """

    def __init__(
        self, *, keep: bool = True, bodies: bool = True, path: Path | str | None = None
    ) -> None:
        self.keeps_bodies = bodies
        self.in_flight = 0
        self.max_concurrent = 0
        """Most requests that were in the server at once."""
        self._keep = keep
        self._count = 0
        self._records: list[RequestRecord] = []
        self._file: BinaryIO | None = None
        if path is not None:
            try:
                # Unbuffered: a child ends without warning when its owner does.
                self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115, for `close`
            except OSError as error:
                raise ConfigError(f"the log cannot be written: {error}") from error

    @property
    def active(self) -> bool:
        """Whether anybody will read what is recorded."""
        return self._keep or self._file is not None

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._records)

    def served(self, path: str = "/chat/completions") -> list[RequestRecord]:
        """Those whose path ends so and that got an answer without a fault, complete."""
        return [
            r
            for r in self._records
            if r.path.endswith(path) and (r.status, r.fault, r.outcome) == (200, None, "answered")
        ]

    def with_status(self, status: int) -> list[RequestRecord]:
        """Those that were answered with this HTTP status."""
        return [r for r in self._records if r.status == status]

    def with_fault(self, fault: Fault | None = None) -> list[RequestRecord]:
        """Those that this fault struck; without a name, any fault."""
        return [r for r in self._records if r.fault and (fault is None or r.fault == fault)]

    def clear(self) -> None:
        """Forget what is over. Numbers go on counting."""
        self._records = [r for r in self._records if r.outcome == "in flight"]
        self.max_concurrent = self.in_flight

    def arrive(
        self, now: float, method: str, path: str, headers: Mapping[str, str]
    ) -> RequestRecord:
        """Begin the record of a request."""
        record = RequestRecord(self._count, now, method, _as_text(path), {})
        if self.active:
            record.headers, record.credential = _redact(headers)
        self._count += 1
        self.in_flight += 1
        self.max_concurrent = max(self.max_concurrent, self.in_flight)
        if self._keep:
            self._records.append(record)
        return record

    def finish(self, record: RequestRecord, now: float, outcome: Outcome) -> None:
        """End the record of a request."""
        record.finished, record.outcome = now, outcome
        self.in_flight -= 1
        if self._file is not None:
            self._file.write(msgspec.json.encode(record) + b"\n")

    def close(self) -> None:
        """Close the file, if there is one. What is kept stays readable."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _redact(headers: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    shown: dict[str, str] = {}
    credential = None
    for name, value in headers.items():
        lower = name.lower()
        if lower in _SECRET_HEADERS:
            digest = sha256(as_bytes(value.removeprefix("Bearer "))).hexdigest()
            shown[lower] = f"sha256:{digest[:8]}"
            if lower != "cookie":
                credential = shown[lower]
        else:
            shown[lower] = _as_text(value)
    return shown, credential


def as_bytes(header: str) -> bytes:
    """A header as it came: what is not UTF-8 in it reads as surrogates."""
    return header.encode(errors="surrogateescape")


def _as_text(header: str) -> str:
    return header if header.isascii() else as_bytes(header).decode(errors="replace")
