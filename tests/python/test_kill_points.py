"""acknowledged-is-durable and tamper-evident, killed at chosen system calls: in the middle of a commit, between commit and answer, while
a head is signed, kept and shown."""

import os
import shutil
import subprocess

import grpc
import pytest
from conftest import BINARY, Town, personal_number

POINTS = [
    *[("pwrite64", when) for when in (1, 3, 7, 12, 18, 25, 33, 42, 52, 63)],
    *[("fdatasync", when) for when in (1, 2, 3, 5, 8, 12)],
    *[("fsync", when) for when in (1, 2, 3, 4)],
    *[("rename", when) for when in (1, 2, 3)],
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, contract):
    """A home whose database and log are there already, so that the counted calls are those of the work."""
    town = Town(tmp_path_factory.mktemp("prepared") / "home", contract)
    town.register("pension", "FIRST", personal_number(1))
    assert town.stop() == 0
    return town.home


@pytest.mark.parametrize("call, when", POINTS)
def test_killed_at_a_system_call_nothing_acknowledged_is_lost_and_the_log_is_sound(prepared, tmp_path, contract, call, when):
    if not shutil.which("strace"):
        assert "ATENA_CI" not in os.environ, "install strace"
        pytest.skip("strace is not installed")
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
    acknowledged, in_doubt = [], None
    try:
        town = Town.on(home, contract, wrapper=strace)
    except AssertionError:
        pass  # Killed before it served: the next start has to put up with that, too.
    else:
        for one in range(60):
            in_doubt = f"N{one}"
            try:
                town.register("pension", in_doubt, personal_number(100 + one))
            except grpc.RpcError:
                break
            acknowledged.append(in_doubt)
        town.kill()

    again = Town.on(home, contract)
    c = contract
    page = again.transfers().ListTransfers(c.ListTransfersRequest(
        filter='method = "AddressService/RegisterPerson" AND outcome = "RECEIVED"', page_size=1000)).transfers
    known = [transfer.local_address_number for transfer in page]
    assert len(known) == len(set(known)) and set(acknowledged) <= set(known)
    assert set(known) - set(acknowledged) - {"FIRST"} <= {in_doubt}, "only what was in doubt may have happened"
    if in_doubt:
        number = personal_number(100 + int(in_doubt[1:]))
        result = again.register("pension", in_doubt, number)
        expected = c.REGISTRATION_OUTCOME_UNCHANGED if in_doubt in known else c.REGISTRATION_OUTCOME_ISSUED
        assert result.outcome == expected, "sent again, it happens once"
    assert again.stop() == 0
    run = subprocess.run([BINARY, "log", "fsck", "--home", str(home)], capture_output=True, text=True)
    assert (run.returncode, "sound" in run.stdout) == (0, True), run.stdout + run.stderr
