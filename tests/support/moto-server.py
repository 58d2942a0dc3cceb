"""S3 and SQS on loopback for tests: prints its port, ends when its standard input does, so it never outlives its test."""

import logging
import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class AtomicConditions:
    """moto looks whether an object exists and writes it in two steps; the services it stands for do so in one."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "GET" or "HTTP_IF_NONE_MATCH" not in environ:
            return self.application(environ, start_response)
        with self.lock:
            return self.application(environ, start_response)


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
application = AtomicConditions(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
# Some of its answers name the server (URLs of SQS queues).
os.environ["MOTO_PORT"] = str(server.port)
threading.Thread(target=end_with_stdin, daemon=True).start()
print(server.port, flush=True)
server.serve_forever()
