/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard: OpenTelemetry resource semantic conventions 1.44.0 and "Resource SDK": attributes are
 * merged key by key; one error in OTEL_RESOURCE_ATTRIBUTES discards the whole variable.
 */
#include "agent/resource.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/random.h"
#include "base/text.h"
#include "record/attribute.h"

#define TAG_RESOURCE_ATTRIBUTE 0x0a
#define TEXT_SIZE 4096
#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

/* Attributes by key, the last one set wins. Keys and string values are borrowed until encoded. */
struct draft {
	struct sonde_attr attrs[SONDE__RESOURCE_ATTRIBUTES];
	size_t n_attrs;
};

static void draft_set(struct draft *draft, struct sonde_attr attr)
{
	if (!attr.key || (attr.type == SONDE_ATTR_STR && !attr.value.string))
		return;
	for (size_t i = 0; i < draft->n_attrs; i++) {
		if (!strcmp(draft->attrs[i].key, attr.key)) {
			draft->attrs[i] = attr;
			return;
		}
	}
	if (draft->n_attrs < SONDE__RESOURCE_ATTRIBUTES)
		draft->attrs[draft->n_attrs++] = attr;
	else
		sonde__report(SONDE_WARN, "more than %d resource attributes: \"%s\" is left out",
			      SONDE__RESOURCE_ATTRIBUTES, attr.key);
}

static void draft_set_text(struct draft *draft, const char *key, const char *value)
{
	if (value && value[0])
		draft_set(draft, sonde_str(key, value));
}

/* The first line of a small file, without its end; false where it cannot be read. */
static bool read_line(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	buffer[n] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
	return buffer[0] != '\0';
}

static void make_instance_id(char ret[37])
{
	uint8_t b[16] = { 0 };

	(void)sonde__random_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562, version 4. */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
}

static const char *host_arch(const char *machine)
{
	static const struct {
		const char *machine;
		const char *arch;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" }, { "ppc64le", "ppc64" }, { "s390x", "s390x" },
		{ "armv7l", "arm32" }, { "i686", "x86" },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(names); i++) {
		if (!strcmp(machine, names[i].machine))
			return names[i].arch;
	}
	return machine;
}

/* What the process and the machine say of themselves; lives until the draft is encoded. */
struct found {
	char executable[TEXT_SIZE];
	char host_id[64];
	char instance_id[37];
	char unknown_service[TEXT_SIZE + 16];
	struct utsname system;
};

static void find(struct found *found)
{
	ssize_t n = readlink("/proc/self/exe", found->executable, sizeof(found->executable) - 1);
	const char *name;

	found->executable[n < 0 ? 0 : n] = '\0';
	name = strrchr(found->executable, '/');
	snprintf(found->unknown_service, sizeof(found->unknown_service), name ? "unknown_service:%s" : "unknown_service",
		 name ? name + 1 : "");
	if (!read_line("/etc/machine-id", found->host_id, sizeof(found->host_id)) &&
	    !read_line("/var/lib/dbus/machine-id", found->host_id, sizeof(found->host_id)))
		found->host_id[0] = '\0';
	if (uname(&found->system) < 0)
		memset(&found->system, 0, sizeof(found->system));
	make_instance_id(found->instance_id);
}

static void set_found(struct draft *draft, const struct found *found)
{
	const char *slash = strrchr(found->executable, '/');

	draft_set_text(draft, "service.name", found->unknown_service);
	draft_set_text(draft, "service.instance.id", found->instance_id);
	draft_set_text(draft, "telemetry.sdk.name", "sonde");
	draft_set_text(draft, "telemetry.sdk.language", "c");
	draft_set_text(draft, "telemetry.sdk.version", SONDE_VERSION);
	draft_set_text(draft, "host.name", found->system.nodename);
	draft_set_text(draft, "host.id", found->host_id);
	draft_set_text(draft, "host.arch", host_arch(found->system.machine));
	draft_set_text(draft, "os.type", "linux");
	draft_set_text(draft, "os.version", found->system.release);
	draft_set(draft, sonde_int("process.pid", getpid()));
	draft_set_text(draft, "process.executable.path", found->executable);
	draft_set_text(draft, "process.executable.name", slash ? slash + 1 : NULL);
}

/* A list's pairs, decoded into one block that the draft borrows from. */
struct list {
	char *scratch;
	size_t used;
};

/* All or nothing: a first walk checks, a second one sets. */
static void set_list(struct draft *draft, struct list *list, const char *source, const char *text)
{
	const char *rest = text;
	size_t size = text ? strlen(text) : 0;
	struct draft pairs = { .n_attrs = 0 };
	struct sonde__pair pair;
	int status;

	if (!size)
		return;
	list->scratch = malloc(3 * size + 2); /* The decoded list, then each key with its zero. */
	if (!list->scratch)
		return;
	list->used = size + 1;
	while ((status = sonde__pair_next(&rest, list->scratch, &pair)) > 0) {
		char *key = list->scratch + list->used;
		char *value = key + pair.key.size + 1;

		if (list->used + pair.key.size + pair.value.size + 2 > 3 * size + 2)
			break;
		memcpy(key, pair.key.data, pair.key.size);
		key[pair.key.size] = '\0';
		memcpy(value, pair.value.data, pair.value.size);
		list->used += pair.key.size + pair.value.size + 1;
		draft_set(&pairs, sonde_strn(key, value, pair.value.size));
	}
	if (status < 0) {
		sonde__report(SONDE_ERROR, "%s=%s is malformed and ignored as a whole: it must be key=value,… with , and = percent-encoded",
			      source, text);
		return;
	}
	for (size_t i = 0; i < pairs.n_attrs; i++)
		draft_set(draft, pairs.attrs[i]);
}

