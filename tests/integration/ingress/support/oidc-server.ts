import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly key: CryptoKey;
  readonly jwk: JWK;
}

/** An OpenID Connect issuer on loopback, with keys that a test rotates, and faults. */
export class OidcServer {
  readonly #server: Server;
  #keys: SigningKey[] = [];
  #made = 0;
  /** What it does instead of answering as it should. */
  fault: 'none' | 'hangs' | 'fails' | 'garbage' | 'endless' = 'none';
  /** What its discovery document says of itself, if not the truth. */
  claimsToBe: string | null = null;
  keyFetches = 0;

  private constructor() {
    this.#server = createServer((req, res) => {
      if (req.url === '/keys') this.keyFetches += 1;
      if (this.fault === 'hangs') return;
      if (this.fault === 'fails') {
        res.writeHead(503).end();
      } else if (this.fault === 'garbage') {
        res.end('<html>');
      } else if (this.fault === 'endless') {
        const pour = () => {
          while (!res.destroyed && res.write(' '.repeat(65_536)));
        };
        res.on('drain', pour);
        pour();
      } else {
        res.setHeader('content-type', 'application/json');
        const keys = this.#keys.map(({ jwk }) => jwk);
        res.end(JSON.stringify(req.url === '/keys' ? { keys } : this.#discovery()));
      }
    });
  }

  static async start(): Promise<OidcServer> {
    const server = new OidcServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    await server.rotate();
    return server;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A new key; the old ones are no longer published. */
  async rotate(alg = 'ES256'): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    this.#made += 1;
    const kid = `key-${this.#made}`;
    this.#keys = [{ kid, alg, key: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }];
  }

  /** A token for the audience "pilotlight", signed with the newest key; claims that are undefined are left out. */
  async token(
    claims: Readonly<Record<string, unknown>> = {},
    header: { alg?: string; kid?: string } = {},
  ): Promise<string> {
    const signing = this.#keys.at(-1)!;
    const nowS = Math.floor(Date.now() / 1_000);
    const all = { iss: this.issuer, sub: 'ann', aud: 'pilotlight', iat: nowS, exp: nowS + 300, ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: signing.alg, kid: signing.kid, ...header }).sign(signing.key);
  }

  /** The same claims, signed with HMAC and the public key as its secret: the classic confusion. */
  async confusedToken(): Promise<string> {
    const { jwk, kid } = this.#keys.at(-1)!;
    const secret = new TextEncoder().encode(JSON.stringify(jwk));
    return new SignJWT({ iss: this.issuer, sub: 'ann', aud: 'pilotlight', exp: Math.floor(Date.now() / 1_000) + 300 })
      .setProtectedHeader({ alg: 'HS256', kid })
      .sign(secret);
  }

  unsignedToken(): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: this.issuer, sub: 'ann', aud: 'pilotlight', exp: Math.floor(Date.now() / 1_000) + 300 };
    return `${part({ alg: 'none' })}.${part(claims)}.`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #discovery(): object {
    return { issuer: this.claimsToBe ?? this.issuer, jwks_uri: `${this.issuer}/keys` };
  }
}
