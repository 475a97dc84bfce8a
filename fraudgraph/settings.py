"""Every knob, with its unit in its name: flag > environment > file > default."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.llm.rules import KEY_VARIABLE as NARRATOR_KEY_VARIABLE
from fraudgraph.narrative.llm.rules import NarratorRules

ENVIRONMENT_PREFIX = "FRAUDGRAPH_"
KEY_VARIABLE = "FRAUDGRAPH_KEY"
PREVIOUS_KEY_VARIABLE = "FRAUDGRAPH_KEY_PREVIOUS"
CONFIG_VARIABLE = "FRAUDGRAPH_CONFIG"
AUTHOR_VARIABLE = "FRAUDGRAPH_AUTHOR"
KAFKA_PASSWORD_VARIABLE = "FRAUDGRAPH_KAFKA_PASSWORD"
NEO4J_PASSWORD_VARIABLE = "FRAUDGRAPH_NEO4J_PASSWORD"
_NOT_KNOBS = frozenset(
    {
        KEY_VARIABLE,
        PREVIOUS_KEY_VARIABLE,
        CONFIG_VARIABLE,
        AUTHOR_VARIABLE,
        KAFKA_PASSWORD_VARIABLE,
        NEO4J_PASSWORD_VARIABLE,
        NARRATOR_KEY_VARIABLE,
    }
)

Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where links, rings and positions are kept."""

    url: Annotated[str, Meta(min_length=1)] = "sqlite:///fraudgraph.db"


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """How identifiers are read before they become pseudonyms; "" stands for none."""

    default_region: Annotated[str, Meta(pattern=r"^([A-Z]{2})?$")] = ""
    default_currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$")] = "EUR"
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class TimeSettings:
    """How late and how early an event may be, in event time."""

    allowed_lateness_minutes: Natural = 60
    max_skew_hours: Positive = 24
    max_gap_days: Positive = 30


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """The size of a commit."""

    batch_events: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The topics that the daemon reads; the password comes from the environment only."""

    bootstrap: str = ""
    topics: Annotated[str, Meta(min_length=1)] = "shop-events"
    group: Annotated[str, Meta(min_length=1)] = "fraudgraph"
    start: Literal["beginning", "watermark"] = "beginning"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    username: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    poll_wait_ms: Annotated[int, Meta(ge=1, le=10_000)] = 250
    fetch_max_bytes: Annotated[int, Meta(ge=1024)] = 16_777_216


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """How `fraudgraph daemon` runs: its page, its patience, and when silence counts; "" stands for none."""

    http: str = ""
    batch_events_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 8000
    commits_ahead: Annotated[int, Meta(ge=0, le=2)] = 1
    drain_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    store_wait_max_seconds: Annotated[int, Meta(ge=1, le=3600)] = 10
    live_seconds: Positive = 120
    ready_seconds: Positive = 60
    idle_after_seconds: Natural = 300


@dataclass(frozen=True, slots=True)
class Neo4jSettings:
    """How a store in Neo4j is reached, beside its URL; the password comes from the environment or a file."""

    password_file: str = ""
    ca_file: str = ""
    connection_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 10_000
    retry_max_seconds: Annotated[int, Meta(ge=1, le=3600)] = 10
    write_max_seconds: Annotated[int, Meta(ge=5, le=3600)] = 120
    fetch_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 2000
    local_folder: Annotated[str, Meta(min_length=1)] = "."


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How long, in event time, what is no link is remembered after its last use."""

    user_days: Positive = 400
    order_days: Positive = 180
    transfer_days: Positive = 365


