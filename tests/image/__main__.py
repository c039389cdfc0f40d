"""Builds the image and tries it: `python -m tests.image`, as root on Linux, with Debian's buildah and debootstrap.

No registry of images is needed: the Dockerfile's base is replaced by a debootstrapped Debian with the same Python, under the
same name. The container is a chroot in namespaces of its own, as its user, with a read-only root. Where this is not possible,
it prints why, and succeeds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
IMAGE = "receipts-gateway"
RELEASES = {"3.13": "trixie"}
"""Debian's releases by their version of Python."""
TOKEN = "a-token-of-some-length"
TOOLS = 5
INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    }
)
LIST_TOOLS = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).encode()


class NotPossible(Exception):
    """The image cannot be built on this machine; the text says why."""


class Storage:
    """A storage of images and containers, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._policy = folder / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def buildah(self, command: str, *arguments: str) -> str:
        """Run a command of buildah, and return what it prints."""
        options = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        if command in {"from", "commit", "build"}:
            arguments = ("--signature-policy", str(self._policy), *arguments)
        return run(["buildah", *options, command, *arguments], STORAGE_DRIVER="vfs")


def run(command: list[str], **environ: str) -> str:
    """Run a command, which must succeed, and return what it prints on both streams."""
    environ = os.environ | environ
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def install() -> None:
    """Install what is missing; raises `NotPossible`."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotPossible("it takes root on Linux")
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing and shutil.which("apt-get") is None:
        raise NotPossible(f"{' and '.join(missing)} cannot be installed without apt-get")
    if missing:
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        command = f"apt-get update -qq && apt-get install -qq --no-install-recommends {' '.join(missing)}"
        done = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotPossible(f"{' and '.join(missing)} cannot be installed: {done.stderr.strip()}")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        raise NotPossible("namespaces cannot be created here")


