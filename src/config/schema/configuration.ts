import { z } from 'zod';
import { labelName } from '../fields.ts';
import { type JsonSchema, leavesOf, writtenFormOf } from '../json-schema.ts';
import { authSection, tenantsSection } from './auth.ts';
import { batchesSection } from './batches.ts';
import { dispatcherSection } from './dispatcher.ts';
import { jobsSection } from './jobs.ts';
import { kubernetesSection, roleSetting } from './kubernetes.ts';
import { limitsSection } from './limits.ts';
import { logSection } from './log.ts';
import { sqsSection, webhooksSection } from './notices.ts';
import { pickerSection } from './picker.ts';
import { adminSection, serverSection } from './server.ts';
import { redisSection } from './redis.ts';
import { dataSection, storageSection } from './storage.ts';
import { timeoutsSection } from './timeouts.ts';

export const API_VERSION = 'pilotlight.dev/v1alpha1';
export const CONFIGURATION_KIND = 'Configuration';

/** Every setting of Pilotlight, with its default beside it. docs/configuration.md's table is generated from here. */
export const configurationSchema = z.strictObject({
  installation: labelName
    .default('local')
    .describe('Name of this Pilotlight; everything it stores is kept apart from that of others by it.'),
  namespace: labelName.default('default').describe('Namespace of objects in files that name none.'),
  role: roleSetting,
  kubernetes: kubernetesSection,
  server: serverSection,
  admin: adminSection,
  redis: redisSection,
  data: dataSection,
  storage: storageSection,
  auth: authSection,
  tenants: tenantsSection,
  jobs: jobsSection,
  batches: batchesSection,
  webhooks: webhooksSection,
  sqs: sqsSection,
  limits: limitsSection,
  timeouts: timeoutsSection,
  dispatcher: dispatcherSection,
  picker: pickerSection,
  log: logSection,
});

/** What the sections say, units converted; `Config` is made of it. */
export type ParsedSettings = z.output<typeof configurationSchema>;

export const SETTINGS: JsonSchema = writtenFormOf(configurationSchema);
export const LEAVES = leavesOf(SETTINGS);
