import { createHash, randomBytes } from 'node:crypto';
import type { WebhookIds } from '../ports.ts';

/** Within the 24 to 64 bytes that the Standard Webhooks specification asks for. */
const SECRET_BYTES = 32;
const ID_BYTES = 12;

export const webhookIds: WebhookIds = {
  endpoint: () => `we_${chance()}`,
  secret: () => `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`,
  token: chance,
  delivery: (endpointId, noticeId) =>
    `whd_${createHash('sha256').update(`${endpointId} ${noticeId}`).digest('hex').slice(0, 32)}`,
};

function chance(): string {
  return randomBytes(ID_BYTES).toString('hex');
}
