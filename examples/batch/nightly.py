"""A nightly batch with the official Python client: one file in, one file out.

    pip install openai
    python examples/batch/nightly.py examples/batch/rows.jsonl
"""

import sys
import time

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="none")

with open(sys.argv[1], "rb") as rows:  # an open file is streamed; a Path would be read into memory
    uploaded = client.files.create(file=rows, purpose="batch")
batch = client.batches.create(
    input_file_id=uploaded.id,
    endpoint="/v1/chat/completions",
    completion_window="24h",
    metadata={"job": "nightly"},
    extra_body={"pilotlight": {"objective": "nightly"}},
)
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(2)
    batch = client.batches.retrieve(batch.id)
    counts = batch.request_counts
    print(f"{batch.status}: {counts.completed + counts.failed} of {counts.total}")

# "completed" does not mean that every row succeeded: look at both files.
for kind, file_id in (("output", batch.output_file_id), ("error", batch.error_file_id)):
    if file_id:
        with client.files.with_streaming_response.content(file_id) as content:
            content.stream_to_file(f"{kind}.jsonl")
            print(f"{kind}.jsonl is written")
