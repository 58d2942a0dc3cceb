/** No key set or discovery document comes near this. */
const MAX_BYTES = 1_048_576;

/** `fetch` that follows no redirects and reads at most 1 MiB. */
export async function fetchBounded(address: string, options: RequestInit): Promise<Response> {
  const response = await fetch(address, { ...options, redirect: 'manual' });
  const { status, statusText, headers } = response;
  if (!response.body) return response;
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    sizeBytes += read.value.length;
    if (sizeBytes > MAX_BYTES) {
      const tooLarge = new Error(`${address} is larger than 1Mi`);
      await reader.cancel(tooLarge);
      throw tooLarge;
    }
    parts.push(read.value);
  }
  return new Response(Buffer.concat(parts), { status, statusText, headers });
}

/** The JSON object at an address. Rejects for anything else than 200 with one, in time. */
export async function readSmallJson(address: string, timeoutMs: number): Promise<Record<string, unknown>> {
  const response = await fetchBounded(address, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (response.status !== 200) throw new Error(`${address} answered ${response.status}`);
  const value: unknown = await response.json();
  if (typeof value !== 'object' || value === null) throw new Error(`${address} is no JSON object`);
  return value as Record<string, unknown>;
}