static void set_configured(struct draft *draft, struct list lists[2],
			   const struct sonde__settings *settings)
{
	set_list(draft, &lists[0], "OTEL_RESOURCE_ATTRIBUTES",
		 sonde__environment_get(&settings->environment, "OTEL_RESOURCE_ATTRIBUTES"));
	draft_set_text(draft, "service.name", sonde__environment_get(&settings->environment, "OTEL_SERVICE_NAME"));
	set_list(draft, &lists[1], "the option resource_attributes", settings->resource_attributes);
	draft_set_text(draft, "service.name", settings->service_name);
	draft_set_text(draft, "service.version", settings->service_version);
	draft_set_text(draft, "service.namespace", settings->service_namespace);
	draft_set_text(draft, "deployment.environment.name", settings->deployment_environment);
}

/*
 * A value that is not UTF-8 would make the receiver refuse every request: it is left out, and said.
 */
static bool is_sound(const struct sonde_attr *attr)
{
	if (sonde__utf8_is_valid(attr->key, strlen(attr->key)) &&
	    (attr->type != SONDE_ATTR_STR || sonde__utf8_is_valid(attr->value.string, attr->size)))
		return true;
	sonde__report(SONDE_WARN, "a resource attribute is not valid UTF-8 and is left out");
	return false;
}

/* What the text may say; where it says something else it is written into `room`. */
static struct sonde_text redact_text(const struct sonde__redactor *redactor, struct sonde_text text,
				     enum sonde__key_verdict verdict, char room[TEXT_SIZE])
{
	static const struct sonde_text all = { SONDE__REDACTED, sizeof(SONDE__REDACTED) - 1 };
	struct sonde__redact_counts counts = { { 0 } };
	size_t size;

	if (verdict != SONDE__KEY_SECRET && !sonde__redact_measure(redactor, text, verdict, &size))
		return text;
	if (verdict == SONDE__KEY_SECRET || size >= TEXT_SIZE) {
		counts.n[SONDE_REDACTION_KEY]++;
		text = all;
	} else {
		size = sonde__redact_write(redactor, text, verdict, room, &counts);
		room[size] = '\0';
		text = (struct sonde_text){ room, size };
	}
	sonde__redact_count(&counts);
	return text;
}

struct rooms {
	char key[TEXT_SIZE];
	char value[TEXT_SIZE];
};

/* Writes into the rooms what the attribute may say. */
static struct sonde_attr redact(const struct sonde__redactor *redactor, struct sonde_attr attr,
				struct rooms *rooms)
{
	const struct sonde_text key = { attr.key, strlen(attr.key) };
	enum sonde__key_verdict verdict = sonde__redact_key(redactor, key.data, key.size);
	struct sonde_text value = { attr.value.string, attr.size };

	if (attr.type == SONDE_ATTR_STR || verdict == SONDE__KEY_SECRET) {
		value = redact_text(redactor, value, verdict, rooms->value);
		attr = sonde_strn(attr.key, value.data, value.size);
	}
	attr.key = redact_text(redactor, key, SONDE__KEY_PLAIN, rooms->key).data;
	return attr;
}

static size_t encode(const struct draft *draft, const struct sonde__redactor *redactor,
		     uint8_t *buffer, size_t capacity)
{
	struct rooms rooms;
	size_t used = 0;

	for (size_t i = 0; i < draft->n_attrs; i++) {
		struct sonde_attr attr;
		size_t n;

		if (!is_sound(&draft->attrs[i]))
			continue;
		attr = redact(redactor, draft->attrs[i], &rooms);
		n = sonde__attr_encode(TAG_RESOURCE_ATTRIBUTE, &attr, buffer + used,
				       capacity - used);
		if (!n)
			sonde__report(SONDE_WARN, "the resource attribute \"%s\" does not fit and is left out",
				      draft->attrs[i].key);
		used += n;
	}
	return used;
}

void sonde__resource_init(struct sonde__resource *resource, const struct sonde__settings *settings,
			  const struct sonde__redactor *redactor)
{
	struct draft draft = { .n_attrs = 0 };
	struct list lists[2] = { { NULL, 0 }, { NULL, 0 } };
	struct found found;
	size_t size;

	find(&found);
	set_found(&draft, &found);
	set_configured(&draft, lists, settings);
	size = encode(&draft, redactor, resource->encoded, sizeof(resource->encoded));
	free(lists[0].scratch);
	free(lists[1].scratch);
	resource->view = (struct sonde_resource){
		.attributes = { resource->encoded, size },
		.schema_url = { SCHEMA_URL, sizeof(SCHEMA_URL) - 1 },
		.scope_name = { "sonde", sizeof("sonde") - 1 },
		.scope_version = { SONDE_VERSION, sizeof(SONDE_VERSION) - 1 },
	};
}
