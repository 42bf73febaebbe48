# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of a test's own: made, started, and stopped by its process, all in a temporary folder.

    postgres.py PROGRAM…     runs the program with PGHOST, PGPORT, PGUSER and PGDATABASE set

It listens on a socket in that folder alone. It refuses to run as root: then it runs as `postgres`, which the
package makes. 77, a test that was skipped, where there is no server to be had.
"""
import glob
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def tool(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


class Server:
    def __init__(self, folder):
        self.folder, self.data = folder, os.path.join(folder, "data")
        self.user = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def make(self):
        subprocess.run([tool("initdb"), "-D", self.data, "-A", "trust", "-U", "tester", "-E", "UTF8", "--locale=C",
                        "--no-sync"], check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **self.user)

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off",
                    "max_connections": "8", "shared_buffers": "1MB", "logging_collector": "off"}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.child = subprocess.Popen([tool("postgres"), "-D", self.data, *arguments], cwd=self.folder,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user)
        deadline = time.monotonic() + 60
        while subprocess.run([tool("pg_isready"), "-q", "-h", self.folder, "-U", "tester"]).returncode:
            if self.child.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.folder, "log")) as log:
                    sys.exit("PostgreSQL did not start:\n" + log.read())

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        self.child.wait(60)


def main(program):
    if not tool("initdb") or not tool("postgres"):
        print("there is no PostgreSQL server here")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="sonde-pg-") as folder:
        server = Server(folder)
        server.make()
        server.start()
        try:
            environment = {**os.environ, "PGHOST": folder, "PGPORT": "5432", "PGUSER": "tester",
                           "PGDATABASE": "postgres"}
            return subprocess.run([*shlex.split(os.environ.get("SONDE_WRAP", "")), *program],
                                  env=environment).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
