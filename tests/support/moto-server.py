"""S3 and SQS on loopback for tests: prints its port, ends when its standard input does, so it never outlives its test."""

import logging
import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
# Some of its answers name the server (URLs of SQS queues).
os.environ["MOTO_PORT"] = str(server.port)
threading.Thread(target=end_with_stdin, daemon=True).start()
print(server.port, flush=True)
server.serve_forever()
