/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's life: start wires the layers together, stop takes them apart in the opposite order.
 *
 * Start: settings, box, destinations and worker, then the gate, so that the first record finds
 * everything in place. Stop: the gate, then the worker, which delivers what it can by the deadline,
 * then the box's file. The exit handler is registered after the destinations were opened: what
 * their libraries registered for the end of the process runs after we have stopped.
 */
#include "agent/agent.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/barrier.h"
#include "agent/observe.h"
#include "agent/sink.h"
#include "agent/stacks.h"
#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/process.h"
#include "capture/capture.h"
#include "resilience/breaker_list.h"

#define EXIT_DEADLINE_MS 2000

struct sonde_agent sonde__agent = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void stop_at_exit(void)
{
	struct sonde_agent *agent = &sonde__agent;
	bool is_wanted;

	if (sonde__child_is_idle(agent))
		return;
	pthread_mutex_lock(&agent->lock);
	is_wanted = agent->state == SONDE__AGENT_RUNNING && !agent->settings.keep_at_exit;
	pthread_mutex_unlock(&agent->lock);
	if (is_wanted)
		(void)sonde_agent_stop(agent, EXIT_DEADLINE_MS);
}

/* Once a process: the C library keeps the registration across forks. */
static void register_exit_handler(void)
{
	static bool is_registered; /* Under the agent's lock. */

	if (!is_registered)
		is_registered = atexit(stop_at_exit) == 0;
}

static void count_dead(struct sonde_agent *agent)
{
	unsigned long long n = 0;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		agent->dead_records[signal] += agent->box.dead_records[signal];
		n += agent->box.dead_records[signal];
	}
	if (n)
		sonde__report(SONDE_WARN, "%llu records that processes of this service left behind when they died were not exported",
			      n);
}

int sonde__agent_open_box(struct sonde_agent *agent)
{
	const char *runtime = sonde__environment_get(&agent->settings.environment, "XDG_RUNTIME_DIR");
	struct sonde__box_options options = {
		.size_bytes = agent->settings.memory_limit_bytes / 4,
		.directory =
			agent->settings.box_directory ? agent->settings.box_directory : runtime,
		.service_name = agent->settings.service_name,
		.no_open_spans = !agent->settings.has_open_spans,
	};
	int status = sonde__box_open(&options, &agent->box);

	if (status < 0)
		return status;
	if (agent->box.kind != SONDE__BOX_FILE)
		sonde__report(SONDE_WARN, "what is captured will not survive the process: %s", agent->box.reason);
	else if (agent->settings.box_directory && agent->box.reason[0])
		sonde__report(SONDE_WARN, "the box is not where it was asked for: %s", agent->box.reason);
	count_dead(agent);
	return SONDE_OK;
}

static void open_gate(const struct sonde__settings *settings)
{
	struct sonde__capture_options options = {
		.slow_threshold_ms = settings->slow_threshold_ms,
		.exception_signal = settings->exception_signal,
		.span_attributes = settings->limits.span_attributes,
		.span_events = settings->limits.span_events,
		.span_links = settings->limits.span_links,
		.sample_threshold = settings->sampling.threshold,
		.ignores_parent = settings->sampling.ignores_parent,
		.counts_no_figures = !settings->has_figures,
		.trails_size = settings->trails_size,
		.breadcrumb_level = settings->breadcrumb_level,
		.enter_child = sonde__child_enter,
	};

	sonde__capture_open(&options);
}

/* What start returns is looked at by few; this is read. */
static int say_failure(const char *what, int status)
{
	if (status != SONDE_E_NOT_FOUND)
		sonde__report(SONDE_ERROR, "nothing will be recorded: %s: %s", what,
			      sonde_status_text(status));
	return status;
}

