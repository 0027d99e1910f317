"""A client that knows nothing of aftercall but its documents: publishes with nats-py, and looks at what comes out.

Usage: nats_py.py NATS_URL HTTP_ADDRESS. Ends with 0 if all is as documented, else says what is not.
"""

import asyncio
import collections
import json
import sys
import urllib.request
from urllib.parse import unquote

import nats

SURVEY = "survey.response.created"
TIME = "2026-11-20T08:45:12Z"


def survey(response, csat, agent=None, **fields):
    routing = {"agent_id": agent, "agent_name": "Zoë"} if agent else {}
    return {
        "response_id": response,
        "interaction_id": f"i-{response}",
        "submitted_at": TIME,
        "csat": csat,
        "routing": routing,
        **fields,
    }


def structured(name, data, event_type=SURVEY):
    return {"specversion": "1.0", "id": name, "source": "urn:outside", "type": event_type, "data": data}


def on(owner, customer="_", event_type=SURVEY):
    return f"cx.events.{owner}.{customer}.{event_type}"


# What is published: subject, payload (an object or bytes), headers.
GOOD = [
    (on("a1"), structured("e1", survey("r1", 1, "a1")), None),
    (on("a1"), structured("e2", survey("r2", 2, "a1")), {"content-type": "application/cloudevents+json; charset=utf-8"}),
    (
        on("a1"),
        survey("r3", 2, "a1"),
        {
            "ce-specversion": "1.0",
            "ce-id": "e%203",
            "ce-source": "urn:outside",
            "ce-type": SURVEY,
            "content-type": "application/json",
        },
    ),
    # A score of 3 is neutral; a word is not, whatever its case.
    (on("a1"), structured("e4", survey("r4", 3, "a1")), None),
    (on("a1"), structured("e5", survey("r5", 5, "a1", comment="expect a LAWSUIT.")), None),
    # The same response under another event, twice the same event, and a later revision of one that said nothing.
    (on("a1"), structured("e6", survey("r1", 1, "a1")), None),
    (on("a1"), structured("e1", survey("r1", 1, "a1")), None),
    (on("a1"), structured("e7", survey("r4", 3, "a1", revision=1, comment="unprofessional")), None),
    # Nobody, a queue, a bot, and an id that must be encoded.
    (on("_"), structured("e8", survey("r8", 1)), None),
    (on("queue:q1"), structured("e9", survey("r9", 1, routing={"queue_id": "q1"})), None),
    (on("bot:b%2E1"), structured("e10", survey("r10", 1, routing={"bot_id": "b.1", "queue_id": "q1"})), None),
    (on("Zo%C3%AB%20A%2EB"), structured("e11", survey("r11", 1, "Zoë A.B")), None),
    # Vendors' times, unknown fields and extensions.
    (on("a2"), {**structured("e12", survey("r12", 1, "a2", submitted_at=1795163112000, mood="grim")), "tenant": "x"}, None),
]

ALERTS = {
    "low_csat:r1": ("agent/a1", "urn:outside e1"),
    "low_csat:r2": ("agent/a1", "urn:outside e2"),
    "low_csat:r3": ("agent/a1", "urn:outside e 3"),
    "critical_keyword:r5": ("agent/a1", "urn:outside e5"),
    "critical_keyword:r4": ("agent/a1", "urn:outside e7"),
    "low_csat:r8": ("queue/_", "urn:outside e8"),
    "low_csat:r9": ("queue/q1", "urn:outside e9"),
    "low_csat:r10": ("bot/b.1", "urn:outside e10"),
    "low_csat:r11": ("agent/Zoë A.B", "urn:outside e11"),
    "low_csat:r12": ("agent/a2", "urn:outside e12"),
    # The proof that processing goes on behind all that is bad.
    "low_csat:last": ("agent/a1", "urn:outside last"),
}

BAD = [
    ("not_json", on("a1"), b"hello {"),
    ("not_json", on("a1"), b"\xff\x00"),
    ("not_cloudevent", on("a1"), b"[]"),
    ("missing_field", on("a1"), structured("b1", {"response_id": "x", "submitted_at": TIME})),
    ("wrong_type", on("a1"), structured("b2", survey("x", "2", "a1"))),
    ("out_of_range", on("a1"), structured("b3", survey("x", 6, "a1"))),
    ("unknown_type", on("a1", "_", "weather.changed"), structured("b4", {}, "weather.changed")),
    # What only the service says.
    (
        "reserved_type",
        on("a1", "_", "alert.outcome"),
        structured("b8", {"output_id": "low_csat:r1", "subject": "agent/a1", "status": "delivered"}, "alert.outcome"),
    ),
    ("wrong_subject", on("_"), structured("b5", survey("x", 1, "a1"))),
    ("wrong_subject", "cx.control.tick", structured("b6", survey("x", 1, "a1"))),
    ("bad_rules", "cx.control.rules", structured("b7", {"version": "v", "rules": "nonsense ["}, "rules.activated")),
]


