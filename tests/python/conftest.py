"""A town of its own for the tests: `atena init`, `atena serve`, and channels with the certificates that init made."""

import importlib
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format  # noqa: F401  (fails early where protobuf is missing)
from grpc_status import rpc_status
from google.rpc import error_details_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("ATENA_BIN", str(ROOT / "target/debug/atena"))


def check_digit(body: str) -> str:
    """The check digit of personal numbers and address numbers, written from the ordinance, not from the Rust code."""
    total = sum(int(digit) * (position % 6 + 2) for position, digit in enumerate(reversed(body)))
    remainder = total % 11
    return "0" if remainder <= 1 else str(11 - remainder)


def personal_number(body: int) -> str:
    text = f"{body:011d}"
    return text + check_digit(text)


@pytest.fixture(scope="session")
def contract(tmp_path_factory):
    """The modules that protoc generates from proto/."""
    return generated(tmp_path_factory.mktemp("generated"))


def generated(out: Path):
    """Generates them into a folder."""
    files = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto/atena/v1").glob("*.proto"))
    include = str(Path(protoc.__file__).parent / "_proto")
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", f"--python_out={out}", f"--grpc_python_out={out}"]
    assert protoc.main(arguments + files) == 0
    sys.path.insert(0, str(out))

    class Contract:
        """Every generated name in one place."""

    for file in files:
        name = file.removesuffix(".proto").replace("/", ".")
        for module in (importlib.import_module(name + "_pb2"), importlib.import_module(name + "_pb2_grpc")):
            for key, value in vars(module).items():
                if not key.startswith("_"):
                    setattr(Contract, key, value)
    return Contract


class Town:
    """A home directory with a running gateway."""

    def __init__(self, home: Path, contract):
        subprocess.run([BINARY, "init", "--home", str(home)], check=True, capture_output=True)
        self.serve(home, contract)

    @classmethod
    def on(cls, home: Path, contract, file_bytes_max=None, wrapper=(), log_level="trace", binary=BINARY, environment=None):
        """A gateway on a home that is there already."""
        town = cls.__new__(cls)
        town.serve(home, contract, file_bytes_max, wrapper, log_level, binary, environment)
        return town

    def serve(self, home: Path, contract, file_bytes_max=None, wrapper=(), log_level="trace", binary=BINARY, environment=None):
        """Starts the gateway; with a limit, files may not grow beyond it, as if the disk were full."""
        # A program sets the limit, not `preexec_fn`: Python code in a fork of a process with gRPC's threads may deadlock.
        limit = []
        if file_bytes_max is not None:
            limit = ["env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={file_bytes_max}"]
        self.home = home
        self.contract = contract
        self.log = (home / "gateway.log").open("wb")
        self.process = subprocess.Popen(
            [*limit, *wrapper, binary, "serve", "--home", str(home), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=self.log if file_bytes_max is None else subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "RUST_LOG": log_level, **(environment or {})},
        )
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on "), line
        self.address = line.removeprefix("listening on ").strip()

    def channel(self, system: str) -> grpc.Channel:
        pki = self.home / "pki"
        credentials = grpc.ssl_channel_credentials(
            root_certificates=(pki / "ca.crt").read_bytes(),
            private_key=(pki / "systems" / f"{system}.key").read_bytes(),
            certificate_chain=(pki / "systems" / f"{system}.crt").read_bytes(),
        )
        options = [("grpc.ssl_target_name_override", "localhost")]
        return grpc.secure_channel(self.address, credentials, options=options)

    def address_service(self, system):
        return self.contract.AddressServiceStub(self.channel(system))

    def records(self, system):
        return self.contract.RecordServiceStub(self.channel(system))

    def linkage(self, system):
        return self.contract.LinkageServiceStub(self.channel(system))

    def transfers(self, system="auditor"):
        return self.contract.TransferLogServiceStub(self.channel(system))

    def register(self, system, local, number="", name="町田　太郎", **person):
        c = self.contract
        request = c.RegisterPersonRequest(
            request_id=str(uuid.uuid4()),
            registration=c.PersonRegistration(
                local_address_number=local,
                person=c.Person(personal_number=number, name=c.PersonName(full_name=name), **person),
                new_without_personal_number=not number,
            ),
        )
        return self.address_service(system).RegisterPerson(request).result

    def push(self, *records):
        c = self.contract
        chunk = c.PushRecordsRequest(request_id=str(uuid.uuid4()), records=records)
        return [result for answer in self.records("pension").PushRecords(iter([chunk])) for result in answer.results]

    def kill(self):
        """Ends it at once, with whatever it was started through."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def stop(self):
        if self.process.poll() is not None:
            return self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.log.close()
        return code


@pytest.fixture(scope="module")
def town(tmp_path_factory, contract):
    town = Town(tmp_path_factory.mktemp("town") / "home", contract)
    yield town
    assert town.stop() == 0, "SIGTERM drains and exits 0"


def reason(error: grpc.RpcError) -> str:
    """The stable reason of a refusal."""
    status = rpc_status.from_call(error)
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "atena.v1"
            return info.reason
    raise AssertionError("no ErrorInfo")