/* With the lock held and the settings made. */
static int start(struct sonde_agent *agent)
{
	int status;

	sonde__clock_init();
	status = sonde__process_init();
	if (status < 0)
		return say_failure("forks cannot be noticed", status);
	sonde__process_adopt();
	status = sonde__agent_open_box(agent);
	if (status < 0)
		return say_failure("no memory could be had for the box", status);
	status = sonde__worker_new(&agent->settings, agent->dead_records, /* in_child= */ false,
				   &agent->worker);
	if (status < 0) {
		sonde__box_close();
		return say_failure(status == SONDE_E_SYSTEM ?
					   "the background thread could not be made" :
					   "delivery could not be set up",
				   status);
	}
	register_exit_handler();
	sonde__barrier_install();
	agent->state = SONDE__AGENT_RUNNING;
	open_gate(&agent->settings);
	sonde__observe_begin(&agent->settings);
	return SONDE_OK;
}

/* Nothing to send to is no reason to fail the service: the agent runs and records nothing. */
static int start_or_disable(struct sonde_agent *agent)
{
	int status;

	if (agent->settings.is_disabled) {
		agent->state = SONDE__AGENT_DISABLED;
		return SONDE_OK;
	}
	if (!agent->settings.n_destinations) {
		sonde__report(SONDE_WARN, "no exporter is left to send to: nothing will be recorded");
		agent->state = SONDE__AGENT_DISABLED;
		return SONDE_OK;
	}
	status = start(agent);
	if (status == SONDE_E_NOT_FOUND) {
		sonde__report(SONDE_WARN, "no exporter could be opened: nothing will be recorded");
		agent->state = SONDE__AGENT_DISABLED;
		return SONDE_OK;
	}
	return status;
}

/* The worker of the run before, kept for its figures; still busy if it had to be abandoned. */
static int drop_last_run(struct sonde_agent *agent)
{
	if (agent->worker && !sonde__worker_has_ended(agent->worker))
		return SONDE_E_EXISTS;
	agent->worker = sonde__worker_free(agent->worker);
	sonde__settings_deinit(&agent->settings);
	memset(agent->dead_records, 0, sizeof(agent->dead_records));
	return SONDE_OK;
}

int sonde_agent_start(const struct sonde_options *options, struct sonde_agent **ret)
{
	struct sonde_agent *agent = &sonde__agent;
	struct sonde__environment environment;
	struct sonde_options known;
	int status = ret ? sonde__options_read(options, &known) : SONDE_E_INVALID;

	if (status < 0)
		return status;
	(void)sonde__child_is_idle(agent);
	pthread_mutex_lock(&agent->lock);
	status = agent->state == SONDE__AGENT_IDLE ? drop_last_run(agent) : SONDE_E_EXISTS;
	if (status == SONDE_OK)
		status = sonde__environment_init(&environment);
	if (status == SONDE_OK) {
		sonde__sink_install(&known, &environment);
		sonde__environment_deinit(&environment);
		status = sonde__settings_init(&agent->settings, &known);
		if (status < 0)
			(void)say_failure("the settings could not be read", status);
		else
			sonde__stacks_configure(&agent->settings.environment, &known);
	}
	if (status == SONDE_OK)
		status = start_or_disable(agent);
	pthread_mutex_unlock(&agent->lock);
	if (status == SONDE_OK)
		*ret = agent;
	return status;
}

static uint64_t deadline_in(uint32_t ms)
{
	return sonde__monotonic_ns() + ms * SONDE__NS_PER_MS;
}

/*
 * The worker that a life-cycle call is about; NULL where there is none to ask: not running, or a
 * forked child that has recorded nothing. A child that has only recorded gets its worker now.
 */
static struct sonde__worker *find_worker(struct sonde_agent *agent)
{
	struct sonde__worker *worker = NULL;

	if (sonde__child_is_idle(agent))
		return NULL;
	(void)sonde__child_enter(/* signal_safe= */ false);
	pthread_mutex_lock(&agent->lock);
	if (agent->state == SONDE__AGENT_RUNNING)
		worker = agent->worker;
	pthread_mutex_unlock(&agent->lock);
	return worker;
}

