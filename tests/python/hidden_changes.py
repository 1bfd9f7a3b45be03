"""Do hidden changes cost a consumer time? Run by hand: `target/venv/bin/python tests/python/hidden_changes.py [PULLS]`.

Three towns that differ only in changes that their consumer may not see (none, one, 4,000) are pulled
in turn, thousands of times, each time from the same cursor and about the same visible change. A rank
test (Mann and Whitney, normal approximation) says whether the times differ.
"""

import itertools
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import conftest  # noqa: E402

AFFAIR = "市都民税賦課業務"
PEOPLE = 200
HIDDEN = [0, 1, 4000]


def qualification(c, person, revision, insured_type, remarks):
    return c.PushedRecord(
        local_address_number=f"P{person}",
        record_key=f"Q{person}",
        revision=revision,
        qualification=c.Qualification(
            basic_pension_number="1234567890",
            insured_type=insured_type,
            acquisition=c.Acquisition(date="2005-04-01", reason=c.ACQUISITION_REASON_AGE_20),
            notification_date="2005-04-10",
            remarks=remarks,
        ),
    )


def pull(town, stub, cursor):
    c = town.contract
    request = c.PullRecordsRequest(affair=AFFAIR, datasets=[c.DATASET_QUALIFICATION], cursor=cursor)
    records, next_cursor = 0, b""
    for chunk in stub.PullRecords(request):
        records += sum(len(delivery.records) for delivery in chunk.deliveries)
        next_cursor = chunk.next_cursor
    return records, next_cursor


def filled(folder, c, hidden):
    town = conftest.Town.__new__(conftest.Town)
    subprocess.run([conftest.BINARY, "init", "--home", str(folder)], check=True, capture_output=True)
    town.serve(folder, c, log_level="warn")
    for system, letter in (("pension", "P"), ("resident-tax", "T")):
        people = [
            c.PersonRegistration(
                local_address_number=f"{letter}{person}",
                person=c.Person(
                    personal_number=conftest.personal_number(7000 + person),
                    name=c.PersonName(full_name="町田　太郎"),
                    sex=c.SEX_MALE,
                    birth_date=c.UncertainDate(date="1985-04-01"),
                ),
            )
            for person in range(PEOPLE)
        ]
        chunk = c.RegisterPersonsRequest(registrations=people)
        for answer in town.address_service(system).RegisterPersons(iter([chunk])):
            assert not any(result.HasField("error") for result in answer.results)
    type1, type3 = c.INSURED_TYPE_CATEGORY_1, c.INSURED_TYPE_CATEGORY_3
    town.push(*[qualification(c, person, 1, type1, "") for person in range(PEOPLE)])
    stub = town.linkage("resident-tax")
    _, cursor = pull(town, stub, b"")
    for start in range(0, hidden, 500):
        numbers = range(start, min(start + 500, hidden))
        chunk = [qualification(c, 1 + n % (PEOPLE - 1), 2 + n // (PEOPLE - 1), type1, f"note {n}") for n in numbers]
        assert not any(result.HasField("error") for result in town.push(*chunk))
    town.push(qualification(c, 0, 2, type3, "after"))
    return town, stub, cursor


def rank_test(one, other):
    """How probable such ranks would be if both came from one distribution (two-sided)."""
    both = sorted(itertools.chain(((value, 0) for value in one), ((value, 1) for value in other)))
    ranks = sum(rank for rank, (_, which) in enumerate(both, 1) if which == 0)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return u / (n * m), math.erfc(abs(z) / math.sqrt(2))


def main():
    pulls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder) / "generated"
        generated.mkdir()
        c = conftest.generated(generated)
        towns = [filled(Path(folder) / str(hidden), c, hidden) for hidden in HIDDEN]
        times = [[] for _ in towns]
        try:
            order = list(range(len(towns)))
            for round_number in range(pulls + 100):
                random.shuffle(order)
                for which in order:
                    town, stub, cursor = towns[which]
                    start = time.perf_counter_ns()
                    records, _ = pull(town, stub, cursor)
                    took = time.perf_counter_ns() - start
                    assert records == 1, records
                    if round_number >= 100:
                        times[which].append(took / 1e6)
        finally:
            for town, _, _ in towns:
                town.kill()
        for hidden, of_town in zip(HIDDEN, times):
            fifth, median, upper = (statistics.quantiles(of_town, n=20)[at] for at in (0, 9, 18))
            print(f"{hidden:5} hidden: median {median:.3f} ms (5% {fifth:.3f}, 95% {upper:.3f})")
        for hidden, of_town in list(zip(HIDDEN, times))[1:]:
            share, p = rank_test(times[0], of_town)
            print(f"none against {hidden}: P(slower) {share:.4f}, p = {p:.2g}")


if __name__ == "__main__":
    main()
