"""create: what of the front end's call arrives at the node, slides and parameters."""

import hashlib

from tests.integration.web.cluster import API, Cluster, path, read, sign

HEAD = b'<?xml version="1.0"?><modules><module name="presentation">'
SLIDE = b'<document name="a.pdf">QUJD</document>'
TAIL = b"</module></modules>"
SLIDES = HEAD + SLIDE + TAIL


def test_slides_arrive_byte_for_byte(cluster: Cluster) -> None:
    target = path("create", meetingID="course-1", name="A meeting")
    answer = read(cluster.app.test_client().post(target, data=SLIDES, content_type="text/xml; charset=utf-8"))
    assert answer.success
    (seen,) = cluster.requests(cluster.home("course-1"), "create")
    assert seen.body_sha256 == hashlib.sha256(SLIDES).hexdigest()
    assert dict(seen.headers)[b"Content-Type"] == b"application/xml"


def test_slides_go_to_the_second_node_too(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "error", calls=["create"])
    slides = HEAD + SLIDE * 50_000 + TAIL
    target = path("create", meetingID="course-1", name="A meeting")
    assert read(cluster.app.test_client().post(target, data=slides, content_type="text/xml")).success
    (seen,) = cluster.requests("bbb2", "create")
    assert seen.body_sha256 == hashlib.sha256(slides).hexdigest()


def test_every_parameter_arrives_as_it_was_sent(cluster: Cluster) -> None:
    query = "meetingID=course-1&name=A+b%20c&x[y]=%c3%a9&x[y]=&flag&meta_a=%F0%9F%98%80&unknown=*'()!~&&name2=%3Cb%3E"
    assert read(cluster.app.test_client().get(path("create", query))).success
    (seen,) = cluster.requests(cluster.home("course-1"), "create")
    sent, _, signature = seen.query.rpartition("&checksum=")
    # Behind it stands what we add: web.test_callbacks.
    assert sent.partition("&meetingEndedURL=")[0] == query.replace("&&", "&")
    assert len(signature) == 64


def test_a_form_that_fits_no_url_stays_a_form(cluster: Cluster) -> None:
    welcome = "w" * 50_000
    form = {"meetingID": "course-1", "name": "A meeting", "welcome": welcome, "checksum": sign("create", "")}
    assert read(cluster.app.test_client().post(f"{API}/create", data=form)).success
    (seen,) = cluster.requests(cluster.home("course-1"), "create")
    assert seen.method == "POST"
    assert dict(seen.headers)[b"Content-Type"] == b"application/x-www-form-urlencoded"


def test_slides_beside_parameters_that_no_node_takes_fail_readably(cluster: Cluster) -> None:
    target = path("create", meetingID="course-1", name="A meeting", welcome="w" * 6000)
    answer = read(cluster.app.test_client().post(target, data=SLIDES, content_type="text/xml"))
    assert answer.key == "validationError"
    assert "too long" in answer["message"]
    assert cluster.rows("course-1") == []
