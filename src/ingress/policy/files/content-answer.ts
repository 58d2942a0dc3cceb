import type { ByteRange } from '../../../core/blobs.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { StoredFile } from '../../../core/files.ts';

/** How the content of a file is answered (RFC 9110, sections 13 and 14). */
export interface ContentAnswer {
  readonly status: 200 | 206 | 304;
  readonly headers: Record<string, string>;
  /** Null = nothing is sent. */
  readonly bytes: number | null;
  /** Null = all of it. */
  readonly range: ByteRange | null;
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export function contentAnswer(file: StoredFile, received: Headers): ContentAnswer {
  const etag = `"${file.etag}"`;
  const headers: Record<string, string> = {
    'accept-ranges': 'bytes',
    etag,
    'content-disposition': disposition(file.filename),
    'cache-control': 'private',
    // Content of unknown kind must not be shown by a browser as a page.
    'x-content-type-options': 'nosniff',
  };
  if (matches(received['if-none-match'], etag)) return { status: 304, headers, bytes: null, range: null };
  headers['content-type'] = 'application/octet-stream';
  const range = wantedRange(received, etag, file.bytes);
  const bytes = range ? range.lastByte - range.firstByte + 1 : file.bytes;
  headers['content-length'] = String(bytes);
  if (!range) return { status: 200, headers, bytes, range: null };
  headers['content-range'] = `bytes ${range.firstByte}-${range.lastByte}/${file.bytes}`;
  return { status: 206, headers, bytes, range };
}

/** Weak comparison, as If-None-Match wants it. */
function matches(header: string | readonly string[] | undefined, etag: string): boolean {
  if (typeof header !== 'string') return false;
  return header.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === etag);
}

/** One range; what cannot be read, several ranges, and ranges of an older content mean all of it. */
function wantedRange(received: Headers, etag: string, bytes: number): ByteRange | null {
  const { range: header, 'if-range': ifRange } = received;
  if (typeof header !== 'string' || (ifRange !== undefined && ifRange !== etag)) return null;
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) ?? [];
  if (first === '' && last === '') return null;
  const range =
    first === ''
      ? { firstByte: Math.max(bytes - Number(last), 0), lastByte: bytes - 1 }
      : { firstByte: Number(first), lastByte: last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1) };
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  if (range.firstByte < bytes) return range;
  const message = `The range '${header}' begins after the end: the file has ${bytes} bytes.`;
  throw new PilotlightError('range_not_satisfiable', message, { param: 'range' });
}

/** The name in ASCII for old clients, and in full (RFC 6266, RFC 8187). */
export function disposition(filename: string): string {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const full = encodeURIComponent(filename.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${full}`;
}
