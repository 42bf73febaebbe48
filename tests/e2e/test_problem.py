# SPDX-License-Identifier: Apache-2.0
"""What the example answers when a request fails: problem documents, by a client that knows only HTTP and JSON."""
import json
import os
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import Service  # noqa: E402

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Problem(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        self.addCleanup(folder.cleanup)
        # No collector is there, which makes no difference to a client.
        self.service = Service(folder.name, "http://127.0.0.1:1", fail_every=10, break_every=7, slow_every=0)
        self.addCleanup(self.service.__exit__)

    def post(self, query):
        url = f"http://127.0.0.1:{self.service.checkout.port}/orders?{query}"
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=20) as answer:
                return answer.status, answer.headers["Content-Type"], json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], json.load(error)

    def expect(self, query, status, **members):
        common = {"type": "about:blank", "status": status, "trace_id": TRACE}
        self.assertEqual(self.post(query), (status, "application/problem+json", {**common, **members}))

    def test_answers(self):
        self.assertEqual(self.post("id=1&items=2")[0], 201)
        self.expect("items=0", 422, title="Unprocessable Content", code="VALIDATION",
                    detail="the order is not complete",
                    errors=[{"detail": "is no number", "pointer": "#/id"},
                            {"detail": "are less than one", "pointer": "#/items"}])
        self.expect("id=10&items=2", 409, title="Conflict", code="ORDER_NOT_PAID", detail="order 10 was not paid")
        self.expect("id=7&items=2", 502, title="Bad Gateway", code="EXTERNAL_SERVICE",
                    detail="The request could not be completed. Name the trace_id when you report it.")


if __name__ == "__main__":
    unittest.main()
