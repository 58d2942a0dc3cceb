import { z } from 'zod';
import { text } from '../fields.ts';

const host = text();
const port = z.int().min(0).max(65_535);

/** Where callers come in. */
export const serverSection = z
  .strictObject({
    host: host
      .default('127.0.0.1')
      .describe('Address the API listens on. Anything but loopback needs tenants with keys (see auth.anonymous).'),
    port: port.default(8080).describe('Port of the API. 0 takes a free one.'),
    exposeEndpoint: z
      .boolean()
      .default(false)
      .describe('Whether answers name the model server they came from, in x-pilotlight-endpoint.'),
  })
  .prefault({});

/** Metrics, status and health for operators; never for callers. */
export const adminSection = z
  .strictObject({
    host: host.default('127.0.0.1').describe('Address of the admin listener: /metrics, /status, /healthz, /readyz.'),
    port: port.default(9090).describe('Port of the admin listener. 0 takes a free one.'),
  })
  .prefault({});
