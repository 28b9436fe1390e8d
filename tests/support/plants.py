"""Effects of twice what each change detector asks for, planted at three times the volume that it demands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from shared.detectors import expression
from shared.detectors.declaration import Detector, feature
from tests.support.worlds import DAYS, NAMED, Effect, Floats, Group, Maker, World, made, needed, parent, related

TIMES_THE_GUARD = 3.0
QUIET = 20
"""So many of the same size stand beside the planted one."""
NEAR_DAYS = 147
Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Plant:
    """What is planted into the first entity (or the `place`d one).

    levels: of metrics, where not in the middle of their range. volumes: of a day or a send, beyond what the guard says.
    beside: the same of other entity types. new: its rows are of so many days. lonely: without a large one beside it.
    """

    effects: tuple[Effect, ...]
    levels: Mapping[str, float] = field(default_factory=dict)
    volumes: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, "Plant"] = field(default_factory=dict)
    place: int = 0
    new: int = 0
    lonely: bool = False


def fallen(ratio: float) -> float:
    """What is left by a fall twice as deep as one to `ratio`."""
    return max(1 - 2 * (1 - ratio), 0.0)


def risen(ratio: float) -> float:
    """What a rise twice as high as one to `ratio` makes."""
    return 1 + 2 * (ratio - 1)


def _falls(metric: str, last: int, threshold: str = "max_ratio", **more: object) -> Callable[[Thresholds], Plant]:
    return lambda t: Plant((Effect(metric, times=fallen(t[threshold]), last=last),), **more)  # type: ignore[arg-type]


def _rises(metric: str, last: int, threshold: str = "min_ratio", **more: object) -> Callable[[Thresholds], Plant]:
    return lambda t: Plant((Effect(metric, times=risen(t[threshold]), last=last),), **more)  # type: ignore[arg-type]


def _stops(metric: str, last: int, **more: object) -> Callable[[Thresholds], Plant]:
    return lambda t: Plant((Effect(metric, times=0.0, last=last),), **more)  # type: ignore[arg-type]


def _moves(metric: str, last: int, threshold: str, sign: int, **more: object) -> Callable[[Thresholds], Plant]:
    return lambda t: Plant((Effect(metric, plus=sign * 2 * t[threshold], last=last),), **more)  # type: ignore[arg-type]


def ramp(weekly: float, weeks: int) -> Floats:
    """Factors by days before the end, around 1: `weekly` more each week for so many weeks."""
    ago = np.arange(DAYS)
    return np.asarray(1 + weekly * (weeks * 3.5 - 0.5 - ago) / 7)


_MOBILE, _DIRECT, _ORGANIC, _UNASSIGNED = 1, 0, 3, 6
_OTHER_CHANNELS = tuple(range(1, 7))


def _mix(t: Thresholds) -> Plant:
    """Twice the move between three devices of one size, the total as before."""
    more = 2 * t["min_moved"] * 3
    return Plant(
        (
            Effect("sessions", times=1 + more, last=27, places=(_MOBILE,)),
            Effect("sessions", times=1 - more / 2, last=27, places=(0, 2)),
        ),
        place=_MOBILE,
        lonely=True,
    )


def _direct(t: Thresholds) -> Plant:
    more = 2 * t["min_rise"] * 7
    return Plant(
        (
            Effect("sessions", times=1 + more, last=27, places=(_DIRECT,)),
            Effect("sessions", times=1 - more / 6, last=27, places=_OTHER_CHANNELS),
        ),
        volumes={"sessions": TIMES_THE_GUARD * t["min_sessions"] / 28 / 7},
        lonely=True,
    )


def _unassigned(t: Thresholds) -> Plant:
    """From 2% of the site's sessions to twice the largest share allowed."""
    return Plant(
        (
            Effect("sessions", times=0.12, last=DAYS, places=(_UNASSIGNED,)),
            Effect("sessions", times=2 * t["max_share"] / 0.02, last=27, places=(_UNASSIGNED,)),
        ),
        volumes={"sessions": TIMES_THE_GUARD * t["min_sessions"] / 28 / 6},
        place=_UNASSIGNED,
        lonely=True,
    )


def _gap(t: Thresholds) -> Plant:
    """Mobile converts a little more than half as well as desktop; then twice the fall of that share."""
    return Plant(
        (
            Effect("conversions", times=t["usual_gap"], last=DAYS, places=(_MOBILE,)),
            Effect("conversions", times=fallen(t["max_gap_change"]), last=27, places=(_MOBILE,)),
        ),
        place=_MOBILE,
    )


