/** What of a model server's headers reaches the caller: what describes the answer, not the connection or the server. */
const PASSED = ['x-request-id', 'retry-after', 'openai-processing-ms'] as const;

/** The end-to-end headers of an answer; `contentType` where the server sent none. */
export function passedHeaders(headers: Readonly<Record<string, string>>, contentType: string): Record<string, string> {
  const passed: Record<string, string> = { 'content-type': headers['content-type'] ?? contentType };
  for (const name of PASSED) {
    const value = headers[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}
