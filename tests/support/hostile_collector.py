# SPDX-License-Identifier: Apache-2.0
"""A collector that misbehaves on demand: raw sockets, so that it can send anything, or nothing.

    with Collector(answer(503, headers={"Retry-After": "7"})) as collector:
        ... collector.url ... collector.requests

A behaviour is a function of one connection. It may read a request and answer, hang, reset, or talk
rubbish. Every request that was read is kept.
"""

import gzip
import os
import socket
import ssl
import struct
import subprocess
import threading


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def message_bytes(self):
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.body)
        return self.body


class Connection:
    """One accepted connection; `collector.stopping` is set when it is time to let go."""

    def __init__(self, collector, sock):
        self.collector, self.sock, self.buffer = collector, sock, b""

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.buffer += data

    def read_request(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        size = int(headers.get("content-length", 0))
        while len(self.buffer) < size:
            self._more()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        request = Request(method, path, headers, body)
        self.collector.requests.append(request)
        return request

    def send(self, data):
        self.sock.sendall(data)

    def hang(self):
        self.collector.stopping.wait()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def response(status, body=b"", headers=None, content_type="application/x-protobuf"):
    lines = ["HTTP/1.1 %d Whatever" % status, "Content-Length: %d" % len(body)]
    if content_type:
        lines.append("Content-Type: " + content_type)
    lines += ["%s: %s" % item for item in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# ---- Behaviours ------------------------------------------------------------------------------------

def answer(status=200, body=b"", headers=None, content_type="application/x-protobuf"):
    """Answers every request of a connection the same."""
    def behave(connection):
        while True:
            connection.read_request()
            connection.send(response(status, body, headers, content_type))
    return behave


def in_turn(*bodies):
    """One raw answer after the other, over however many connections."""
    left = list(bodies)

    def behave(connection):
        while left:
            connection.read_request()
            connection.send(left.pop(0))
        connection.hang()
    return behave


def hang_before_answer(connection):
    connection.read_request()
    connection.hang()


def hang_at_once(connection):
    """Never reads: a client that waits in TLS, or with a full socket."""
    connection.hang()


def hang_in_answer(connection):
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    connection.hang()


def drip(connection):
    """An answer that never ends, a header at a time."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while not connection.collector.stopping.wait(0.02):
        connection.send(b"X-More: yes\r\n")


def close_without_answer(connection):
    connection.read_request()


def close_in_answer(connection):
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")


def reset_after_request(connection):
    connection.read_request()
    connection.reset()


def reset_at_once(connection):
    connection.reset()


def garbage(connection):
    connection.read_request()
    connection.send(os.urandom(64) + b"\r\n\r\n")


def like_grpc(connection):
    """What a gRPC server says first: an empty HTTP/2 SETTINGS frame, then GOAWAY."""
    connection.read_request()
    connection.send(bytes.fromhex("000000040000000000") + bytes.fromhex("0000080700000000000000000000000001"))


def endless_continue(connection):
    connection.read_request()
    while not connection.collector.stopping.wait(0.005):
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")


# ---- The server ------------------------------------------------------------------------------------

class Collector:
    def __init__(self, behave, tls=None, port=0, backlog=16):
        self.behave, self.tls = behave, tls
        self.requests, self.connections = [], 0
        self.stopping = threading.Event()
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
        self.port = self._listener.getsockname()[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)

    def __enter__(self):
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for sock, thread in self._threads:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append((sock, thread))
            thread.start()

    def _serve(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.behave(Connection(self, sock))
        except (OSError, ConnectionError, ValueError):
            pass
        finally:
            sock.close()


class Certificates:
    """An authority and a certificate for 127.0.0.1, made by openssl in a folder."""

    def __init__(self, folder, name, address="IP:127.0.0.1"):
        self.ca = os.path.join(folder, name + "-ca.pem")
        self.key = os.path.join(folder, name + "-key.pem")
        self.certificate = os.path.join(folder, name + ".pem")
        ca_key = os.path.join(folder, name + "-ca-key.pem")
        request = os.path.join(folder, name + ".csr")
        extensions = os.path.join(folder, name + ".ext")
        with open(extensions, "w") as file:
            file.write("subjectAltName=%s\n" % address)
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl("req", "-x509", *ec, "-keyout", ca_key, "-out", self.ca, "-days", "30",
                      "-subj", "/CN=%s authority" % name)
        self._openssl("req", *ec, "-keyout", self.key, "-out", request, "-subj", "/CN=%s" % name)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                      "-days", "30", "-extfile", extensions, "-out", self.certificate)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def server_context(self, client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context