def encode(payload):
    return payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()


def metrics(address):
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


async def until(what, condition, seconds=15):
    for _ in range(seconds * 20):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


def check_alert(message):
    attribute = {name.lower(): unquote(value) for name, value in message.headers.items()}
    data = json.loads(message.data)
    subject, cause = ALERTS[attribute["ce-id"]]
    assert message.subject == f"cx.out.alert.{attribute['ce-partition']}", message.subject
    assert attribute["ce-specversion"] == "1.0" and attribute["ce-type"] == "alert.raised", attribute
    assert attribute["ce-subject"] == subject == data["owner"], attribute
    assert attribute["ce-cause"] == cause, attribute
    assert attribute["ce-rulesversion"] and int(attribute["ce-commit"]) > 0, attribute
    assert attribute["ce-time"] == data["raised_at"] and attribute["ce-time"].endswith("Z"), attribute
    assert data["alert_id"] == attribute["ce-id"] == f"{data['rule']}:{data['response_id']}", data
    assert data["severity"] == {"low_csat": "warning", "critical_keyword": "critical"}[data["rule"]], data
    assert data["interaction_id"] == f"i-{data['response_id']}" and data["recording"]["status"] == "pending", data
    if subject.startswith("agent/"):
        assert data["agent_id"] == subject.removeprefix("agent/") and data["agent_name"] == "Zoë", data
    else:
        assert "agent_id" not in data, data


async def main(url, address):
    client = await nats.connect(url)
    stream = client.jetstream()
    alerts, dead = [], []

    async def alert(message):
        alerts.append(message)

    async def set_aside(message):
        dead.append(message)

    await client.subscribe("cx.out.alert.>", cb=alert)
    await client.subscribe("cx.dead.>", cb=set_aside)
    await client.flush()

    for subject, payload, headers in GOOD:
        await stream.publish(subject, encode(payload), headers=headers)
    for _, subject, payload in BAD:
        await stream.publish(subject, encode(payload))
    # Too large for the stream, and for the server: refused to whoever sends it.
    for size in (300_000, 5_000_000):
        try:
            await stream.publish(on("a1"), b"x" * size)
        except nats.errors.Error:
            continue
        raise AssertionError(f"{size} bytes were taken")
    await stream.publish(on("a1"), encode(structured("last", survey("last", 1, "a1"))))

    await until("the alerts", lambda: len(alerts) >= len(ALERTS))
    await until("the quarantine", lambda: len(dead) >= len(BAD))

    # Metrics are of the same numbers, once all is at rest.
    expected = collections.Counter(reason for reason, _, _ in BAD)

    def counted():
        found = metrics(address)
        return (
            found['aftercall_outputs_total{kind="alert"}'] == len(ALERTS)
            and all(found[f'aftercall_quarantined_total{{reason="{r}"}}'] == n for r, n in expected.items())
            and found["aftercall_stopped_partitions"] == 0
            and all(value == 0 for name, value in found.items() if "_lag_" in name or "_backlog_" in name)
        )

    await until("metrics that agree", counted)
    found = metrics(address)
    good, repeated = len(GOOD) + 1, 2
    # e6, e1 again: what says nothing new of a response is ignored before it reaches an actor, and alerts once.
    assert found['aftercall_ignored_total{reason="duplicate"}'] == repeated, found
    assert found['aftercall_events_applied_total{side="agent"}'] == good - repeated, found
    # The rules that the service activated at its start may be one more.
    assert good + len(BAD) <= found["aftercall_events_read_total"] <= good + len(BAD) + 1, found

    # Nothing has come twice meanwhile.
    ids = collections.Counter(unquote(message.headers["ce-id"]) for message in alerts)
    assert ids == collections.Counter(ALERTS.keys()), ids
    for message in alerts:
        check_alert(message)
    entries = [json.loads(message.data) for message in dead]
    assert collections.Counter(entry["reason"] for entry in entries) == expected, entries
    for entry in entries:
        assert entry["detail"] and entry["position"] > 0 and entry["original"], entry
    await client.close()


asyncio.run(main(*sys.argv[1:]))
