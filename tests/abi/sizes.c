/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of every public struct on 64-bit systems. A change here is a change of the ABI. */

#include <sonde/bulkhead.h>
#include <sonde/exporter.h>
#include <sonde/hooks.h>
#include <sonde/limiter.h>
#include <sonde/pool.h>
#include <sonde/policy.h>
#include <sonde/queue.h>
#include <sonde/retry.h>
#include <sonde/sonde.h>
#include <sonde/stack.h>
#include <sonde/stream.h>

#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has another size")
#define AT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), #type "." #member " has moved")

SIZE(sonde_bytes, 16);
SIZE(sonde_text, 16);
SIZE(sonde_site, 32);
SIZE(sonde_attr, 32);
SIZE(sonde_context, 56);
SIZE(sonde_span, 512);
SIZE(sonde_span_options, 40);
SIZE(sonde_scope, 16);
SIZE(sonde_breadcrumb, 40);
SIZE(sonde_timed, 32);
SIZE(sonde_timed_options, 16);
SIZE(sonde_error_type, 40);
SIZE(sonde_problem_options, 24);
SIZE(sonde_destination, 24);
SIZE(sonde_options, 360);
SIZE(sonde_account, 280);
SIZE(sonde_repairs, 40);
SIZE(sonde_redactions, 128);
SIZE(sonde_outgoing_cursor, 32);
SIZE(sonde_span_view, 136);
SIZE(sonde_log_view, 96);
SIZE(sonde_resource, 64);
SIZE(sonde_metric_view, 56);
SIZE(sonde_histogram_view, 56);
SIZE(sonde_point_view, 104);
SIZE(sonde_batch, 56);
SIZE(sonde_value_view, 24);
SIZE(sonde_item_view, 120);
SIZE(sonde_buffer, 32);
SIZE(sonde_exporter_host, 32);
SIZE(sonde_result, 288);
SIZE(sonde_request, 56);
SIZE(sonde_exporter, 88);
SIZE(sonde_bulkhead, 320);
SIZE(sonde_bulkhead_options, 48);
SIZE(sonde_bulkhead_waiter, 160);
SIZE(sonde_bulkhead_figures, 64);
SIZE(sonde_limiter, 256);
SIZE(sonde_limiter_options, 64);
SIZE(sonde_limiter_figures, 56);
SIZE(sonde_pool, 32);
SIZE(sonde_pool_options, 48);
SIZE(sonde_task_options, 40);
SIZE(sonde_pool_left, 80);
SIZE(sonde_pool_figures, 88);
SIZE(sonde_future, 128);
SIZE(sonde_queue, 320);
SIZE(sonde_queue_options, 72);
SIZE(sonde_policy, 640);
SIZE(sonde_policy_options, 96);
SIZE(sonde_policy_call, 576);
SIZE(sonde_retry, 256);
SIZE(sonde_retry_budget, 96);
SIZE(sonde_retry_budget_options, 40);
SIZE(sonde_retry_call, 320);
SIZE(sonde_retry_options, 136);
SIZE(sonde_stream, 1536);
SIZE(sonde_stream_options, 88);

AT(sonde_site, id, 28);
AT(sonde_attr, value, 24);
AT(sonde_context, extension, 32);
AT(sonde_error_type, http_status, 32);
AT(sonde_options, memory_limit_bytes, 64);
AT(sonde_options, diagnostic, 136);
AT(sonde_options, disabled, 152);
AT(sonde_options, metric_interval_ms, 156);
AT(sonde_options, sampler, 160);
AT(sonde_options, sampler_ratio, 168);
AT(sonde_options, webhook_url, 176);
AT(sonde_options, redact, 184);
AT(sonde_options, error_burst, 200);
AT(sonde_options, state_directory, 224);
AT(sonde_options, regression_days, 232);
AT(sonde_options, before_send, 240);
AT(sonde_options, in_app, 256);
AT(sonde_options, fingerprint, 288);
AT(sonde_options, before_breadcrumb, 304);
AT(sonde_options, audit_file, 328);
AT(sonde_options, observer, 344);
AT(sonde_account, lost, 24);
AT(sonde_span_view, name, 48);
AT(sonde_span_view, flags, 96);
AT(sonde_span_view, pieces, 120);
AT(sonde_log_view, body, 40);
AT(sonde_log_view, severity, 72);
AT(sonde_log_view, pieces, 80);
AT(sonde_batch, n_items, 40);
AT(sonde_item_view, attributes, 104);
AT(sonde_result, reason, 32);
AT(sonde_request, body, 24);
AT(sonde_request, timeout_ms, 48);
AT(sonde_exporter, send, 40);
AT(sonde_exporter, close, 72);
AT(sonde_exporter, count, 80);
