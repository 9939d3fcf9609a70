"""How a practice HubSpot behaves: every switch, with the default of an ordinary, healthy portal."""

from dataclasses import dataclass

from connector.moments import MINUTE, Clock, system_clock


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxOptions:
    """The settings of one practice portal; sources disagree about HubSpot, so what they disagree on can be switched."""

    port: int = 9009
    """0 takes a free one."""
    host: str = "127.0.0.1"
    portal: int = 4242
    app_id: int = 7001
    access_token: str = "pat-sandbox"  # noqa: S105 - invented, opens nothing but this sandbox
    client_secret: str = "sandbox-secret"  # noqa: S105 - as above
    refresh_token: str = "refresh-sandbox"  # noqa: S105 - as above
    client_id: str | None = None
    """Of the OAuth app; None: any."""
    token_lifetime_ms: int = 30 * MINUTE
    """How long an access token that OAuth gave out lives."""
    rotates_refresh_tokens: bool = False
    """Whether a refresh brings a new refresh token and ends the old one; HubSpot's are said to stay."""
    keeps_refresh_token_silent: bool = False
    """Whether the answer to a refresh leaves the refresh token out."""
    tells_whose_token: bool = True
    """Whether that answer names the portal and the scopes; the versions of HubSpot's endpoint differ."""
    asks_consent: bool = False
    """Whether installing the app shows a form first, or sends people back at once."""
    webhook_url: str | None = None
    """Where its webhooks go, byte for byte what is signed. None: events are kept in a log only."""
    deliver_to: str | None = None
    """The address really connected to when it differs from `webhook_url`, as behind a proxy."""
    seed: int = 1
    contacts: int = 0
    """How many invented people it starts with; they were there before, so no events tell of them."""
    latency_ms: int = 0
    calls_per_10s: int | None = None
    """None: unlimited, headers are still sent."""
    calls_per_day: int | None = None
    searches_per_second: int | None = None
    backward_writes: str = "ignore"
    """What a backward `lifecyclestage` does when written through the API: ignore, accept or refuse."""
    double_rate: float = 0.0
    """The share of events delivered twice."""
    shuffle: bool = False
    drop_rate: float = 0.0
    """The share of events lost for good."""
    batch_window_ms: int = 50
    """How long events are gathered into one POST of at most 100."""
    retry_delay_ms: int = 1000
    """The base delay of webhook retries; in HubSpot these are minutes and hours."""
    clock: Clock = system_clock
    response_timeout_ms: int = 5000
    """How long a webhook's receiver may take."""
    generic_events: bool = False
    """`object.*` events with `objectTypeId` in place of `contact.*`, `company.*` and `deal.*`."""
    counters_fire: bool = False
    """Whether HubSpot's own read-only, uncalculated counters fire propertyChange; it is not documented."""
    unsubscribed: tuple[str, ...] = ()
    """Properties that would fire by default but are not subscribed to."""
    sensitive: tuple[str, ...] = ()
    """Properties whose values arrive as REDACTED in classic events."""
    search_lag_ms: int = 1000
    """How long search needs to see a change."""
    merging_makes_third: bool = True
    """Whether two merged contacts become a third with a new id, or go on as the winner."""
    merged_are_binned: bool = False
    """Whether the recycle bin shows contacts that were merged into another; it is not documented."""
    automations: tuple[str, ...] = ("deal_created", "deal_won")
    """HubSpot's own stage changes; there is also `company_stage`: a company's stage goes to its contacts."""
    default_stage: str = ""
    """The stage that new contacts get by themselves."""
    trace_ids_on_update: bool = False
    """Whether objectWriteTraceId turns the whole-batch 400 of a batch update into a 207, as it does for creates."""
    unique_task_properties: bool = True
    """Whether tasks accept a custom property with hasUniqueValue."""
    missing_scopes: tuple[str, ...] = ()
    tells_scopes: bool = True
    """Whether a token's scopes can be asked for; of OAuth tokens and service keys HubSpot tells none there."""
    clock_ahead_ms: int = 0
    """How far the clock that answers are dated by is ahead of `clock`."""
    time_zone: str = "UTC"
