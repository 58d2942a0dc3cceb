import { wrongValue } from './fields.ts';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const SANE_KEY = /^[\x21-\x7e]{1,255}$/;
const MAX_RETRIES = 100;

/** How the caller marks a call that it sends again: by a key of its own, or by an SDK's count of tries. */
export function repetitionOf(headers: Headers): { readonly key: string | null; readonly sdkRetry: number } {
  const { 'idempotency-key': key, 'x-stainless-retry-count': count } = headers;
  if (key !== undefined && (typeof key !== 'string' || !SANE_KEY.test(key))) {
    throw wrongValue('idempotency-key', 'must have 1 to 255 visible ASCII characters');
  }
  const sdkRetry = typeof count === 'string' && /^\d{1,3}$/.test(count) ? Math.min(Number(count), MAX_RETRIES) : 0;
  return { key: key ?? null, sdkRetry };
}
