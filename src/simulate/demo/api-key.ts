import { hash, randomBytes } from 'node:crypto';

/** An API key of one run. It is never written down; the configuration knows its hash. */
export interface ApiKey {
  readonly secret: string;
  /** As `tenants[].keys` wants it. */
  readonly hash: string;
}

export function newApiKey(): ApiKey {
  const secret = `demo-${randomBytes(24).toString('base64url')}`;
  return { secret, hash: `sha256:${hash('sha256', secret, 'hex')}` };
}
