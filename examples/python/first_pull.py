"""A vendor's first client: what may this system have, and what has changed since the last time?

    pip install grpcio grpcio-tools grpcio-status
    python first_pull.py HOST:PORT CA.crt SYSTEM.crt SYSTEM.key CURSOR_FOLDER

Each record goes to stdout as one line of JSON. The cursor of each affair is kept in a file, so that
the next run brings only what has changed.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def generate(folder: str):
    """Generates the client from the contract. A product would do this once, in its build."""
    files = sorted(str(file.relative_to(PROTO)) for file in PROTO.glob("atena/v1/*.proto"))
    include = Path(protoc.__file__).parent / "_proto"
    code = protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{include}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    )
    if code != 0:
        sys.exit("the contract can't be compiled")
    sys.path.insert(0, folder)


def connect(server: str, authority: str, certificate: str, key: str) -> grpc.Channel:
    """Opens a connection over mutual TLS. The certificate says which system this is."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(authority).read_bytes(),
        private_key=Path(key).read_bytes(),
        certificate_chain=Path(certificate).read_bytes(),
    )
    return grpc.secure_channel(server, credentials)


def reason(error: grpc.RpcError) -> str:
    """The stable name of a refusal, such as RULE_CHANGED. The message beside it may change."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


def pull(linkage, contract, affair: str, datasets: list, cursor_file: Path):
    """Pulls everything that has changed since the cursor, or everything if there is none."""
    cursor = cursor_file.read_bytes() if cursor_file.exists() else b""
    request = contract.PullRecordsRequest(affair=affair, datasets=datasets, cursor=cursor)
    try:
        for chunk in linkage.PullRecords(request):
            for delivery in chunk.deliveries:
                for record in delivery.records:
                    print(json_format.MessageToJson(record, indent=None, ensure_ascii=False))
                for tombstone in delivery.tombstones:
                    print(json.dumps({"recordId": tombstone.record_id, "ended": True}))
            # The cursor is kept only when the records before it are safe.
            sys.stdout.flush()
            cursor_file.write_bytes(chunk.next_cursor)
    except grpc.RpcError as error:
        if reason(error) != "RULE_CHANGED":
            raise
        # Another cursor is needed once the rules change. Without one, everything comes again.
        cursor_file.unlink()
        pull(linkage, contract, affair, datasets, cursor_file)


def main(server, authority, certificate, key, cursors):
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        contract = importlib.import_module("atena.v1.linkage_service_pb2")
        services = importlib.import_module("atena.v1.linkage_service_pb2_grpc")
    Path(cursors).mkdir(parents=True, exist_ok=True)
    with connect(server, authority, certificate, key) as channel:
        linkage = services.LinkageServiceStub(channel)
        entitled = {}
        for entitlement in linkage.ListEntitlements(contract.ListEntitlementsRequest()).entitlements:
            print(f"{entitlement.affair}: {', '.join(entitlement.fields)}", file=sys.stderr)
            # Data of people is asked for with GetPerson. All other datasets can be pulled.
            if entitlement.dataset != 1:
                entitled.setdefault(entitlement.affair, set()).add(entitlement.dataset)
        for affair, datasets in entitled.items():
            pull(linkage, contract, affair, sorted(datasets), Path(cursors) / f"{affair}.cursor")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