/*
 * Whether a hook, or whatever else the worker calls, asks the worker to wait for itself. Asked
 * before anything is changed, and also while somebody else stops the agent.
 */
static bool is_asked_by_worker(struct sonde_agent *agent)
{
	bool is_own = false;

	if (sonde__child_is_idle(agent))
		return false;
	pthread_mutex_lock(&agent->lock);
	is_own = sonde__worker_is_running_here(agent->worker);
	pthread_mutex_unlock(&agent->lock);
	return is_own;
}

int sonde_agent_flush(struct sonde_agent *agent, uint32_t deadline_ms)
{
	struct sonde__worker *worker;

	if (agent && is_asked_by_worker(agent))
		return SONDE_E_INVALID;
	worker = agent ? find_worker(agent) : NULL;
	return worker ? sonde__worker_flush(worker, deadline_in(deadline_ms)) : SONDE_OK;
}

/* The state leaves RUNNING under the lock, so that one caller alone goes on to end the worker. */
static bool begin_stop(struct sonde_agent *agent)
{
	bool is_mine;

	pthread_mutex_lock(&agent->lock);
	is_mine = agent->state != SONDE__AGENT_IDLE;
	if (is_mine) {
		sonde__observe_end();
		sonde__capture_close();
		sonde__child_count_parents(agent);
	}
	agent->state = SONDE__AGENT_IDLE;
	pthread_mutex_unlock(&agent->lock);
	return is_mine;
}

int sonde_agent_stop(struct sonde_agent *agent, uint32_t deadline_ms)
{
	uint64_t deadline_ns = deadline_in(deadline_ms);
	struct sonde__worker *worker;
	int status;

	if (!agent)
		return SONDE_OK;
	if (is_asked_by_worker(agent))
		return SONDE_E_INVALID;
	worker = find_worker(agent);
	if (!begin_stop(agent) || !worker)
		return SONDE_OK;
	status = sonde__worker_stop(worker, deadline_ns);
	/* It has counted them for the last time. */
	sonde__breaker_list_leave();
	if (sonde__worker_has_ended(worker))
		sonde__box_close();
	return status;
}

int sonde_agent_account(struct sonde_agent *agent, size_t destination, enum sonde_signal signal,
			struct sonde_account *ret)
{
	int status = SONDE_E_NOT_FOUND;

	if (!agent || !ret || (unsigned)signal >= SONDE__SIGNAL_ROWS)
		return SONDE_E_INVALID;
	(void)sonde__child_is_idle(agent);
	pthread_mutex_lock(&agent->lock);
	sonde__child_count_parents(agent);
	if (agent->worker)
		status = sonde__worker_account(agent->worker, destination, signal, ret);
	if (status == SONDE_OK && signal < SONDE_SIGNAL_COUNT) {
		ret->captured += agent->dead_records[signal];
		ret->lost[SONDE_LOSS_DEAD_PROCESS] += agent->dead_records[signal];
	}
	pthread_mutex_unlock(&agent->lock);
	return status;
}

int sonde_agent_repairs(struct sonde_agent *agent, struct sonde_repairs *ret)
{
	if (!agent || !ret)
		return SONDE_E_INVALID;
	memset(ret, 0, sizeof(*ret));
	(void)sonde__child_is_idle(agent);
	pthread_mutex_lock(&agent->lock);
	if (agent->worker)
		sonde__worker_repairs(agent->worker, ret);
	pthread_mutex_unlock(&agent->lock);
	return SONDE_OK;
}

int sonde_agent_redactions(struct sonde_agent *agent, struct sonde_redactions *ret)
{
	if (!agent || !ret)
		return SONDE_E_INVALID;
	memset(ret, 0, sizeof(*ret));
	(void)sonde__child_is_idle(agent);
	pthread_mutex_lock(&agent->lock);
	if (agent->worker)
		sonde__worker_redactions(agent->worker, ret);
	pthread_mutex_unlock(&agent->lock);
	return SONDE_OK;
}
