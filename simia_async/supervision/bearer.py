"""Keys that clients send to our servers."""

import hmac


def bearer_of(authorization: str) -> str | None:
    """The key in an `Authorization` header (RFC 6750, section 2.1); None if it holds none."""
    scheme, _, key = authorization.partition(" ")
    return key if scheme.lower() == "bearer" and key else None


def is_same_key(sent: str, key: str) -> bool:
    """Whether the right key was sent; it takes as long whatever was."""
    # What is no UTF-8 in a header reads as surrogates.
    return hmac.compare_digest(*(each.encode(errors="surrogatepass") for each in (sent, key)))
