# SPDX-License-Identifier: Apache-2.0
"""What a build for arm64 needs on a machine that is none: Debian's cross compiler, qemu-user, and cmocka for
arm64, which is unpacked into the cache folder; the machine's own package lists stay as they are.
"""
import glob
import os
import subprocess

PACKAGES = ["libcmocka0", "libcmocka-dev"]
LIBC = "/usr/aarch64-linux-gnu"
TRIPLET = "aarch64-linux-gnu"

CROSS_FILE = """\
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '{libc}']

[built-in options]
c_link_args = ['-Wl,-rpath,{root}/usr/lib/{triplet}']

[properties]
sys_root = '{root}'
pkg_config_libdir = '{root}/usr/lib/{triplet}/pkgconfig'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def unpack(folder, root):
    """apt-get with a state of its own, so that it may know arm64's packages."""
    state = os.path.join(folder, "apt")
    for part in ("lists/partial", "cache/archives/partial", "packages"):
        os.makedirs(os.path.join(state, part), exist_ok=True)
    status = os.path.join(state, "status")
    open(status, "w").close()
    options = [("APT::Architecture", "arm64"), ("APT::Architectures", "arm64"), ("Dir::State", state),
               ("Dir::State::status", status), ("Dir::Cache", os.path.join(state, "cache")),
               ("APT::Sandbox::User", "root"), ("Acquire::Languages", "none"), ("Debug::NoLocking", "1")]
    apt = ["apt-get", "-qq"] + [word for key, value in options for word in ("-o", f"{key}={value}")]
    packages = os.path.join(state, "packages")
    subprocess.run(apt + ["update"], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(apt + ["download", *PACKAGES], cwd=packages, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    for package in glob.glob(os.path.join(packages, "*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)


def prepare(cache):
    """The path of the cross file."""
    folder = os.path.join(cache, "arm64")
    root = os.path.join(folder, "root")
    complete = os.path.join(folder, "complete")
    if not os.path.exists(complete):
        os.makedirs(folder, exist_ok=True)
        unpack(folder, root)
        open(complete, "w").close()
    cross_file = os.path.join(folder, "cross.ini")
    with open(cross_file, "w") as file:
        file.write(CROSS_FILE.format(libc=LIBC, root=root, triplet=TRIPLET))
    return cross_file