@dataclass(frozen=True, slots=True)
class RingSettings:
    """What counts as a ring by size."""

    min_users: Annotated[int, Meta(ge=2)] = 3
    max_users: Annotated[int, Meta(ge=2)] = 200
    max_strangers: Positive = 3
    warmup_days: Annotated[int, Meta(ge=0)] = 14
    largest_share_alarm: Fraction = 0.05

    def __post_init__(self) -> None:
        if self.max_users < self.min_users:
            raise ConfigurationError(
                f"rings.max_users {self.max_users} is below rings.min_users {self.min_users}",
                do="Raise one or lower the other.",
            )


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """When a ring becomes an alert, and where the daemon delivers it; "" stands for nowhere."""

    min_probability: Fraction = 0.5
    weak_tie_strength: Fraction = 0.6
    list_min_probability: Fraction = 0.01
    topic: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The shop's own rules; "" stands for whatever `fraudgraph rules apply` put in force."""

    file: str = ""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which bundle scores until another is promoted, which one only looks on, where bundles are; "" stands for none."""

    bundle: str = ""
    shadow: str = ""
    folder: Annotated[str, Meta(min_length=1)] = "models"
    registry: Literal["folder", "mlflow"] = "folder"
    registry_url: str = ""


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """When what a model sees counts as drifted (`scoring.drift`)."""

    psi: Annotated[float, Meta(gt=0.0)] = 0.25
    min_sample: Annotated[int, Meta(ge=20)] = 100
    calibration: Fraction = 0.15
    min_verdicts: Positive = 20


@dataclass(frozen=True, slots=True)
class CaseSettings:
    """Whose word counts; every command of one store must run under the same."""

    second_reader: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetterSettings:
    """How long the original bytes of refused events are kept, and whether a Kafka topic gets them in clear too."""

    days: Positive = 30
    topic: str = ""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where the daemon's spans go; "" stands for nowhere."""

    otlp_endpoint: Annotated[str, Meta(pattern=r"^(https?://[^\s@]+)?$")] = ""


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What is logged to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "warning"


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections; `configs/embedded.toml` explains each knob."""

    store: StoreSettings = field(default_factory=StoreSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    time: TimeSettings = field(default_factory=TimeSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    neo4j: Neo4jSettings = field(default_factory=Neo4jSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    links: LinkPolicy = field(default_factory=LinkPolicy)
    memory: MemorySettings = field(default_factory=MemorySettings)
    rings: RingSettings = field(default_factory=RingSettings)
    priority: PriorityRules = field(default_factory=PriorityRules)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    rules: RuleSettings = field(default_factory=RuleSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    cases: CaseSettings = field(default_factory=CaseSettings)
    narrator: NarratorRules = field(default_factory=NarratorRules)
    dead_letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        longest = max(
            self.memory.order_days, self.memory.transfer_days, *(kind.ttl_days for kind in self.links.kinds.values())
        )
        if self.memory.user_days <= longest:
            raise ConfigurationError(
                f"memory.user_days {self.memory.user_days} is not above {longest}, another time to live",
                do="Raise it above memory.order_days, memory.transfer_days and every ttl_days.",
            )
        read = {name.strip() for name in self.kafka.topics.split(",")}
        for knob, topic in (("alerts.topic", self.alerts.topic), ("dead_letters.topic", self.dead_letters.topic)):
            if topic in read:
                raise ConfigurationError(
                    f"{knob} {topic} is one of kafka.topics: the daemon would read what it writes",
                    do="Give it a topic of its own.",
                )


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force, and for each knob (`time.max_skew_hours`) where its value came from."""

    settings: Settings
    values: Mapping[str, object]
    origins: Mapping[str, str]


def defaults() -> dict[str, object]:
    """Returns every knob by its dotted name, with its default."""
    return dict(_flatten(msgspec.to_builtins(Settings())))


def load_settings(
    *,
    environment: Mapping[str, str] = os.environ,
    config: Path | None = None,
    flags: Mapping[str, str] = MappingProxyType({}),
) -> Effective:
    """Returns the settings in force.

    Args:
        environment: variables; `FRAUDGRAPH_TIME__MAX_SKEW_HOURS` sets `time.max_skew_hours`.
        config: TOML file; `FRAUDGRAPH_CONFIG` where None. The built-in defaults equal `configs/embedded.toml`.
        flags: dotted knob -> text, from the command line.

    Raises:
        ConfigurationError: an unknown knob, a value that does not fit, or a file that cannot be read.
    """
    known = _knobs(Settings())
    values = defaults()
    origins = dict.fromkeys(values, "default")
    for name, origin, value in _layers(environment, config, flags, known):
        values[name] = _read(name, origin, value, known[name])
        origins[name] = origin
    return Effective(msgspec.convert(_nest(values), Settings), values, origins)


