import { readFile } from 'node:fs/promises';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { RedisTls } from './target.ts';

export interface TlsFiles {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly serverName: string | null;
  readonly insecureSkipVerify: boolean;
}

/** What the files hold. Throws `config_invalid` that names the setting of a file that cannot be read. */
export async function readTls(files: TlsFiles): Promise<RedisTls> {
  return {
    ca: await contents('caFile', files.caFile),
    cert: await contents('certFile', files.certFile),
    key: await contents('keyFile', files.keyFile),
    serverName: files.serverName,
    insecure: files.insecureSkipVerify,
  };
}

async function contents(setting: string, path: string | null): Promise<string | null> {
  if (path === null) return null;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const message = `redis.tls.${setting}: ${path} cannot be read (${asError(cause).message}); name a PEM file.`;
    throw new PilotlightError('config_invalid', message, { param: `redis.tls.${setting}`, cause });
  }
}
