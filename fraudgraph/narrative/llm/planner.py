"""The planner that asks a language model; what it says is a plan, and everything in a plan is verified."""

from __future__ import annotations

from fraudgraph.narrative.claims import Plan, PlanError, read_plan
from fraudgraph.narrative.kept import Asked
from fraudgraph.narrative.llm.client import ModelClient
from fraudgraph.narrative.llm.endpoint import Prompt
from fraudgraph.narrative.llm.prompt import VERSION, plan_prompt, prompt_hash, repair_prompt
from fraudgraph.narrative.pack import EvidencePack
from fraudgraph.narrative.port import Failure, PlanReply


class ModelPlanner:
    """Asks a model for plans; see `Planner`.

    Args:
        reading: whether the model is asked for sentences of its own beside the claims.
        currency: of the endpoint's prices, as an ISO 4217 code.
    """

    def __init__(self, client: ModelClient, *, reading: bool = False, currency: str = "USD") -> None:
        self.client = client
        self._reading = reading
        self._currency = currency

    @property
    def asked(self) -> Asked:
        """What a kept plan is told from another one by."""
        return Asked(self.client.endpoint.pinned, prompt_hash(self._reading))

    def plan(self, pack: EvidencePack) -> PlanReply:
        """Returns the model's plan.

        Raises:
            ModelError: the model cannot be had, or its answer is no plan.
        """
        return self._asked(plan_prompt(pack, reading=self._reading))

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """Returns the model's second plan, with what both took.

        Raises:
            ModelError: the model cannot be had, or its answer is no plan.
        """
        again = self._asked(repair_prompt(pack, reply.plan, failures, reading=self._reading))
        return PlanReply(
            plan=again.plan,
            narrator=again.narrator,
            version=again.version,
            prompt_hash=again.prompt_hash,
            model=again.model,
            tokens_in=reply.tokens_in + again.tokens_in,
            tokens_out=reply.tokens_out + again.tokens_out,
            cost_micros=reply.cost_micros + again.cost_micros,
            cost_currency=again.cost_currency,
            cached=reply.cached and again.cached,
        )

    def _asked(self, prompt: Prompt) -> PlanReply:
        endpoint = self.client.endpoint
        plan, usage = self.client.ask(prompt, _plan)
        return PlanReply(
            plan=plan,
            narrator=endpoint.model,
            version=VERSION,
            prompt_hash=prompt_hash(self._reading),
            model=endpoint.pinned,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            cost_micros=-(-usage.nano // 1000),
            cost_currency=self._currency,
            cached=usage.cached,
        )


def _plan(body: bytes) -> Plan:
    try:
        return read_plan(body)
    except PlanError as error:
        raise ValueError(error.fault) from None