def _layers(
    environment: Mapping[str, str], config: Path | None, flags: Mapping[str, str], known: Mapping[str, Any]
) -> Iterator[tuple[str, str, object]]:
    """Yields (knob, where from, value), the weakest layer first."""
    path = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if path is not None:
        for name, value in _flatten(_read_file(path)):
            _require_known(name, f"file {path}", known)
            yield name, f"file {path}", value
    for variable in sorted(environment):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _NOT_KNOBS:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if name not in known:
            nearest = _nearest(name, known)
            raise ConfigurationError(
                f"environment variable {variable} names no setting",
                do=f"The nearest is {variable_of(nearest)}; `fraudgraph config show` lists all.",
            )
        yield name, f"environment {variable}", environment[variable]
    for name, text in flags.items():
        _require_known(name, "the command line", known)
        yield name, "command line", text


def variable_of(name: str) -> str:
    """Returns the environment variable of a knob."""
    return ENVIRONMENT_PREFIX + name.upper().replace(".", "__")


def _read_file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"settings file {path} cannot be read ({error.strerror})",
            do="Give an existing file with --config, or leave it out for the built-in defaults.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"settings file {path} is no TOML ({error})", do="Mend that line; configs/embedded.toml is an example."
        ) from error


def _require_known(name: str, origin: str, known: Mapping[str, Any]) -> None:
    if name in known:
        return
    if any(other.startswith(f"{name}.") for other in known):
        raise ConfigurationError(f"{name} in {origin} is a section, not a value", do=f"Write [{name}] and its knobs.")
    raise ConfigurationError(
        f"{name} in {origin} is no setting",
        do=f"The nearest is {_nearest(name, known)}; `fraudgraph config show` lists all.",
    )


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    """Returns the knob most like `name`: by the whole name first, then by its last word, for a wrong section."""
    knobs = list(known)
    leaves = [knob.rpartition(".")[2] for knob in knobs]
    if whole := difflib.get_close_matches(name, knobs, n=1, cutoff=0.7):
        return whole[0]
    if leaf := difflib.get_close_matches(name.rpartition(".")[2], leaves, n=1, cutoff=0.75):
        return knobs[leaves.index(leaf[0])]
    return difflib.get_close_matches(name, knobs, n=1, cutoff=0.0)[0]


def _read(name: str, origin: str, value: object, kind: Any) -> object:
    """Returns the value in the knob's type; a flag's or variable's text may stand for a number, a file's may not."""
    try:
        return msgspec.convert(value, kind, strict=origin.startswith("file"))
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{name} = {value!r} from {origin} does not fit", do=f"{error}; configs/embedded.toml explains it."
        ) from error


def _knobs(section: object, prefix: str = "") -> dict[str, Any]:
    """Returns every knob under a section with its type; the keys of `links.kinds` are a closed set."""
    found: dict[str, Any] = {}
    hints = get_type_hints(type(section), include_extras=True)
    for name, kind in hints.items():
        value = getattr(section, name)
        parts = value.items() if isinstance(value, dict) else [("", value)] if is_dataclass(value) else ()
        for key, part in parts:
            found |= _knobs(part, f"{prefix}{name}.{key}." if key else f"{prefix}{name}.")
        if not parts:
            found[prefix + name] = kind
    return found


def _flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nest(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, leaf = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[leaf] = value
    return tree


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """Reads `time.max_skew_hours=12` pairs from the command line.

    Raises:
        ConfigurationError: a pair without `=`.
    """
    overrides = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {pair!r} has no =", do="Write --set time.max_skew_hours=12.")
        overrides[name.strip()] = text.strip()
    return overrides
