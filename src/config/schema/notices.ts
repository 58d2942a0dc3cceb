import { z } from 'zod';
import { labelName, positiveDuration, size, text } from '../fields.ts';

/** Webhooks: what Pilotlight calls when a batch, a response or a job has ended. */
export const webhooksSection = z
  .strictObject({
    enabled: z.boolean().default(true).describe('Whether tenants may register webhooks (/v1/webhook_endpoints).'),
    allowedHosts: z
      .array(text(253))
      .max(256)
      .default([])
      .describe(
        'Hosts ("hooks.example.com", "*.example.com", "10.1.2.3:8443") that may be called although they are private.',
      ),
    onlyAllowedHosts: z.boolean().default(false).describe('Whether no other host may be called at all.'),
    perTenant: z.int().min(1).max(1_000).default(16).describe('Webhooks of one tenant.'),
    timeout: positiveDuration.prefault('15s').describe('One attempt.'),
    giveUpAfter: positiveDuration.prefault('72h').describe('How long a delivery is tried again.'),
  })
  .prefault({})
  .transform(({ timeout, giveUpAfter, ...rest }) => ({ ...rest, timeoutMs: timeout, giveUpAfterMs: giveUpAfter }));

const queueUrl = text(2_048).refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), {
  error: 'is not the URL of a queue; write like "https://sqs.eu-west-1.amazonaws.com/123456789012/work"',
});

const sqsQueue = z.strictObject({
  name: labelName.describe('What logs and metrics call it.'),
  url: queueUrl.describe('URL of the queue that requests are taken from.'),
  region: text(64).default('us-east-1').describe('Region of the queue.'),
  endpoint: text(2_048).nullable().default(null).describe('A service that is not AWS.').meta({ whenAbsent: 'AWS' }),
  tenant: text(63).describe('Tenant in whose name its requests run: one of tenants[].name, or auth.anonymous.tenant.'),
  objective: text(253)
    .nullable()
    .default(null)
    .describe('InferenceObjective of requests that name none.')
    .meta({ whenAbsent: "the tenant's or the pool's default" }),
  resultsUrl: queueUrl.nullable().default(null).describe('Queue for results.').meta({ whenAbsent: 'ReplyTo alone' }),
  replyTo: z.array(queueUrl).max(256).prefault([]).describe('Queues that the attribute ReplyTo of a message may name.'),
  deadLetterUrl: queueUrl
    .nullable()
    .default(null)
    .describe('Queue for messages that can never run, with the reason.')
    .meta({ whenAbsent: 'the redrive policy of the queue' }),
  buckets: z.array(text(63)).max(64).prefault([]).describe('Buckets that a message may point into.'),
  resultsBucket: text(63)
    .nullable()
    .default(null)
    .describe('Bucket for results that are too large for a message.')
    .meta({ whenAbsent: 'such a result becomes an error message' }),
  s3Endpoint: text(2_048)
    .nullable()
    .default(null)
    .describe('An S3-compatible service for buckets and resultsBucket.')
    .meta({ whenAbsent: 'AWS' }),
  maxResult: size
    .prefault('256Ki')
    .describe('Largest result message, attributes included; what the results queues accept (at most 1Mi on AWS).'),
  maxHeld: z.int().min(1).max(10_000).default(100).describe('Messages being taken over at one time.'),
  visibility: positiveDuration
    .refine((durationMs) => durationMs >= 10_000 && durationMs <= 43_200_000, {
      error: 'must be from "10s" to "12h"',
    })
    .prefault('2m')
    .describe('Visibility timeout, renewed each third of it for what is held.'),
});

export const sqsSection = z
  .strictObject({
    queues: z.array(sqsQueue).max(64).prefault([]).describe('SQS queues that requests are taken from.'),
  })
  .prefault({})
  .transform(({ queues }) => ({
    queues: queues.map(({ visibility, maxResult, ...queue }) => ({
      ...queue,
      visibilityMs: visibility,
      maxResultBytes: maxResult,
    })),
  }));
