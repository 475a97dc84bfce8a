"""The event: one discriminated union, which is also the JSON Schema that the shop writes against."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset.")]
Amount = Annotated[
    Decimal,
    Meta(description="In major units, as a string or number; exact, never rounded: at most the currency's decimals."),
]
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code.")]
Country = Annotated[str, Meta(min_length=2, max_length=2, description="ISO 3166-1 alpha-2 code.")]


class _Base(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What every event about a user may carry; what it carries of identifiers becomes links."""

    event_id: Annotated[Id, Meta(description="Unique per event; a second delivery of the same id is ignored.")]
    ts: Annotated[Timestamp, Meta(description="When it happened in the shop.")]
    user_id: Annotated[Id, Meta(description="The shop's key of the account.")]
    device_id: Id | None = None
    ip: Annotated[str, Meta(max_length=64)] | None = None
    card: Annotated[Id, Meta(description="Card number or the payment provider's token or fingerprint.")] | None = None
    email: Annotated[str, Meta(max_length=320)] | None = None
    phone: Annotated[str, Meta(max_length=64)] | None = None
    address: Annotated[Text, Meta(description="Delivery address, in one line.")] | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    order_id: Id | None = None
    status: Annotated[str, Meta(max_length=64)] | None = None
    reason: Annotated[str, Meta(max_length=512)] | None = None
    country: Country | None = None
    user_agent: Annotated[str, Meta(max_length=2048)] | None = None


class Signup(_Base, frozen=True, tag="signup"):
    """An account is opened."""


class Login(_Base, frozen=True, tag="login"):
    """An account is entered."""


class Order(_Base, frozen=True, tag="order"):
    """Goods are ordered; `order_id` makes its money counted once."""


class Payment(_Base, frozen=True, tag="payment"):
    """A payment is tried, or a card is added; `status` says whether it was approved."""


class Refund(_Base, frozen=True, tag="refund"):
    """Money goes back, usually for a return; `order_id` says for which order."""


class Transfer(_Base, frozen=True, kw_only=True, tag="transfer"):
    """Money moves from one account to another."""

    to_user_id: Id


class Referral(_Base, frozen=True, kw_only=True, tag="referral"):
    """An account (`user_id`) brings another one (`referred_user_id`)."""

    referred_user_id: Id


class Chargeback(_Base, frozen=True, tag="chargeback"):
    """The bank takes the money back; `order_id` says for which order, where known."""


class Label(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="label"):
    """What somebody says about a user or an order; it counts from `arrived_ts`, never before."""

    event_id: Id
    ts: Timestamp
    target: Annotated[str, Meta(pattern=r"^(user|order):.{1,256}$", description="`user:ID` or `order:ID`.")]
    value: Literal["fraud", "legitimate"]
    about_ts: Timestamp
    arrived_ts: Timestamp
    source: Annotated[str, Meta(min_length=1, max_length=64)]
    supersedes: Id | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="command"):
    """What a person asks of the engine; it enters at the left like any event."""

    event_id: Id
    ts: Timestamp
    name: Annotated[str, Meta(pattern=r"^[a-z-]{1,64}$")]
    author: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: dict[str, str] = {}


UserEvent = Signup | Login | Order | Payment | Refund | Transfer | Referral | Chargeback
Event = UserEvent | Label | Command
