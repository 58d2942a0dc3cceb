import type { StatusReport } from '../core/status.ts';

/** What a supervisor that started this process over an IPC channel (the demo, tests) is told. */
export type ServeMessage =
  | { readonly type: 'progress'; readonly sentence: string }
  | {
      readonly type: 'ready';
      /** '' in a process without the API. */
      readonly apiUrl: string;
      readonly adminUrl: string;
      readonly redisSource: string;
      readonly pid: number;
    }
  | { readonly type: 'failed'; readonly message: string };

export interface ReadyNews {
  /** Null in a process without the API. */
  readonly apiUrl: string | null;
  readonly adminUrl: string;
  readonly redisSource: string;
  readonly version: string;
  readonly models: StatusReport['pools'][number]['models'];
}

/** Tells people on stdout, and a supervisor over IPC, where the start has got to. */
export const announcer = {
  progress(sentence: string): void {
    process.stdout.write(`${sentence}\n`);
    send({ type: 'progress', sentence });
  },

  ready({ apiUrl, adminUrl, redisSource, version, models }: ReadyNews): void {
    const lines = [
      `Pilotlight ${version} is ready (pid ${process.pid}).`,
      ...(apiUrl === null ? [] : [`  API     ${apiUrl}/v1`]),
      `  admin   ${adminUrl}/status  ${adminUrl}/metrics`,
      `  Redis   ${redisSource}`,
      `  models  ${models.length > 0 ? models.join(', ') : 'none yet: add a ScalePolicy with models'}`,
      '',
      'Try, in another terminal:',
      ...(apiUrl === null
        ? []
        : [
            `  curl -N ${apiUrl}/v1/chat/completions -H 'content-type: application/json' \\`,
            `    -d '{"model":"${models[0] ?? 'MODEL'}","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
          ]),
      `  npx pilotlight status --admin-url ${adminUrl}`,
      '',
      'Ctrl-C drains and stops.',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    send({ type: 'ready', apiUrl: apiUrl ?? '', adminUrl, redisSource, pid: process.pid });
  },

  failed(message: string): void {
    process.stderr.write(`${message}\n`);
    send({ type: 'failed', message });
  },
};

function send(message: ServeMessage): void {
  // A supervisor that is gone is not told; whether this process ends with it is decided elsewhere.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
