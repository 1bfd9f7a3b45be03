"""A town with planted values, every RPC driven on it, and everything that comes out of it kept."""

import importlib.util
import os
import shutil
import subprocess
import threading
from concurrent import futures
from pathlib import Path

import grpc
import pytest

_spec = importlib.util.spec_from_file_location("town", Path(__file__).parents[1] / "python/conftest.py")
town_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(town_module)
contract = town_module.contract
BINARY = town_module.BINARY
LEAKING = os.environ.get("ATENA_LEAKING", str(town_module.ROOT / "target/atena-leaking"))


class Collector:
    """An OpenTelemetry collector that keeps the bytes it is sent."""

    def __init__(self):
        self.received = bytearray()
        self.methods = set()

        class Handler(grpc.GenericRpcHandler):
            def service(handler, details):
                def export(request, context):
                    self.methods.add(details.method)
                    self.received.extend(request)
                    return b""

                return grpc.unary_unary_rpc_method_handler(export)

        self.server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()


class Cluster:
    """A PostgreSQL that logs every statement with its values."""

    def __init__(self, folder):
        initdb = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not initdb:
            assert not os.environ.get("ATENA_CI"), "PostgreSQL is missing"
            pytest.skip("PostgreSQL is not here (Debian: postgresql)")
        binaries, self.folder = initdb[-1].parent, folder
        folder.mkdir()
        self.as_user = []
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            for parent in folder.parents:
                if parent.stat().st_uid == 0 and parent != Path("/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
            self.as_user = ["runuser", "-u", "postgres", "--"]
        self.data = folder / "data"
        run = lambda *command: subprocess.run([*self.as_user, *command], check=True, capture_output=True, cwd="/")
        run(binaries / "initdb", "-D", self.data, "-U", "atena", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c log_statement=all -c log_min_duration_statement=0"
        run(binaries / "pg_ctl", "-D", self.data, "-l", folder / "server.log", "-w", "-o", options, "start")
        run(binaries / "createdb", "-h", folder, "-U", "atena", "canary")
        self.stop = lambda: run(binaries / "pg_ctl", "-D", self.data, "-m", "fast", "stop")
        self.url = f"postgres://atena@localhost/canary?host={str(folder).replace('/', '%2F')}"


class Told:
    """What came back beside the messages: metadata, trailers, statuses; and the messages of those who may have nothing."""

    def __init__(self):
        self.bytes = bytearray()
        self.lock = threading.Lock()

    def keep(self, *parts):
        with self.lock:
            for part in parts:
                self.bytes += part if isinstance(part, bytes) else str(part).encode()
                self.bytes += b"\n"

    def call(self, method, request, messages=False, **options):
        """A call whose metadata is kept; its answer, or None where it was refused."""
        try:
            if hasattr(method, "with_call"):
                answer, call = method.with_call(request, timeout=60, **options)
                answers = [answer]
            else:
                call = method(request, timeout=60, **options)
                answer = answers = list(call)
            metadata = [*call.initial_metadata(), *call.trailing_metadata()]
        except grpc.RpcError as refused:
            self.keep(refused.details(), repr(refused))
            metadata, answer, answers = [*(refused.initial_metadata() or ()), *(refused.trailing_metadata() or ())], None, []
        for item in metadata:
            self.keep(item.key, item.value)
        if messages:
            for message in answers:
                self.keep(message.SerializeToString(), message)
        return answer


@pytest.fixture(scope="session")
def collector():
    collector = Collector()
    yield collector
    collector.server.stop(None)


def make_home(home, collector, database_url=None, binary=BINARY):
    subprocess.run([binary, "init", "--home", str(home)], check=True, capture_output=True)
    settings = (home / "atena.toml").read_text()
    settings = settings.replace('otlp_endpoint = ""', f'otlp_endpoint = "http://127.0.0.1:{collector.port}"')
    if database_url:
        settings = settings.replace('"sqlite:atena.db"', f'"{database_url}"')
    (home / "atena.toml").write_text(settings)


def serve(home, contract, **options):
    """A gateway whose stdout is kept as well."""
    town = town_module.Town.on(home, contract, **options)
    town.said = bytearray()

    def listen():
        while data := town.process.stdout.read1(65536):
            town.said.extend(data)

    town.listening = threading.Thread(target=listen, daemon=True)
    town.listening.start()
    return town


def processes(town):
    """What `ps` shows of the gateway and whatever it started: command lines and environments."""
    shown = b""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == town.process.pid:
                shown += (process / "cmdline").read_bytes() + b"\n" + (process / "environ").read_bytes() + b"\n"
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            pass
    return shown
