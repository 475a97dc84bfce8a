"""Pseudonyms are what RFC 7693 says they are, and say nothing without the key."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.pseudonyms import Domain, Pseudonymiser
from fraudgraph.events.vault import Vault

KEY = bytes(range(32))


@pytest.mark.parametrize("domain", list(Domain))
@pytest.mark.parametrize("text", ["", "a", "mañana", "x" * 1000])
def test_equals_the_standard_librarys_keyed_blake2b_over_domain_and_text(domain: Domain, text: str) -> None:
    expected = blake2b(f"{domain.value}\0{text}".encode(), digest_size=16, key=KEY).digest()
    pseudonymiser = Pseudonymiser(KEY)
    assert pseudonymiser.of(domain, text) == expected
    make = pseudonymiser.maker(domain)
    assert [make(text), make(text)] == [expected, expected]


def test_equal_texts_of_two_domains_or_two_keys_have_unrelated_pseudonyms() -> None:
    one, other = Pseudonymiser(KEY), Pseudonymiser(KEY[::-1])
    made = [p.of(domain, "4242424242424242") for p in (one, other) for domain in Domain]
    assert len(set(made)) == len(made)


def test_the_key_id_tells_keys_apart_and_is_no_part_of_the_key() -> None:
    one, other = Pseudonymiser(KEY), Pseudonymiser(KEY[::-1])
    assert one.key_id == Pseudonymiser(KEY).key_id != other.key_id
    assert len(bytes.fromhex(one.key_id)) == 4
    assert one.key_id not in KEY.hex()
    assert KEY.hex() not in repr(one)


@pytest.mark.parametrize("length", [0, 16, 31, 65])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 to 64 bytes"):
        Pseudonymiser(b"k" * length)


def test_the_vault_opens_what_it_sealed_and_hides_it() -> None:
    vault = Vault(KEY)
    sealed = vault.seal(b'{"email":"mona@example.com"}')
    assert b"mona" not in sealed
    assert vault.open(sealed) == b'{"email":"mona@example.com"}'


def test_another_key_or_a_changed_byte_is_refused_with_a_next_step() -> None:
    sealed = Vault(KEY).seal(b"x")
    with pytest.raises(ConfigurationError, match="Set FRAUDGRAPH_KEY"):
        Vault(KEY[::-1]).open(sealed)
    with pytest.raises(ConfigurationError, match="another key, or changed"):
        Vault(KEY).open(sealed[:-5] + b"AAAA=")


def test_the_vault_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(b"short")
