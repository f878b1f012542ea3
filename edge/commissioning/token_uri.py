"""Where a key in a hardware token is: a PKCS#11 URI (RFC 7512). Pure.

`pkcs11:token=NAME;object=KEY?module-path=/usr/lib/.../lib.so&pin-source=file:/etc/.../pin`

`object` is the label of the key in the token and at the same time its name in signed notes.
A PIN itself is refused (`pin-value`): a URI is shown and copied, a PIN file has a mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from edge.errors import UsageError

SCHEME = "pkcs11:"
_FORM = "pkcs11:token=NAME;object=KEY?module-path=/LIB.so&pin-source=file:/PIN"
_PATH = {"token", "object", "type"}
_QUERY = {"module-path", "pin-source"}
_MAX_CHARS = 2048


@dataclass(frozen=True, slots=True)
class TokenUri:
    """A key in a token; `object` is empty where no key is named yet."""

    token: str  # label of the token
    object: str  # label of the key
    module: Path  # the maker's PKCS#11 library
    pin_file: Path | None  # None: read only what is public

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """The URI in `text`; errors never repeat it, for it may hold a PIN.

        Raises:
            UsageError: another form, an attribute that is not supported, or a PIN.
        """
        text = text.strip()
        if not text.startswith(SCHEME) or len(text) > _MAX_CHARS:
            raise UsageError(f"expected a PKCS#11 URI, {_FORM}")
        path, _, query = text[len(SCHEME) :].partition("?")
        found = _pairs(path, ";", _PATH) | _pairs(query, "&", _QUERY)
        if not found.get("token"):
            raise UsageError(f"PKCS#11 URI: expected token=NAME, as in {_FORM}")
        if found.get("type", "private") not in ("private", "public"):
            raise UsageError("PKCS#11 URI: expected type=private or type=public")
        if "module-path" not in found:
            raise UsageError(
                "PKCS#11 URI: expected module-path=/LIB.so, the library of the token's maker"
            )
        pin = found.get("pin-source")
        return cls(
            found["token"],
            found.get("object", ""),
            _absolute(found["module-path"], "module-path"),
            None if pin is None else _absolute(pin.removeprefix("file:"), "pin-source"),
        )

    def named(self, key: str) -> TokenUri:
        """The same token with the key `key`."""
        return TokenUri(self.token, key, self.module, self.pin_file)

    @property
    def text(self) -> str:
        """The URI, spelled in one way."""
        query = f"module-path={quote(str(self.module))}"
        if self.pin_file is not None:
            query += f"&pin-source=file:{quote(str(self.pin_file))}"
        return f"{SCHEME}token={quote(self.token, '')};object={quote(self.object, '')}?{query}"


def is_token(text: str) -> bool:
    """Whether what a key file holds names a key in a token."""
    return text.startswith(SCHEME)


def _pairs(text: str, between: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(between) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise UsageError(
                "PKCS#11 URI: pin-value is not taken: write the PIN to a file of mode 600 and name "
                "it by pin-source=file:/PATH"
            )
        if not equals or name not in known:
            raise UsageError(
                f"PKCS#11 URI: expected {', '.join(sorted(known))}, got {unquote(name)[:40]!r}"
            )
        if name in found:
            raise UsageError(f"PKCS#11 URI: {name} stands twice")
        found[name] = unquote(value)
    return found


def _absolute(text: str, name: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise UsageError(f"PKCS#11 URI: expected an absolute path as {name}")
    return path