def _bots(t: Thresholds) -> Plant:
    times = risen(t["min_ratio"])
    return Plant(
        (
            Effect("sessions", times=times),
            Effect("engagement_seconds", times=1 / times),
            Effect("pageviews", times=1 / times, plus=1 - 1 / times),
        )
    )


def _tired(t: Thresholds) -> Plant:
    ago = np.arange(DAYS)
    return Plant(
        (
            Effect(
                "engaged_contacts", plus=-2 * t["min_fall"] * np.clip((200 - ago) / 182, 0, 1) * (ago < 200), last=DAYS
            ),
        ),
        levels={"engaged_contacts": 0.5},
    )


PLANTS: dict[str, Callable[[Thresholds], Plant]] = {
    "page_cvr_drop": _falls("conversions", 6),
    "page_cvr_gain_to_replicate": _rises("conversions", 13),
    "page_traffic_drop": _falls("sessions", 6),
    "page_engagement_drop": _moves("engaged_sessions", 6, "min_fall", -1),
    "page_exit_spike": _moves("exits", 6, "min_rise", 1),
    "lp_organic_entrance_decay": lambda t: Plant(
        (
            Effect(
                "organic_sessions",
                times=ramp(-(1 - fallen(t["max_ratio"])) / (4 + 4 * fallen(t["max_ratio"])), 12),
                last=83,
            ),
        )
    ),
    "device_cvr_gap": _gap,
    "device_cvr_sudden_drop": lambda t: Plant(
        (Effect("conversions", times=fallen(t["max_ratio"]), last=2),),
        volumes={"conversions": TIMES_THE_GUARD * t["min_expected"] / 3},
    ),
    "device_browser_breakage": _falls("conversions", 6),
    "device_mix_shift": _mix,
    "source_traffic_drop": _falls("sessions", 6),
    "source_traffic_spike_quality": lambda t: Plant(
        (
            Effect("sessions", times=risen(t["min_ratio"])),
            Effect("engaged_sessions", times=fallen(t["max_engagement_ratio"])),
        )
    ),
    "source_new_valuable": lambda t: Plant(
        (Effect("conversions", times=risen(t["min_ratio"]), last=27),),
        new=20,
        volumes={
            "sessions": TIMES_THE_GUARD * t["min_sessions"] / 20,
            "conversions": TIMES_THE_GUARD * t["min_conversions"] / 20,
        },
    ),
    "source_quality_decline": lambda t: Plant(
        (Effect("engaged_sessions", times=ramp(-2 * t["min_fall"] / 6 / 0.6, 8), last=55),),
        levels={"engaged_sessions": 0.6},
        volumes={"sessions": TIMES_THE_GUARD * t["min_weekly_sessions"] / 7},
    ),
    "channel_revenue_drop": _falls("revenue", 6),
    "channel_cvr_divergence": _falls("conversions", 6),
    "channel_unassigned_share": _unassigned,
    "channel_direct_inflation": _direct,
    "channel_yoy_organic_loss": lambda t: Plant(
        (Effect("sessions", times=fallen(t["max_ratio"]), last=27, places=(_ORGANIC,)),), place=_ORGANIC
    ),
    "campaign_roas_drop": lambda t: Plant(
        (Effect("ads_value", times=fallen(t["max_ratio"]), last=13),),
        volumes={"ads_conversions": TIMES_THE_GUARD * t["min_cpas"] / 14},
    ),
    "campaign_cpa_spike": lambda t: Plant((Effect("ads_conversions", times=1 / risen(t["min_ratio"])),)),
    "campaign_ctr_decline": _falls("clicks", 27),
    "campaign_cpc_inflation": _rises("cost", 27),
    "campaign_conversions_stopped": lambda t: Plant(
        (Effect("ads_conversions", times=0.0, last=2),),
        volumes={"ads_conversions": TIMES_THE_GUARD * t["min_expected"] / 3},
    ),
    "x_ads_conv_vs_ga4": lambda t: Plant(
        (Effect("conversions", times=1 - 2 * t["max_gap"], last=27),),
        levels={"conversions": 0.049, "sessions": 1.0, "ads_conversions": 0.049},
        volumes={"ads_conversions": TIMES_THE_GUARD * t["min_conversions"] / 28},
    ),
    "cust_new_customer_drop": _falls("new_customers", 27),
    "cust_ltv_cac_low": lambda t: Plant(
        (Effect("cost", times=risen(t["min_cac_rise"]), last=41),), levels={"ltv_12m": 25.0, "cost": 0.8}
    ),
    "funnel_step_drop": _falls("conversions", 6),
    "funnel_biggest_leak": _falls("conversions", 27),
    "funnel_checkout_abandon": _moves("conversions", 6, "min_rise", -1),
    "funnel_payment_failure": lambda t: Plant(
        (Effect("failed_payments", times=risen(t["min_ratio"])),), levels={"failed_payments": t["min_rate"]}
    ),
    "kw_rank_drop": _moves("position", 6, "min_fall", 1, levels={"position": 5.0}),
    "kw_lost_top3": _moves("position", 6, "min_fall", 1, levels={"position": 2.5}),
    "kw_competitor_overtook": lambda t: Plant(
        (Effect("competitor_position", times=0.0, plus=3.0, last=20),),
        levels={"competitor_position": 8.0},
        beside={
            "keyword": Plant(
                (Effect("position", plus=2 * t["min_lead"], last=6),),
                levels={"position": 4.0, "search_volume": TIMES_THE_GUARD * t["min_search_volume"]},
            )
        },
    ),
    "kw_rising_demand": lambda t: Plant(
        (Effect("impressions", times=ramp(2 * t["min_weekly_growth"], 8), last=55),), levels={"position": 6.0}
    ),
    "kw_branded_drop": _falls("impressions", 27),
    "content_decay": lambda t: Plant(
        (Effect("organic_sessions", times=fallen(t["max_ratio"]), last=27),),
        volumes={"organic_sessions": TIMES_THE_GUARD * t["min_peak_sessions"] / 28},
    ),
    "email_open_rate_drop": _falls("opens", 13),
    "email_click_rate_drop": _falls("clicks_email", 13),
    "email_unsubscribe_spike": lambda t: Plant(
        (Effect("unsubscribes", times=0.0, plus=2 * t["limit"], last=13),), levels={"unsubscribes": 0.002}
    ),
    "email_list_fatigue": _tired,
    "email_automation_stalled": _stops("sends", 6),
    "email_revenue_per_send_drop": _falls("email_orders", 13),
    "revenue_daily_anomaly": lambda t: Plant(
        (Effect("revenue", times=1 + 2 * t["min_z"] * 0.3, last=0),),
        volumes={"orders": TIMES_THE_GUARD * t["min_daily_orders"]},
    ),
    "revenue_trend_break": lambda t: Plant(
        (Effect("revenue", times=1 + 2 * t["max_slope"] * (np.maximum(4 - np.arange(DAYS) // 7, 0)), last=27),),
        volumes={"orders": TIMES_THE_GUARD * t["min_weekly_orders"] / 7},
    ),
    "revenue_aov_drop": _falls("revenue", 27),
    "revenue_discount_dependency": lambda t: Plant(
        (Effect("discounted_orders", plus=2 * t["min_rise"], last=110),),
        levels={"discounted_orders": 0.3, "discounted_revenue": 60.0, "revenue": 60.0},
    ),
    "revenue_refund_spike": lambda t: Plant(
        (Effect("refunds", times=risen(t["min_ratio"]), last=27),), levels={"refunds": t["min_rate"]}
    ),
    "revenue_geo_surge": _rises("orders", 27),
    "sub_churn_spike": _rises("churned_subscriptions", 29),
    "sub_trial_conversion_drop": _falls("trials_converted", 29),
    "sub_downgrade_wave": _rises("downgrades", 29),
    "dq_volume_anomaly": lambda t: Plant((Effect("row_count", times=1 + 2 * t["min_shift"], last=0),)),
    "dq_null_share_jump": _moves("null_count", 6, "min_rise", 1),
    "dq_tracking_stopped": _stops("event_count", 1),
    "dq_bot_traffic": _bots,
}
"""Detector -> its plant, by its thresholds."""


def planted(generator: np.random.Generator, detector: Detector) -> tuple[World, str]:
    """A site with one planted entity, and its id (the property's, where the detector judges the whole)."""
    plant = PLANTS[detector.id](detector.thresholds)
    spans = [detector.span(name) for name in detector.windows]
    long = any(one.unit == "month" or one.last > NEAR_DAYS for one in spans)
    days = DAYS if long and not all(w.optional for w in detector.windows.values() if w.ago or w.months) else NEAR_DAYS
    world: World = {}
    for entity_type, names in needed((detector,)).items():
        if entity_type == detector.rows_of:
            world[entity_type] = _own(generator, detector, plant, names, days)
        else:
            beside = plant.beside.get(entity_type)
            world[entity_type] = _beside(generator, entity_type, beside, names, days)
    related(generator, world)
    for group in world.values():
        for label, texts in group.labels.items():
            texts[0] = next(one.ids[0] for name, one in world.items() if name == label or texts[0] in one.ids)
    return world, "properties/1" if detector.reads else world[detector.rows_of].ids[plant.place]


def _own(generator: np.random.Generator, detector: Detector, plant: Plant, names: set[str], days: int) -> Group:
    entity_type = detector.rows_of
    levels = {name: sqrt(one.low * one.high) for name in names if (one := made(entity_type, name)) is not None}
    levels |= plant.levels
    for name in list(levels):
        if name not in plant.levels and (one := made(entity_type, name)) is not None and not one.of:
            levels[name] = 0.0
    for metric, volume in [*_volumes(detector), *plant.volumes.items()]:
        _raise(entity_type, names, levels, metric, volume)
    for name, level in levels.items():
        one = made(entity_type, name)
        levels[name] = level or sqrt(one.low * one.high) if one else level
    effects = tuple(
        one if one.places != (0,) else Effect(one.metric, one.times, one.plus, one.first, one.last, (plant.place,))
        for one in plant.effects
    )
    effects = tuple(_cut(one, days) for one in effects)
    count = len(NAMED.get(entity_type, ())) or QUIET + 1
    maker = Maker(generator, entity_type, names, count, days, levels, effects)
    group = maker.group()
    if entity_type == "email_campaign":
        group = _sent_lately(generator, maker, names)
    if plant.new:
        group.rows[plant.place, plant.new :] = False
    roots = {name for name in levels if (one := made(entity_type, name)) is not None and one.kind == "count"}
    if plant.lonely or entity_type == "property" or not roots or entity_type == "email_campaign":
        return group
    large = {name: level * (300 if name in roots else 1) for name, level in levels.items()}
    rest = Maker(generator, entity_type, names, 1, days, large, silent=True).group()
    return Group(
        [*group.ids, f"{entity_type}/large"],
        np.concatenate([group.rows, np.ones((1, days), dtype=bool) if not rest.rows.all() else rest.rows]),
        {
            name: np.concatenate([values, np.where(rest.rows, rest.metrics[name], np.nan)])
            for name, values in group.metrics.items()
        },
    )


def _sent_lately(generator: np.random.Generator, maker: Maker, names: set[str]) -> Group:
    """The planted mail was sent three days ago."""
    group = maker.group()
    group.rows[0] = np.arange(maker.days) == 3
    metrics = {name: np.where(group.rows, maker.found[name], np.nan) for name in names if name in maker.found}
    return Group(group.ids, group.rows, metrics)


def _cut(one: Effect, days: int) -> Effect:
    times = one.times[:days] if isinstance(one.times, np.ndarray) else one.times
    plus = one.plus[:days] if isinstance(one.plus, np.ndarray) else one.plus
    return Effect(one.metric, times, plus, one.first, one.last, one.places)


def _beside(generator: np.random.Generator, entity_type: str, plant: Plant | None, names: set[str], days: int) -> Group:
    if entity_type == "property":
        usual = {name: sqrt(one.low * one.high) for name in names if (one := made(entity_type, name)) is not None}
        return Maker(generator, entity_type, names, 1, days, usual | {"sessions": 200_000.0}, silent=True).group()
    count = len(NAMED.get(entity_type, ())) or 6
    levels = dict(plant.levels) if plant else {}
    effects = tuple(_cut(one, days) for one in plant.effects) if plant else ()
    return Maker(generator, entity_type, names, count, days, levels, effects).group()


def _volumes(detector: Detector) -> list[tuple[str, float]]:
    """Metric -> what a day (a send) must have of it, for three times the sums that the guard demands."""
    found = []
    for name, least in expression.least(detector.guard):
        one = feature(detector, name)
        least = detector.thresholds.get(least, 0.0) if isinstance(least, str) else least
        if one is None or one.scope != "own" or not one.metric:
            continue
        span = detector.span("cur" if one.kind == "expected" else one.window)
        if one.kind in ("sum", "expected"):
            length = span.days * 30.0 if span.unit == "month" else float(span.days)
            # A mail is sent on one day.
            length = 1.0 if detector.rows_of == "email_campaign" else length
            found.append((one.metric, TIMES_THE_GUARD * least / length))
        elif one.kind in ("mean", "last", "min", "max", "median"):
            found.append((one.metric, TIMES_THE_GUARD * least))
    return found


def _raise(entity_type: str, names: set[str], levels: dict[str, float], metric: str, volume: float) -> None:
    """Raise the level of what a metric is made of, so that it has this volume."""
    one = made(entity_type, metric)
    while one is not None and one.of:
        volume /= levels[metric]
        metric = str(parent(one, names))
        one = made(entity_type, metric)
    levels[metric] = max(levels.get(metric, 0.0), volume)
