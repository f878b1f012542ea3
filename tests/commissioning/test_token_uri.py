"""Where a key in a token is: which URIs are taken, and what is said of others."""

from pathlib import Path

import pytest

from edge.commissioning.token_uri import TokenUri, is_token
from edge.errors import UsageError

GOOD = "pkcs11:token=till%202;object=framegate-1%2Flog?module-path=/l/s.so&pin-source=file:/p/pin"


def test_a_uri_names_token_key_library_and_pin_file() -> None:
    found = TokenUri.parse(GOOD + "\n")

    assert found == TokenUri("till 2", "framegate-1/log", Path("/l/s.so"), Path("/p/pin"))
    assert TokenUri.parse(found.text) == found
    assert is_token(found.text)
    assert not is_token("PRIVATE+KEY+name+00000000+AQ==")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a PKCS#11 URI"),
        ("file:/k", "expected a PKCS#11 URI"),
        ("pkcs11:object=k?module-path=/l", "expected token=NAME"),
        ("pkcs11:token=t;object=k", "expected module-path"),
        ("pkcs11:token=t?module-path=l.so", "absolute path as module-path"),
        ("pkcs11:token=t?module-path=/l&pin-source=file:pin", "absolute path as pin-source"),
        ("pkcs11:token=t?module-path=/l&pin-value=1234", "pin-value is not taken"),
        ("pkcs11:token=t;token=u?module-path=/l", "token stands twice"),
        ("pkcs11:token=t;type=cert?module-path=/l", "type=private or type=public"),
        ("pkcs11:token=t;serial=7?module-path=/l", "got 'serial'"),
    ],
)
def test_another_uri_is_refused_in_one_line_without_its_pin(text: str, why: str) -> None:
    with pytest.raises(UsageError) as err:
        TokenUri.parse(text)

    assert why in str(err.value)
    assert "1234" not in str(err.value)
