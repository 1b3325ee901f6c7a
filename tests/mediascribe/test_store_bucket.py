"""A bucket: conditional writes, attempts in doubt, and what a failure says."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError, UnauthenticatedError

from mediascribe.errors import ConfigError, StoreError
from mediascribe.store import objects, open_store, store_at
from mediascribe.store.bucket import wait
from mediascribe.store.failure import reason

DOWN = "Error performing PUT http://127.0.0.1:9/b/x in 1ms - Server returned non-2xx status code: 503 Service: "


@pytest.fixture
def waits():
    """The seconds that the bucket waited between attempts."""
    return []


@pytest.fixture
def bucket(bucket_store, waits):
    return dataclasses.replace(bucket_store.bucket, pause=waits.append)


@pytest.fixture
def failing(monkeypatch):
    """`failing("put", before=1, after=0)`: so many calls fail before the store did anything, and after it did."""

    def _failing(name, *, before=0, after=0, error=None):
        call, left = getattr(obstore, name), {"before": before, "after": after}

        def wrapped(*args, **kwargs):
            if left["before"]:
                left["before"] -= 1
                raise error or GenericError(DOWN)
            found = call(*args, **kwargs)
            if left["after"]:
                left["after"] -= 1
                raise error or GenericError(DOWN)
            return found

        monkeypatch.setattr(obstore, name, wrapped)

    return _failing


class TestCreate:
    """`create`."""

    def test_a_write_that_landed_though_it_failed_is_ours(self, bucket, failing):
        """The second attempt is refused, and finds what the first one wrote."""
        failing("put", after=1)
        assert bucket.create("x", b"mine")
        assert bucket.get("x") == b"mine"

    def test_a_file_that_landed_though_it_failed_is_ours(self, bucket, failing, tmp_path):
        """What is compared is the file's content."""
        (tmp_path / "part").write_bytes(b"mine")
        failing("put", after=1)
        assert bucket.create("x", tmp_path / "part")

    def test_what_another_wrote_meanwhile_is_not_ours(self, bucket, failing):
        """After a failed attempt, other content under the name is another's."""
        bucket.create("x", b"theirs")
        failing("put", before=1)
        assert not bucket.create("x", b"mine")

    def test_the_same_content_of_another_is_not_ours(self, bucket):
        """Without an attempt in doubt, a name that exists is another's, whatever it holds."""
        assert bucket.create("x", b"same")
        assert not bucket.create("x", b"same")

    def test_of_many_writers_one_wins(self, bucket):
        """Each writes something else, all at once; what is there is the winner's."""
        start, won = threading.Barrier(8), []

        def write(number):
            start.wait()
            if bucket.create("x", b"%d" % number):
                won.append(b"%d" % number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert won == [bucket.get("x")]

    def test_two_creators_that_meet_try_again(self, bucket, failing):
        """A conflict (HTTP 409) where nothing is there yet decides nothing."""
        failing("put", before=1, error=AlreadyExistsError("409"))
        assert bucket.create("x", b"mine")

    def test_a_conflict_without_end_is_a_failure(self, bucket, failing, waits):
        """After five attempts, the message says to try again."""
        failing("put", before=9, error=AlreadyExistsError("409"))
        with pytest.raises(StoreError, match="memory://bucket/out/x: others write it at this moment"):
            bucket.create("x", b"mine")
        assert len(waits) == 4


class TestUpdate:
    """`update`."""

    def test_only_the_version_meant_is_replaced(self, bucket):
        """A stale If-Match is refused, and changes nothing."""
        bucket.create("x", b"1")
        _, first = bucket.get_version("x")
        second = bucket.update("x", b"2", first)
        assert second != first
        assert bucket.update("x", b"3", first) is None
        assert bucket.get_version("x") == (b"2", second)

    def test_an_update_that_landed_though_it_failed_is_ours(self, bucket, failing):
        """The second attempt is refused, and finds its own content."""
        bucket.create("x", b"1")
        _, version = bucket.get_version("x")
        failing("put", after=1)
        assert bucket.update("x", b"2", version) == bucket.get_version("x")[1]

    def test_what_is_gone_cannot_be_updated(self, bucket):
        """A removed object is no version of anything."""
        bucket.create("x", b"1")
        _, version = bucket.get_version("x")
        bucket.delete(["x"])
        assert bucket.update("x", b"2", version) is None


class TestFailing:
    """A store that fails."""

    def test_waiting_nothing_ends(self):
        """A wait of no length is over."""
        wait(0)

    def test_a_short_failure_is_waited_out(self, bucket, failing, waits):
        """Each wait is random, and at most five seconds."""
        failing("put", before=4)
        bucket.replace("x", b"1")
        assert len(waits) == 4
        assert all(0 <= wait <= 5 for wait in waits)

    def test_a_long_failure_names_object_and_status(self, bucket, failing):
        """It is a StoreError after five attempts."""
        failing("put", before=5)
        with pytest.raises(StoreError, match="memory://bucket/out/x: HTTP 503: try again later"):
            bucket.replace("x", b"1")

    def test_a_missing_object_is_no_failure(self, bucket, waits):
        """It is missing at once, by name."""
        with pytest.raises(FileNotFoundError, match="there is no memory://bucket/out/x"):
            bucket.get("x")
        assert not waits

    def test_a_bucket_that_vanishes_is_no_missing_object(self, bucket, failing):
        """The message says which of the two it was."""
        failing("get", before=1, error=FileNotFoundError("status code: 404 N: <Code>NoSuchBucket</Code>"))
        with pytest.raises(StoreError, match="memory://bucket/out/x: there is no such bucket"):
            bucket.get("x")

    def test_many_names_are_removed_in_bundles(self, bucket):
        """More than one request may carry; what is not there does not matter."""
        bucket.create("n/7", b"")
        bucket.delete([f"n/{number}" for number in range(1_001)])
        assert bucket.names("n/") == []

    def test_a_download_begins_anew_after_a_failure(self, bucket, failing, tmp_path):
        """The file holds the object once."""
        bucket.create("x", b"content")
        failing("get", before=1)
        bucket.download("x", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"content"


class TestReason:
    """`reason`."""

    @pytest.mark.parametrize(
        ("error", "scheme", "said"),
        [
            (GenericError("PUT http://169.254.169.254/latest/api/token"), "s3", "no credentials for s3://: set AWS_AC"),
            (GenericError("source: MissingAccount"), "az", "no credentials for az://: set AZURE_STORAGE_ACCOUNT_NAME"),
            (
                PermissionDeniedError("status code: 403 F: <Code>AccessDenied</Code>"),
                "s3",
                "permission denied (HTTP 403",
            ),
            (PermissionDeniedError("<Code>InvalidAccessKeyId</Code>"), "s3", "credentials are refused (InvalidAccess"),
            (UnauthenticatedError("status code: 401 U"), "gs", "the credentials are refused (HTTP 401): renew GOOGLE_"),
            (
                GenericError("status code: 404 N: <Code>NoSuchBucket</Code>"),
                "s3",
                "no such bucket (HTTP 404 NoSuchBuck",
            ),
            (GenericError("list request: status code: 403 F"), "gs", "permission denied (HTTP 403)"),
            (GenericError("list request: status code: 404 N"), "gs", "there is no such bucket (HTTP 404): create it"),
            (GenericError("status code: 301 M: <Code>PermanentRedirect</Code>"), "s3", "another region"),
            (GenericError("status code: 500 I: <Code>InternalError</Code>"), "s3", "HTTP 500 InternalError: try again"),
            (GenericError("GET http://h:1/b: BadScheme"), "s3", "at http://h:1 is not https: correct AWS_ENDPOINT_URL"),
            (
                GenericError("GET http://h:1/b: kind: Connect"),
                "s3",
                "nothing can be reached at http://h:1: check the n",
            ),
            (GenericError("GET http://h:1/b: kind: Timeout"), "s3", "no answer in time at http://h:1"),
            (GenericError("kind: Interrupted"), "memory", "the connection broke: check the network"),
        ],
    )
    def test_each_cause_says_what_to_do(self, error, scheme, said):
        """The texts are what obstore 0.12 says, shortened."""
        assert said in reason(error, scheme)

    def test_nothing_of_the_answer_is_passed_on(self):
        """Key ids, signatures and addresses of the store's answer stay out."""
        text = (
            "PUT http://u:pw@h/b?X-Amz-Signature=feed in 1ms - Server returned non-2xx status code: 403 Forbidden:"
            " <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIACANARY</AWSAccessKeyId></Error>"
        )
        assert reason(PermissionDeniedError(text), "s3") == (
            "the credentials are refused (HTTP 403 SignatureDoesNotMatch):"
            " renew AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)"
        )
        assert "pw" not in reason(GenericError("PUT http://u:pw@h/b?X-Amz-Signature=feed kind: Connect"), "s3")


class TestOpening:
    """`open_store` for a bucket."""

    def test_nothing_of_the_trial_is_left(self, bucket_store):
        """Neither here nor there."""
        assert list(bucket_store.list("")) == []
        assert bucket_store.bucket.names("") == []
        assert bucket_store.work.stat().st_mode & 0o777 == 0o700

    def test_a_bucket_without_conditions_is_refused(self, tmp_path, monkeypatch):
        """A store that overwrites what it must keep is found out before anything is paid for."""
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path))
        put = obstore.put
        monkeypatch.setattr(obstore, "put", lambda at, key, data, **_: put(at, key, data))
        with pytest.raises(ConfigError, match="overwrites what exists though told not to"):
            open_store("memory://b")

    def test_a_bucket_that_fails_is_refused_with_the_reason(self, tmp_path, monkeypatch, failing):
        """The message names the output, the cause and what to do."""
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path))
        failing("put", before=1, error=PermissionDeniedError("status code: 403 F"))
        with pytest.raises(ConfigError, match=r"output `memory://b` cannot be written: .*permission denied"):
            open_store("memory://b")

    def test_azure_wants_an_account(self, monkeypatch):
        """What the environment lacks is named."""
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
        with pytest.raises(ConfigError, match="output `az://c/out`: no credentials for az://: set AZURE_STORAGE_ACC"):
            store_at("az://c/out")

    @pytest.mark.parametrize("output", ["s3://b/out", "gs://b/out"])
    def test_reading_begins_without_a_request(self, output, monkeypatch):
        """`store_at` tries nothing, and creates nothing."""
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        assert store_at(output).address == output


