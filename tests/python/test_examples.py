"""Each example in examples/ is a vendor's first client: it pulls, keeps its cursor, and goes on from there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, Town, personal_number

EXAMPLES = ROOT / "examples"

# Node.js of this environment comes before any other.
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def client(request, tmp_path_factory):
    """The command that an example is run by, built first where it has to be."""
    folder = tmp_path_factory.mktemp("built")
    if request.param == "python":
        return [sys.executable, EXAMPLES / "python/first_pull.py"]
    if request.param == "typescript":
        # Beside the contract, as in the repository: it is read when the example runs.
        (folder / "proto").symlink_to(ROOT / "proto")
        built = folder / "examples/typescript"
        built.mkdir(parents=True)
        for file in ("package.json", "package-lock.json", "tsconfig.json", "first_pull.ts"):
            (built / file).write_bytes((EXAMPLES / "typescript" / file).read_bytes())
        for step in (["npm", "ci", "--no-audit", "--no-fund"], ["npx", "tsc"]):
            subprocess.run(step, cwd=built, check=True, capture_output=True, env=ENVIRONMENT)
        return ["node", built / "first_pull.js"]
    built = subprocess.run(["bash", EXAMPLES / "java/build.sh", folder], check=True, capture_output=True, text=True)
    return built.stdout.split()


@pytest.fixture
def own_town(tmp_path, contract):
    town = Town(tmp_path / "home", contract)
    yield town
    assert town.stop() == 0


@pytest.mark.parametrize("client", ["python", "typescript", "java"], indirect=True, scope="module")
def test_a_vendors_first_client_pulls_what_changed(client, own_town, tmp_path):
    town, c, pki = own_town, own_town.contract, own_town.home / "pki"
    port = town.address.rsplit(":", 1)[1]
    who = [f"localhost:{port}", pki / "ca.crt", pki / "systems/public-assistance.crt", pki / "systems/public-assistance.key"]

    def run():
        """The records of one run, as the example prints them."""
        done = subprocess.run(
            [*client, *who, tmp_path / "cursors"], capture_output=True, text=True, encoding="utf-8", env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        assert "生活保護事務: " in done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def benefit(revision, amount):
        body = c.Benefit(
            basic_pension_number="1234567890", certificate_number="12345678905350", pension_code="5350",
            kind=c.BENEFIT_KIND_DISABILITY, disability_grade=2, award_date="2020-06-01", payment_start_month="2020-07",
            annual_amount_yen=amount,
        )
        record = c.PushedRecord(local_address_number="pension1", record_key="benefit", revision=revision, benefit=body)
        (result,) = town.push(record)
        assert not result.HasField("error"), result

    for system, local in (("pension", "pension1"), ("public-assistance", "case1")):
        town.register(system, local, personal_number(4711))
    benefit(1, 800_000)
    (first,) = run()
    assert int(first["benefit"]["annualAmountYen"]) == 800_000
    assert run() == [], "nothing has changed"
    benefit(2, 810_000)
    (changed,) = run()
    assert int(changed["benefit"]["annualAmountYen"]) == 810_000
    assert changed["recordId"] == first["recordId"]
