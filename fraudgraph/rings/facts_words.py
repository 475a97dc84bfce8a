"""Numbers, dates and money in the words that every fact and report uses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def when(ms: int) -> datetime:
    """Returns a time in ms since the epoch as an aware UTC datetime."""
    return _EPOCH + timedelta(milliseconds=ms)


def date(ms: int) -> str:
    """Returns `2026-03-01` (UTC)."""
    return when(ms).strftime("%Y-%m-%d")


def minute(ms: int) -> str:
    """Returns `2026-03-01 14:05` (UTC)."""
    return when(ms).strftime("%Y-%m-%d %H:%M")


def rfc3339(ms: int) -> str:
    """Returns `2026-03-01T14:05:00Z`; milliseconds only where there are some."""
    text = when(ms).replace(tzinfo=None).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
    return f"{text}Z"


def between(first_ms: int, last_ms: int) -> str:
    """Returns `on 2026-03-01` or `from 2026-03-01 to 2026-03-04`."""
    first, last = date(first_ms), date(last_ms)
    return f"on {first}" if first == last else f"from {first} to {last}"


def duration(ms: int) -> str:
    """Returns a span in its natural unit: `40 minutes`, `5 hours`, `3 days`, `4 months`, `2 years`."""
    if ms < HOUR_MS:
        return count(max(1, round(ms / MINUTE_MS)), "minute")
    if ms < 2 * DAY_MS:
        return count(round(ms / HOUR_MS), "hour")
    days = round(ms / DAY_MS)
    if days < 92:
        return count(days, "day")
    if days < 730:
        return count(round(days / 30.44), "month")
    return count(round(days / 365.25), "year")


def plural(number: int, noun: str) -> str:
    """Returns the noun in the number's form: `account`, `accounts`, `addresses`."""
    if number == 1:
        return noun
    if noun.endswith(("s", "ch", "x")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def count(number: int, noun: str) -> str:
    """Returns `1 account`, `4,212 accounts`."""
    return f"{number:,} {plural(number, noun)}"


def sentence(text: str) -> str:
    """Returns the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def of(part: int, whole: int, noun: str) -> str:
    """Returns `6 of the 8 accounts`, `all 6 accounts`, `both accounts`, `the only account`."""
    if part < whole:
        return f"{part:,} of the {count(whole, noun)}"
    if whole == 1:
        return f"the only {noun}"
    return f"both {plural(2, noun)}" if whole == 2 else f"all {count(whole, noun)}"


def parts(sizes: Sequence[int]) -> str:
    """Returns what a ring falls into: `6 + 5 accounts`, `6 accounts and 4 single ones`, `single accounts`."""
    groups = [n for n in sizes if n > 1]
    singles = len(sizes) - len(groups)
    if not groups:
        return "single accounts"
    text = f"{' + '.join(map(str, groups[:4]))} accounts"
    if len(groups) > 4:
        text += f", {count(len(groups) - 4, 'smaller group')}"
    return f"{text} and {count(singles, 'single one')}" if singles else text


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Returns `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    shown = list(names[:limit])
    if len(names) > limit:
        return f"{', '.join(shown)} and {len(names) - limit:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nobody"


@lru_cache(maxsize=1)
def _currencies() -> dict[int, tuple[str, int]]:
    import iso4217  # here, because a list of rings without money need not load the table

    return {c.number: (c.code, c.exponent or 0) for c in iso4217.Currency}


def currency_code(currency: int) -> str | None:
    """Returns the alpha-3 code of an ISO 4217 numeric code; None where there is no currency."""
    found = _currencies().get(currency)
    return found[0] if found else None


def major(minor: int, currency: int) -> Decimal:
    """Returns an amount in minor units as an exact decimal in major units."""
    found = _currencies().get(currency)
    return Decimal(minor).scaleb(-(found[1] if found else 2))


def money(minor: int, currency: int) -> str:
    """Returns `1,234.56 EUR`; without a currency the bare number."""
    code = currency_code(currency)
    return f"{major(minor, currency):,f} {code}" if code else f"{major(minor, currency):,f}"


def money_list(minor_by_currency: dict[int, int]) -> str:
    """Returns `1,234.56 EUR and 900 JPY`, largest number of minor units first; `no money` where there is none."""
    amounts = sorted(((m, c) for c, m in minor_by_currency.items() if m), key=lambda mc: (-mc[0], mc[1]))
    return listed([money(m, c) for m, c in amounts]) if amounts else "no money"