class TestFiles:
    """Names here and there, and files for pyarrow."""

    def test_only_work_lies_on_this_machine(self, bucket_store):
        """Another name has no path."""
        assert bucket_store.work == bucket_store.root / "_work"
        bucket_store.put_bytes("_work/plans/p.json", b"1")
        assert bucket_store.path("_work/plans/p.json").read_bytes() == b"1"
        assert bucket_store.read("_work/plans/p.json") == b"1"
        assert bucket_store.open("_work/plans/p.json").read() == b"1"
        assert bucket_store.put_bytes_if_absent("_work/plans/p.json", b"2") is False
        assert bucket_store.exists("_work/plans/p.json")
        assert bucket_store.bucket.names("") == []
        bucket_store.remove("_work/plans/p.json")
        assert not bucket_store.exists("_work/plans/p.json")
        with pytest.raises(StoreError, match=r"memory://bucket/out/runs/r.json is no local file"):
            bucket_store.path("runs/r.json")

    def test_a_staged_file_may_be_published_locally(self, bucket_store):
        """A name under `_work/` stays on this machine."""
        staged = bucket_store.staged("x")
        staged.write_bytes(b"1")
        assert bucket_store.put_if_absent("_work/x", staged)
        assert bucket_store.bucket.names("") == []

    def test_a_staged_file_outlives_a_store_that_fails(self, bucket_store, failing):
        """It can be published once more."""
        staged = bucket_store.staged("x")
        staged.write_bytes(b"1")
        failing("put", before=1, error=PermissionDeniedError("status code: 403 F"))
        with pytest.raises(StoreError):
            bucket_store.put_if_absent("x", staged)
        assert bucket_store.put_if_absent("x", staged)

    def test_a_large_object_is_read_by_ranges(self, any_store, monkeypatch):
        """Anywhere in it, to its end, and not beyond."""
        monkeypatch.setattr(objects, "_READ_WHOLE_BYTES", 3)
        any_store.put_bytes("x", b"0123456789")
        with any_store.open("x") as file:
            assert file.size() == 10
            file.seek(7)
            assert (file.read(2), file.tell(), file.read(), file.read(1)) == (b"78", 9, b"9", b"")
            assert file.read_at(2, 4) == b"45"
            assert file.seekable()

    def test_a_small_object_is_read_whole(self, bucket_store):
        """One request is cheaper than three."""
        bucket_store.put_bytes("x", b"0123456789")
        assert bucket_store.open("x").read_at(2, 4) == b"45"

    def test_a_missing_object_cannot_be_opened(self, any_store):
        """It says so before anything is read."""
        with pytest.raises(FileNotFoundError):
            any_store.open("nothing")

    def test_another_outputs_objects_are_not_ours(self, bucket_store):
        """A prefix ends at its `/`: `out2` is not in `out`."""
        obstore.put(bucket_store.bucket.objects, "out2/x", b"")
        bucket_store.put_bytes("y", b"")
        assert list(bucket_store.list("")) == ["y"]
        assert bucket_store.has_folder("results/v1") is False
