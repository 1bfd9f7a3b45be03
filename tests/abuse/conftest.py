"""A gateway under attack, an honest client beside it, and what is measured of both."""

import importlib.util
import re
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

# The town of tests/python, which has a conftest of its own.
_spec = importlib.util.spec_from_file_location("town", Path(__file__).parents[1] / "python/conftest.py")
_town = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_town)
contract = _town.contract

MIB = 1024 * 1024

# Short, so that the suite is; each is a named setting with a default in deploy/atena.toml.
LIMITS = {
    "connections_per_system_max": 24,
    "handshake_timeout_s": 1,
    "first_byte_timeout_s": 1,
    "message_timeout_s": 2,
    "keepalive_interval_s": 1,
    "keepalive_timeout_s": 1,
}


class Attacked:
    """A gateway, and what an attacker with a valid certificate does to it."""

    def __init__(self, town):
        self.town = town
        self.host, port = town.address.rsplit(":", 1)
        self.port = int(port)

    def tcp(self):
        return socket.create_connection((self.host, self.port), timeout=10)

    def context(self, system="welfare"):
        """What shows the attacker's certificate."""
        pki = self.town.home / "pki"
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / f"systems/{system}.crt", pki / f"systems/{system}.key")
        context.set_alpn_protocols(["h2"])
        return context

    def tls(self, system="welfare"):
        """A connection with the attacker's certificate, past the handshake."""
        return self.context(system).wrap_socket(self.tcp(), server_hostname="localhost")

    def resident_bytes(self):
        text = Path(f"/proc/{self.town.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024


class Honest:
    """A client that goes on asking during an attack."""

    def __init__(self, attacked):
        self.attacked = attacked
        self.contract = attacked.town.contract
        self.stub = attacked.town.linkage("resident-tax")
        self.answered, self.failed, self.slowest_s, self.resident_bytes_max = 0, [], 0.0, 0
        self.over = threading.Event()
        self.ask()
        self.answered = 0
        self.resident_bytes_before = attacked.resident_bytes()
        self.thread = threading.Thread(target=self.run)

    def ask(self):
        began = time.monotonic()
        assert self.stub.ListEntitlements(self.contract.ListEntitlementsRequest(), timeout=20).entitlements
        self.answered += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def run(self):
        while not self.over.is_set():
            try:
                self.ask()
            except Exception as failure:
                self.failed.append(repr(failure))
            self.resident_bytes_max = max(self.resident_bytes_max, self.attacked.resident_bytes())


@pytest.fixture(scope="session")
def attacked(tmp_path_factory, contract):
    import subprocess

    home = tmp_path_factory.mktemp("attacked") / "home"
    subprocess.run([_town.BINARY, "init", "--home", str(home)], check=True, capture_output=True)
    settings = (home / "atena.toml").read_text()
    for name, value in LIMITS.items():
        settings, found = re.subn(rf"(?m)^{name} = \d+$", f"{name} = {value}", settings)
        assert found == 1, name
    (home / "atena.toml").write_text(settings)
    town = _town.Town.on(home, contract, log_level="info")
    attacked = Attacked(town)
    # Threads and buffers that any load makes once.
    for _ in range(200):
        town.linkage("resident-tax").ListEntitlements(contract.ListEntitlementsRequest(), timeout=20)
    yield attacked
    assert town.stop() == 0, "it drains and exits 0 after all of it"


@pytest.fixture
def under_attack(attacked):
    """Runs a test while an honest client asks, and checks afterwards what has to hold in every attack."""
    honest = Honest(attacked)
    honest.thread.start()
    yield attacked
    honest.over.set()
    honest.thread.join()
    honest.ask()
    grown = honest.resident_bytes_max - honest.resident_bytes_before
    print(f"honest calls {honest.answered}, slowest {honest.slowest_s:.2f} s, memory grew {grown / MIB:.1f} MiB")
    assert not honest.failed, honest.failed[:3]
    assert grown < 32 * MIB, f"memory grew by {grown / MIB:.1f} MiB"
    log = (attacked.town.home / "gateway.log").read_text()
    assert "internal error at" not in log and "panicked" not in log