def make_base(storage: Storage, folder: Path) -> None:
    """Make an image of Debian with the Python that the Dockerfile names, under the same name; raises `NotPossible`."""
    (name,) = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    release = RELEASES[name.partition(":")[2].removesuffix("-slim")]
    base = folder / "base"
    command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", release, str(base)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise NotPossible(f"debootstrap failed: {done.stdout.strip().splitlines()[-1]}")
    (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    authorities = os.environ.get("SSL_CERT_FILE")
    if authorities:  # Of a proxy between here and the package index.
        shutil.copy(authorities, base / "etc/ssl/certs/ca-certificates.crt")
        (base / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    container = storage.buildah("from", "scratch").strip()
    storage.buildah("add", "--quiet", container, str(base), "/")
    storage.buildah("commit", "--quiet", container, f"localhost/{name}")
    shutil.rmtree(base)


def build(storage: Storage) -> dict[str, Any]:
    """Build the image; return its configuration."""
    is_page_built = (ROOT / "gateway/web/graphiql/dist/index.html").is_file()
    log = storage.buildah("build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", IMAGE, ".")
    assert not (is_page_built and "nodejs" in log), "Node.js was installed although the page is built"
    image = json.loads(storage.buildah("inspect", "--type", "image", IMAGE))
    config: dict[str, Any] = image["Docker"]["config"]
    assert config["Healthcheck"]["Test"] == ["CMD", "receipts-gateway", "healthcheck"], config
    assert 0 < int(config["User"]) < 1000, config
    return config


class Container:
    """A process of the image, the first one of its PID namespace."""

    def __init__(self, root: Path, config: dict[str, Any], *arguments: str, **environ: str) -> None:
        """Start the image's entry point with these arguments."""
        self._user = f"{config['User']}:{config['User']}"
        self._environ = [*config["Env"], *(f"{name}={value}" for name, value in environ.items())]
        self._root = root
        setup = (
            'mount --bind "$1" "$1" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && '
            'mount -o remount,ro,bind "$1" && shift && exec "$@"'
        )
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", setup, "sh", str(root)]
        self.process = subprocess.Popen(
            [*command, *self._chroot(*config["Entrypoint"], *arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _chroot(self, *command: str) -> list[str]:
        return ["chroot", f"--userspec={self._user}", str(self._root), "env", "-i", *self._environ, *command]

    def wait_for_line(self) -> str:
        """Wait for the first line that the process prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            sys.exit(f"The container ended with {self.process.returncode}:\n{errors}")
        return line

    @property
    def pid(self) -> int:
        """The first process, as this machine numbers it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def execute(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the container, with that standard input."""
        enter = ["nsenter", "--mount", "--pid", "--target", str(self.pid)]
        return subprocess.run(
            [*enter, *self._chroot(*command)], input=given, capture_output=True, text=True, check=False
        )


@contextmanager
def mounted(storage: Storage) -> Iterator[Path]:
    """Create a container of the image; the value is the folder of its files."""
    container = storage.buildah("from", "--pull-never", IMAGE).strip()
    root = Path(storage.buildah("mount", container).strip())
    try:
        yield root
    finally:
        storage.buildah("umount", container)


def try_image(root: Path, config: dict[str, Any], sandbox: Sandbox) -> None:
    """Serve the sandbox from the image: query, tools, health check, a read-only root, and a drain on SIGTERM."""
    assert list(root.glob("opt/gateway/lib/*/site-packages/gateway/__pycache__/app.*.pyc")), "bytecode is not compiled"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    container = Container(
        root,
        config,
        *config["Cmd"],
        "--port",
        port,
        TWILIO_ACCOUNT_SID=sandbox.account_sid,
        TWILIO_AUTH_TOKEN=sandbox.auth_token,
        GATEWAY_UPSTREAM_URL=sandbox.url,
        GATEWAY_TOKENS=f"frontend:{TOKEN}",
        GATEWAY_MCP="shipped",
        GATEWAY_DRAIN_SECONDS="3",
    )
    try:
        assert container.wait_for_line().startswith(f"GraphQL at http://0.0.0.0:{port}/graphql, GraphiQL at ")
        sid = sandbox.landmarks["service_sid"]
        query = json.dumps({"query": '{ service(sid: "%s") { friendlyName } }' % sid}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(urllib.request.Request(f"{url}/graphql", query, headers), timeout=10) as response:
            assert json.load(response)["data"]["service"]["friendlyName"]
        headers["Accept"] = "application/json, text/event-stream"
        with urllib.request.urlopen(urllib.request.Request(f"{url}/mcp", LIST_TOOLS, headers), timeout=10) as response:
            assert len(json.load(response)["result"]["tools"]) == TOOLS
        assistant = container.execute(*config["Entrypoint"], "mcp", given=f"{INITIALIZE}\n")
        assert json.loads(assistant.stdout)["result"]["serverInfo"]["name"] == IMAGE, assistant
        with urllib.request.urlopen(f"{url}/graphiql", timeout=10) as response:
            assert b"GraphiQL is not here" not in response.read()
        check = config["Healthcheck"]["Test"][1:]
        healthy = container.execute(*check)
        assert (healthy.returncode, healthy.stdout) == (0, f"127.0.0.1:{port}: ok\n"), healthy
        for written in ("/opt/gateway/x", "/tmp/x", "/x"):  # noqa: S108
            refused = container.execute("touch", written)
            assert "Read-only file system" in refused.stderr, refused
        os.kill(container.pid, signal.SIGTERM)
        assert container.process.stderr is not None
        for line in container.process.stderr:
            if json.loads(line)["event"] == "stopping":
                break
        draining = container.execute(*check)
        assert (draining.returncode, draining.stderr) == (1, f"127.0.0.1:{port}: stopping\n"), draining
        container.process.communicate(timeout=30)
        assert container.process.returncode == 0, container.process.returncode
    finally:
        container.process.kill()


async def main() -> None:
    """Build the image and try it; raises `NotPossible`."""
    install()
    with TemporaryDirectory(prefix="receipts-gateway-") as name:
        storage = Storage(Path(name))
        await asyncio.to_thread(make_base, storage, Path(name))
        config = await asyncio.to_thread(build, storage)
        with mounted(storage) as root:
            async with Sandbox() as sandbox:
                await asyncio.to_thread(try_image, root, config, sandbox)
            size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        sys.stdout.write(f"The image works: user {config['User']}, {size // 2**20} MiB with its base.\n")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except NotPossible as reason:
        sys.stdout.write(f"The image was not built: {reason}.\n")
