"""A server of S3's protocol on loopback, moto's, with credentials in the environment as production finds them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

KEY, SECRET = "test-key-id", "test-s3cret-key"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Starts it for this process and those that this one starts; gives its address."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    own = {**_CREDENTIALS, "AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true"}
    before = {name: os.environ.get(name) for name in own}
    os.environ |= own
    yield address
    running.stop()
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value
