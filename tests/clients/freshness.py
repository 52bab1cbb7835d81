"""The verdicts of Dagster's and of dbt's own evaluators.

Reads a case a line from standard input, each a JSON object, and prints a verdict a line:

    {"of": "dagster.cron", "cron": …, "lower_bound": seconds, "timezone": …, "success": s, "now": s}
    {"of": "dagster.window", "warn": seconds or null, "fail": seconds, "success": s, "now": s}
    {"of": "dbt", "warn": seconds or null, "fail": seconds or null, "success": s, "now": s}

Instants are seconds since 1970. Dagster's evaluators are run as they are, with the clock and the
storage that they ask put in their place.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

from dagster._core.definitions import freshness_evaluator as dagster
from dagster._core.definitions.freshness import FreshnessPolicy
from dbt.artifacts.resources.v1.components import FreshnessThreshold, Time, TimePeriod

present = SimpleNamespace(now=0.0, success=0.0)


async def asset_record(_context, _key):
    materialization = SimpleNamespace(timestamp=present.success)
    return SimpleNamespace(asset_entry=SimpleNamespace(last_materialization=materialization))


dagster.AssetRecord = SimpleNamespace(gen=asset_record)
dagster.get_current_timestamp = lambda: present.now
dagster.get_current_datetime = lambda zone: datetime.fromtimestamp(present.now, ZoneInfo(zone))


def by_dagster(evaluator, policy):
    node = SimpleNamespace(freshness_policy_or_from_metadata=policy, key=None)
    state = asyncio.run(evaluator().evaluate_freshness(None, node))
    return {"PASS": "FRESH", "WARN": "WARN", "FAIL": "STALE"}[state.value]


def seconds(count):
    return None if count is None else timedelta(seconds=count)


def of_dagster_cron(case):
    policy = FreshnessPolicy.cron(case["cron"], seconds(case["lower_bound"]), case["timezone"])
    return by_dagster(dagster.CronFreshnessPolicyEvaluator, policy)


def of_dagster_window(case):
    policy = FreshnessPolicy.time_window(seconds(case["fail"]), seconds(case["warn"]))
    return by_dagster(dagster.TimeWindowFreshnessPolicyEvaluator, policy)


def of_dbt(case):
    # dbt has no seconds; its arithmetic is that of a timedelta of its units.
    def time(count):
        return Time(count // 60, TimePeriod.minute) if count is not None else Time()

    threshold = FreshnessThreshold(warn_after=time(case["warn"]), error_after=time(case["fail"]))
    status = threshold.status(case["now"] - case["success"])
    return {"pass": "FRESH", "warn": "WARN", "error": "STALE"}[status.value]


EVALUATORS = {"dagster.cron": of_dagster_cron, "dagster.window": of_dagster_window, "dbt": of_dbt}

for line in sys.stdin:
    case = json.loads(line)
    present.now, present.success = case["now"], case["success"]
    print(EVALUATORS[case["of"]](case), flush=False)
