# SPDX-License-Identifier: Apache-2.0
"""What may not be exceeded, and what is aimed at.

Budgets fail a run. They are counts, or ratios to the machine's floor and to the peers in the same run, so that
they hold on slow and on busy machines. Targets are absolute, meant for a quiet machine of the kind that the
design was made for; they are said to be met or not, and fail nothing.
"""
import re
import sys

# Costs in floors: two clock readings, one reservation and one copy of the same size.
FLOORS = {
    "disabled_floors": 0.5,
    "child_floors": 4,
    "child_running_floors": 5,
    "root_floors": 5,
    "typical_floors": 7,
    "log_floors": 7,
    "error_raise_floors": 11,
    "error_capture_running_floors": 25,
    "exception_running_floors": 30,
    "timed_fast_floors": 4,
    "tag_floors": 3,
    "breadcrumb_floors": 4,
    "sampled_out_floors": 3,
    "child_full_floors": 4,
    "admit_retry_floors": 2.5,
    "admit_breaker_floors": 1,
    "admit_breaker_rate_floors": 4,
    "admit_breaker_shared_floors": 1,
    "admit_bulkhead_floors": 1,
    "admit_bulkhead_shared_floors": 2,
    "admit_limiter_floors": 2,
    "admit_limiter_key_floors": 2.5,
    "admit_queue_floors": 1.5,
    "admit_lock_floors": 1,
    "admit_feed_floors": 0.5,
    "admit_emit_floors": 1,
    "admit_deadline_floors": 2,
}

# Within the run: delivery to the floor, a collector away to one that answers, many threads to one.
WITHIN = {
    "end_to_end_cpu_floors": 40,
    "end_to_end_gzip_cpu_floors": 120,
    "ratio_down_refused_up_p50": 1.5,
    "ratio_down_hanging_up_p50": 1.5,
    "ratio_down_refused_up_p99": 2.5,
    "ratio_down_hanging_up_p99": 2.5,
    "ratio_child_t64_t1": 1.5,
    "ratio_redact_typical_default": 1.6,
    "ratio_redact_typical_all": 1.8,
}

# Counts: names that match, and the most they may be for one operation.
OURS = r"(?!fastrace|opentelemetry|lttng).*"
RECORDING = r"(?!fastrace|opentelemetry|lttng|admit_queue|contended).*"
COUNTS = {
    OURS + r"_allocations(_t\d+)?": 0,
    OURS + r"_syscalls_but_wakeups(_t\d+)?": 0,
    RECORDING + r"_locks(_t\d+)?": 0,
    r"admit_queue_locks": 2,  # One to push, one to pop.
    # Of a million errors that are all alike: a burst, one a second, and a summary.
    r"error_flood_events_t\d+": 30,
}

# To be had from the same run with --peers.
PEERS = {
    "ratio_child_fastrace": 0.8,
    "ratio_root_fastrace": 0.6,
    "ratio_root_opentelemetry": 0.3,
    "ratio_child_opentelemetry": 0.3,
    "ratio_typical_opentelemetry": 0.35,
    "ratio_log_opentelemetry": 0.35,
}

# The last column of the peers' table; ">": at least.
TARGETS = {
    "root_ns": 35, "child_ns": 30, "typical_ns": 60, "exception_ns": 180, "log_ns": 50, "disabled_ns": 2,
    "tag_ns": 20, "breadcrumb_ns": 60,
    # To be let in by the toolkit; a breaker by rates reads the clock again for the report.
    **{f"admit_{name}_ns": 50 for name in ("retry", "breaker", "bulkhead", "limiter", "limiter_key", "queue", "lock",
                                           "feed", "emit", "deadline")},
    "admit_breaker_rate_ns": 100,
    "error_capture_ns": 300, "error_capture_p99_ns": 5000, "error_flood_events_t1": 30, "error_flood_events_t4": 30,
    "error_flood_behind_ns_t1": 1000, "sampled_out_ns": 30, "sampled_out_no_figures_ns": 8, "site_figures_ns": 8,
    "end_to_end_spans_per_s": -1_500_000, "end_to_end_cpu_ns": 450, "end_to_end_gzip_cpu_ns": 1500,
    "end_to_end_bytes": 173, "end_to_end_gzip_bytes": 40, "end_to_end_rss_anon": 16 << 20,
    "ratio_child_fastrace": 0.6, "down_refused_p99.9_ns": 1000, "down_hanging_p99.9_ns": 1000,
    "start_ms": 5, "rest_bytes": 4 << 20, "rest_added_bytes": 4 << 20, "flood_lost": 1, "rest_wakeups": 1,
}


def check_budgets(figures, is_quick):
    """A quick run is too short for times."""
    counts = {name: limit for pattern, limit in COUNTS.items() for name in figures.samples
              if re.fullmatch(pattern, name)}
    ratios = {}
    if not is_quick:
        ratios.update(FLOORS)
        ratios.update({name: limit for name, limit in WITHIN.items()
                       if "child" in name or "end_to_end_cpu_ns" in figures})
        ratios.update({name: limit for name, limit in PEERS.items() if name in figures})
    for name, limit in {**counts, **ratios}.items():
        if name not in figures:
            figures.fail(f"{name} was not measured")
            continue
        value = figures.best(name) if name in ratios else figures.worst(name)
        if value > limit:
            figures.fail(f"over budget: {name} is {value:.4g}, may be {limit}")


def say_targets(figures):
    for name, target in TARGETS.items():
        if name not in figures:
            print(f"target {name}: not measured", file=sys.stderr)
            continue
        value, is_least = figures.value(name), target < 0
        met = value >= -target if is_least else value <= target
        print(f"target {name} {'>=' if is_least else '<='} {abs(target):g} {figures.units[name]}: "
              f"{value:.6g}, {'met' if met else 'not met'}", file=sys.stderr)
