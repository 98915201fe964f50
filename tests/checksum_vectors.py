"""The protocol reference's vectors of BBB's request signature (reference 2.6)."""

SECRET = "s3cretForTests"
# Call, raw query without the checksum, SHA-1, SHA-256.
VECTORS = [
    (
        "getMeetings",
        "",
        "2eb0714b77bb3e5dd9cd6ae122ea1662c03b696d",
        "7811b4ca429ef35346492d6097ab0a44d5b3fccdfcd60136a166ba6b55f32186",
    ),
    (
        "create",
        "name=Alg%C3%A8bra+1&meetingID=course-77&record=true",
        "5d6ca675a544e4bc2370acfbde45b600bf05e95b",
        "cdae8c7658843acc365aad9f584942212bcd7fdc763cd4e4d2f29eae163c53a6",
    ),
    (
        "create",
        "name=Alg%c3%a8bra%201&meetingID=course-77&record=true",
        "fcdaf21c0b2cbd7b0df66235093f7b5feeed4b8d",
        "4b6fc1d9f16838c7aec14c0b51b19d5a1c40223fe51accaa6130158f85136a52",
    ),
    (
        "join",
        "fullName=A%26B&meetingID=abc-2-5%5B0%5D&role=VIEWER&redirect=false",
        "9f6747643837815c3af0626595f65d3a6d5b22c4",
        "2b52162925eb8b9d30b53ef5e3abb15d1ec7da1cbb529d60b367f2ff41196a9e",
    ),
    (
        "hooks/create",
        "callbackURL=https%3A%2F%2Flms.example.org%2Fcb",
        "2e448bb14c12be2cf76175f0978265b82ea5fecb",
        "ee1dd14083f7cc65946cf5ff24cee430d965c9bad420fa98510bb6293e306742",
    ),
]
