/** Hop-by-hop headers (RFC 9110 section 7.6.1) and what only this server may say about its own answer. */
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'date',
  'server',
  'set-cookie',
  'x-request-id',
]);

/** The model server's headers that go on to the client, its content type among them. Names in lower case. */
export function forwardedAnswerHeaders(upstream: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of Object.keys(upstream)) {
    const value = upstream[name];
    const lowerName = name.toLowerCase();
    if (value !== undefined && !NOT_FORWARDED.has(lowerName)) headers[lowerName] = value;
  }
  return headers;
}

const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const;

/** Headers that a call carries to the model server: its id and trace context; keys, cookies and control headers never. */
export function forwardedCallHeaders(
  received: Readonly<Record<string, string | readonly string[] | undefined>>,
  requestId: string,
): Record<string, string> {
  const headers: Record<string, string> = { 'x-request-id': requestId };
  for (const name of TRACE_HEADERS) {
    const value = received[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** The caller's own request id when it is harmless in logs and headers. */
export function saneRequestId(received: string | readonly string[] | undefined): string | undefined {
  return typeof received === 'string' && SANE_REQUEST_ID.test(received) ? received : undefined;
}
