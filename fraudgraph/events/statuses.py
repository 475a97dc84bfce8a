"""The many words for the outcome of an order or payment, sorted into four."""

from __future__ import annotations

from typing import Final

from fraudgraph.events.kinds import Status

# The words of the large payment providers' interfaces and of common shop systems.
_WORDS: Final = {
    Status.APPROVED: (
        "accepted approved authorized_and_captured captured charged complete completed confirmed delivered done "
        "fulfilled ok paid partially_refunded processed refunded sent settled shipped succeeded success successful"
    ),
    Status.DECLINED: (
        "blocked declined denied error expired failed failure insufficient_funds invalid nok refused rejected "
        "unsuccessful"
    ),
    Status.PENDING: (
        "authorised authorized created in_progress initiated new on_hold open pending processing requested "
        "requires_action requires_capture requires_payment_method review submitted waiting"
    ),
    Status.CANCELLED: "abandoned aborted canceled cancelled reversed void voided withdrawn",
}
_TABLE: Final = {word: status for status, words in _WORDS.items() for word in words.split()}


def status_of(text: str) -> Status:
    """Returns the outcome that a shop's status word stands for; NONE for a word that is not in the table."""
    found = _TABLE.get(text)
    if found is None:
        found = _TABLE.get("_".join(text.casefold().replace("-", " ").replace("_", " ").split()), Status.NONE)
    return found
