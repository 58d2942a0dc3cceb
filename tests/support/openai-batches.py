"""Everything that a user of the official Python client does with files, uploads and batches; prints what was seen as JSON.

Arguments: base URL, input file (*.jsonl of rows for /v1/chat/completions)."""

import io
import json
import pathlib
import sys
import time

import httpx2
import openai

base_url, input_path = sys.argv[1], pathlib.Path(sys.argv[2])
requests: list[str] = []
client = openai.OpenAI(
    base_url=f"{base_url}/v1",
    api_key="none",
    http_client=httpx2.Client(event_hooks={"request": [lambda request: requests.append(f"{request.method} {request.url.path}")]}),
)
seen: dict[str, object] = {}


def refused(call) -> dict[str, object]:
    """Status and code of the refusal, and how many requests it took: a refusal that is final must not be tried again."""
    before = len(requests)
    try:
        call()
    except openai.APIStatusError as error:
        return {"status": error.status_code, "code": error.code, "type": error.type, "tries": len(requests) - before}
    return {"status": None}


with input_path.open("rb") as handle:
    file = client.files.create(file=handle, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
seen["file"] = {"purpose": file.purpose, "status": file.status, "bytes": file.bytes, "lives": file.expires_at - file.created_at}
seen["waited"] = client.files.wait_for_processing(file.id, poll_interval=0.1).status

chunked = client.uploads.upload_file_chunked(
    file=input_path.read_bytes(), filename="chunked.jsonl", bytes=input_path.stat().st_size, mime_type="text/jsonl",
    purpose="batch", part_size=4096,
)
seen["upload"] = {"status": chunked.status, "bytes": chunked.file.bytes}
seen["same_bytes"] = client.files.content(chunked.file.id).read() == input_path.read_bytes()

batches = [
    client.batches.create(
        input_file_id=each, endpoint="/v1/chat/completions", completion_window="24h", metadata={"n": str(n)},
        output_expires_after={"anchor": "created_at", "seconds": 7200},
    )
    for n, each in enumerate([file.id, chunked.file.id, file.id])
]
seen["created"] = batches[0].status
seen["listed"] = [each.metadata["n"] for each in client.batches.list(limit=1)]

deadline = time.monotonic() + 120
for index, batch in enumerate(batches):
    while batch.status not in ("completed", "failed", "expired", "cancelled") and time.monotonic() < deadline:
        time.sleep(0.2)
        batch = client.batches.retrieve(batch.id)
    batches[index] = batch
seen["ended"] = [batch.status for batch in batches]
seen["counts"] = [batch.request_counts.model_dump() for batch in batches]
seen["usage"] = batches[0].usage.total_tokens > 0
seen["errors_file"] = batches[0].error_file_id

ids = []
with client.files.with_streaming_response.content(batches[0].output_file_id) as response:
    for line in response.iter_lines():
        row = json.loads(line)
        ids.append(row["custom_id"])
        assert row["error"] is None and row["response"]["status_code"] == 200, row
        assert row["response"]["body"]["object"] == "chat.completion", row
seen["rows"] = ids
seen["output_file"] = client.files.retrieve(batches[0].output_file_id).purpose
seen["outputs_listed"] = len(list(client.files.list(purpose="batch_output", limit=2)))

seen["cancel_ended"] = refused(lambda: client.batches.cancel(batches[0].id))
seen["unknown_batch"] = refused(lambda: client.batches.retrieve("batch_00000000000000000000000000000000"))
seen["unknown_file"] = refused(lambda: client.files.content("file-00000000000000000000000000000000"))
seen["bad_window"] = refused(
    lambda: client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="25h")
)
seen["bad_name"] = refused(lambda: client.files.create(file=("rows.txt", io.BytesIO(b"{}\n")), purpose="batch"))
seen["deleted"] = client.files.delete(file.id).deleted
seen["gone"] = refused(lambda: client.files.retrieve(file.id))
print(json.dumps(seen))
