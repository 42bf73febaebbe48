# SPDX-License-Identifier: Apache-2.0
"""One of everything, field by field, at the Collector and in Jaeger, against what the program set."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import backends, by_trace, values  # noqa: E402

RECORDER = os.environ.get("SONDE_RECORDER", "")
EXPLICIT_START = 1700000000000000000
REMOTE_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Trace(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        cls.backends = backends.Backends(cls.folder.name)
        cls.backends.start()
        cls.scenes, cls.accounts = {}, {}
        for compression in ("none", "gzip"):
            cls.record(compression)
        cls.spans = by_trace(cls.backends.spans())
        cls.logs = by_trace(cls.backends.log_records())

    @classmethod
    def record(cls, compression):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
        environment["SONDE_STATE_DIRECTORY"] = "none"
        environment.update(OTEL_EXPORTER_OTLP_ENDPOINT=cls.backends.otlp_http,
                           OTEL_EXPORTER_OTLP_COMPRESSION=compression,
                           OTEL_RESOURCE_ATTRIBUTES="team=core%2Cother,deployment.environment.name=overridden")
        done = subprocess.run([RECORDER], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
        for line in done.stdout.splitlines():
            words = line.split()
            if words[0].startswith("account"):
                cls.accounts[compression, words[0]] = [int(word) for word in words[1:]]
            else:
                cls.scenes[compression, words[0]] = words[1:]

    @classmethod
    def tearDownClass(cls):
        cls.backends.stop()
        cls.folder.cleanup()

    def scene(self, name, compression="none"):
        """The scene's own span, and all spans of its trace."""
        trace_id, span_id = self.scenes[compression, name]
        spans = self.spans[trace_id]
        return next(s for s in spans if s["spanId"] == span_id), spans

    def test_nothing_is_lost(self):
        for key, (captured, exported, queued, lost) in self.accounts.items():
            self.assertGreater(captured, 0, key)
            self.assertEqual((exported, queued, lost), (captured, 0, 0), key)

    def test_types(self):
        for compression in ("none", "gzip"):
            span, spans = self.scene("types", compression)
            self.assertEqual(len(spans), 1)
            self.assertEqual((span["name"], span["kind"]), ("types", 1))
            self.assertNotIn("parentSpanId", {k: v for k, v in span.items() if v})
            self.assertEqual(span["flags"] & 0xFF, 3)
            found = {a["key"]: a["value"] for a in span["attributes"]}
            strs = [{"stringValue": text} for text in ("a", "", "", "é")]
            self.assertEqual(found, {
                "str": {"stringValue": "text"}, "str.empty": {"stringValue": ""}, "str.null": {"stringValue": ""},
                "str.utf8": {"stringValue": "grüß € 😀"}, "str.invalid": {"stringValue": "a\ufffdb\ufffd"},
                "str.counted": {"stringValue": "counted"}, "int": {"intValue": "-42"},
                "int.min": {"intValue": str(-2**63)}, "double": {"doubleValue": 0.1},
                "bool": {"boolValue": True}, "bytes": {"bytesValue": "AAH/"},
                "ints": {"arrayValue": {"values": [{"intValue": str(n)} for n in (-2**63, 0, 2**63 - 1)]}},
                "doubles": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"doubleValue": -1e300}]}},
                "bools": {"arrayValue": {"values": [{"boolValue": True}, {"boolValue": False}]}},
                "strs": {"arrayValue": {"values": strs}}, "twice": {"intValue": "2"}})
            self.assertEqual(len(span["attributes"]), len(found), "a key came twice")

    def test_not_a_number(self):
        span, _ = self.scene("nan")
        self.assertEqual(values(span), {"double.nan": "NaN", "double.infinity": "-Infinity"})

    def test_events_links_status_times(self):
        span, _ = self.scene("events")
        self.assertEqual((span["name"], span["kind"]), ("renamed", 5))
        self.assertEqual(int(span["startTimeUnixNano"]), EXPLICIT_START)
        self.assertEqual(int(span["endTimeUnixNano"]), EXPLICIT_START + 1000)
        self.assertEqual(span["status"], {"code": 1})
        self.assertEqual([e["name"] for e in span["events"]], ["plain", "full", "timed"])
        self.assertEqual(values(span["events"][1]), {"i": "1", "s": "x"})
        self.assertEqual(int(span["events"][2]["timeUnixNano"]), EXPLICIT_START + 5)
        self.assertGreater(int(span["events"][0]["timeUnixNano"]), EXPLICIT_START + 10**18 // 100)
        link, = span["links"]
        self.assertEqual((link["traceId"], link["spanId"], link["traceState"]),
                         ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "k=v"))
        self.assertEqual(values(link), {"why": "retry"})

    def test_limits(self):
        span, _ = self.scene("limits")
        self.assertEqual(values(span), {f"key.{i:03}": str(i) for i in range(128)})
        self.assertEqual(len(span["events"]), 128)
        self.assertEqual(len(span["links"]), 128)
        self.assertEqual((span["droppedAttributesCount"], span["droppedEventsCount"], span["droppedLinksCount"]),
                         (72, 72, 72))

    def test_server_and_what_is_below(self):
        # The remote trace's id is the same in both runs.
        spans = [s for s in self.spans[REMOTE_TRACE]]
        span = next(s for s in spans if s["spanId"] == self.scenes["none", "server"][1])
        self.assertEqual((span["name"], span["kind"], span["parentSpanId"]),
                         ("GET /orders/{id}", 2, "00f067aa0ba902b7"))
        self.assertEqual(span["traceState"], "vendor=opaque,other=1")
        self.assertEqual(span["flags"] & 0x300, 0x300, "the parent is remote, and known to be")
        self.assertEqual(values(span)["http.request.method"], "GET")
        self.assertEqual(values(span)["http.route"], "/orders/{id}")
        children = {s["name"]: s for s in spans if s.get("parentSpanId") == span["spanId"]}
        self.assertEqual(set(children), {"detached", "not below the detached one", "on another thread"})
        other = children["on another thread"]
        self.assertEqual((other["kind"], other["flags"] & 0x300), (4, 0x100))
        self.assertEqual(other["traceState"], "vendor=opaque,other=1")
        self.assertEqual(values(other), {"by": "current"})
        self.assertEqual([(e["name"], values(e)) for e in other["events"]], [("current event", {"b": False})])
        self.assertEqual(other["status"], {"code": 2, "message": "from outside"})

    def check_exception(self, found):
        self.assertEqual(found["exception.type"], "sonde_external_service")
        self.assertEqual(found["exception.message"], "the store failed")
        lines = found["exception.stacktrace"].splitlines()
        self.assertRegex(lines[0], r"^sonde_external_service: the store failed \(.*recorder\.c:\d+ in record_error\)$")
        self.assertRegex(lines[1], r"^caused by: disk_full: no space for 512 bytes \(.*recorder\.c:\d+ in record_error\)$")
        self.assertRegex(found["exception.stacktrace"], r"#\d+ main\+0x[0-9a-f]+ \(recorder, build-id [0-9a-f]+")

    def test_error(self):
        for compression in ("none", "gzip"):
            span, _ = self.scene("error", compression)
            event, = span["events"]
            self.assertEqual(event["name"], "exception")
            self.check_exception(values(event))
            self.assertEqual(values(span)["error.type"], "sonde_external_service")
            self.assertNotIn("error", values(span))
            self.assertEqual(span["status"], {"code": 2, "message": "the store failed"})
            logs = [r for r in self.logs[span["traceId"]] if r.get("eventName") == "exception"]
            self.assertEqual(len(logs), 1, "captured twice, recorded once")
            self.check_exception(values(logs[0]))
            self.assertEqual(logs[0]["spanId"], span["spanId"])
            self.assertEqual(logs[0]["severityNumber"], 17)

    def test_logs(self):
        span, _ = self.scene("logs")
        logs = {r["body"]["stringValue"]: r for r in self.logs[span["traceId"]]}
        self.assertEqual({body: r["severityNumber"] for body, r in logs.items() if not body.startswith("Slow")},
                         {"trace 1": 1, "debug": 5, "info": 9, "warn": 13, "error text": 17, "fatal": 21,
                          "with attributes": 9})
        self.assertTrue(all(r["spanId"] == span["spanId"] for r in logs.values()))
        found = values(logs["with attributes"])
        self.assertEqual((found["n"], found["d"]), ("3", 1.5))
        slow, = [body for body in logs if body.startswith("Slow")]
        self.assertRegex(slow, r"^Slow operation: nap took 0\.0[3-9]\ds$")
        self.assertEqual(logs[slow]["severityNumber"], 13)
        self.assertEqual(values(span)["sonde.slow_operation.name"], "nap")
        self.assertGreaterEqual(values(span)["sonde.slow_operation.duration"], 0.03)

    def test_resource_and_scope(self):
        span, _ = self.scene("types")
        resource = values(span["resource"])
        self.assertEqual({key: resource[key] for key in ("service.name", "service.version", "telemetry.sdk.name",
                                                         "telemetry.sdk.language", "deployment.environment.name",
                                                         "team", "os.type")},
                         {"service.name": "recorder", "service.version": "9.8.7", "telemetry.sdk.name": "sonde",
                          "telemetry.sdk.language": "c", "deployment.environment.name": "test",
                          "team": "core,other", "os.type": "linux"})
        self.assertRegex(resource["service.instance.id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-")
        self.assertEqual(resource["host.name"], os.uname().nodename)
        self.assertEqual(resource["process.executable.name"], os.path.basename(RECORDER))
        self.assertEqual(span["scope"]["name"], "sonde")

    def test_jaeger_shows_the_same(self):
        trace_id, span_id = self.scenes["none", "error"]
        trace = self.backends.wait_for_trace(trace_id, 10)
        span, = trace["spans"]
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        self.assertEqual((tags["error"], tags["otel.status_code"], tags["otel.status_description"]),
                         (True, "ERROR", "the store failed"))
        fields = {field["key"]: field["value"] for field in span["logs"][0]["fields"]}
        self.assertEqual(fields["event"], "exception")
        self.check_exception(fields)
        self.assertFalse(span.get("warnings"))
        trace = self.backends.wait_for_trace(self.scenes["none", "types"][0], 10)
        tags = {tag["key"]: (tag["type"], tag["value"]) for tag in trace["spans"][0]["tags"]}
        self.assertEqual(tags["int"], ("int64", -42))
        self.assertEqual(tags["bool"], ("bool", True))
        self.assertEqual(tags["str.utf8"], ("string", "grüß € 😀"))
        self.assertEqual(json.loads(tags["strs"][1]), ["a", "", "", "é"])
        process = next(iter(trace["processes"].values()))
        self.assertEqual(process["serviceName"], "recorder")
        trace = self.backends.wait_for_trace(REMOTE_TRACE, 10, spans=4)
        server = next(s for s in trace["spans"] if s["spanID"] == self.scenes["none", "server"][1])
        self.assertEqual({t["key"]: t["value"] for t in server["tags"]}["span.kind"], "server")
        self.assertEqual(server["references"][0]["spanID"], "00f067aa0ba902b7")


if __name__ == "__main__":
    unittest.main()
