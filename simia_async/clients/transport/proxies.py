"""Which proxy the environment wants to be used, by `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`."""

import ipaddress
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from simia_async.errors import UsageError


def proxy_of(url: URL) -> URL | None:
    """The proxy for `url`; None for none. Loopback never goes through one: our children are there.

    Raises `UsageError` for a proxy that does not speak HTTP. Its URL may hold a password and is
    not shown.
    """
    host = url.host or ""
    if _is_loopback(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    proxies = getproxies()
    for name in (url.scheme, "all"):
        if said := proxies.get(name):
            return _parsed(said, f"{name.upper()}_PROXY")
    return None


def _parsed(said: str, variable: str) -> URL:
    try:
        proxy = URL(said if "://" in said else f"http://{said}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise UsageError(f"{variable}: expected http://host:port (what was found is not shown)")
    return proxy


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
