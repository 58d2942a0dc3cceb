import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Client, createClient } from './client.ts';
import type { CliContext } from './context.ts';
import { CliError, EXIT } from './exit-codes.ts';
import { PatientClient } from './patience.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';
export const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9090';

const ADMIN_REMEDIES = {
  invalid_api_key:
    'put one into PILOTLIGHT_ADMIN_TOKEN or name its file with --token-file (kubectl create token NAME --audience pilotlight)',
};

export interface ClientOptions {
  readonly url?: string;
  readonly apiKeyFile?: string;
}

export interface AdminOptions {
  readonly adminUrl?: string;
  /** Bearer token; absent = none. */
  readonly token?: string;
}

/** Where the API is and who calls. The key is never a flag's value: the process list shows those to everybody. */
export function addClientOptions(command: Command): Command {
  return command
    .optionsGroup('Connection:')
    .option('--url <url>', `address of the API (or PILOTLIGHT_URL; default ${DEFAULT_URL})`)
    .option('--api-key-file <file>', 'file that holds the API key (or PILOTLIGHT_API_KEY; default none)')
    .optionsGroup('Options:');
}

export function apiClient(options: ClientOptions, context: CliContext): Client {
  const { environment, fetch } = context;
  const url = options.url ?? environment['PILOTLIGHT_URL'] ?? DEFAULT_URL;
  const apiKey = options.apiKeyFile === undefined ? environment['PILOTLIGHT_API_KEY'] : readKey(options.apiKeyFile);
  return createClient({
    url: checkedUrl(url, '--url'),
    apiKey,
    fetch,
    howToStart: 'pilotlight serve -f …',
    flag: '--url',
  });
}

/** For commands that wait: it outlives a restart of the server. */
export function patientClient(options: ClientOptions, context: CliContext): PatientClient {
  return new PatientClient(apiClient(options, context), (sentence) => context.stderr(`${sentence}\n`));
}

export function adminClient(options: AdminOptions, context: CliContext): Client {
  const url = options.adminUrl ?? context.environment['PILOTLIGHT_ADMIN_URL'] ?? DEFAULT_ADMIN_URL;
  return createClient({
    url: checkedUrl(url, '--admin-url'),
    apiKey: options.token,
    fetch: context.fetch,
    howToStart: 'pilotlight serve -f …',
    flag: '--admin-url, or the cluster with --cluster',
    remedies: ADMIN_REMEDIES,
  });
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new CliError(EXIT.USAGE, `--api-key-file: "${file}" cannot be read; check that it is there and readable`);
  }
}

function checkedUrl(text: string, flag: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new CliError(EXIT.USAGE, `${flag}: "${text}" is not an address; write one like ${DEFAULT_URL}`);
  }
  return text.replace(/\/+$/, '').replace(/\/v1$/, '');
}
