"""The stand-in server: what a client sees of it."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from stand_in import Fault, images_of, system_of, text_of


def ask(server, content, **more):
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
    request = urllib.request.Request(
        server.base_url + "/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read()


def test_it_answers_counts_and_remembers(stand_in):
    server = stand_in(lambda request, n: f"{text_of(request)} {n} {len(images_of(request))}")
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"px").decode()},
    }
    parts = [{"type": "text", "text": "Hi"}, image]
    texts = [json.loads(ask(server, parts, seed=k))["choices"][0]["message"]["content"] for k in range(2)]
    assert texts == ["Hi 0 1", "Hi 1 1"]
    assert [asked.body["seed"] for asked in server.requests] == [0, 1]
    assert images_of(server.bodies[0]) == [b"px"]
    assert system_of(server.bodies[0]) == ""


def test_faults_on_the_wire(stand_in):
    faults = {"half": Fault.half_json(), "latin": Fault.wrong_encoding(), "429": Fault.status(429, 2)}
    faults |= {"gone": Fault.disconnect(), "empty": Fault.empty()}
    server = stand_in(lambda request, n: faults[text_of(request)])
    with pytest.raises(json.JSONDecodeError):
        json.loads(ask(server, "half"))
    with pytest.raises(UnicodeDecodeError):
        ask(server, "latin").decode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, "429")
    assert (caught.value.code, caught.value.headers["Retry-After"]) == (429, "2")
    with pytest.raises(OSError):
        ask(server, "gone")
    assert json.loads(ask(server, "empty"))["choices"][0]["message"]["content"] == ""
