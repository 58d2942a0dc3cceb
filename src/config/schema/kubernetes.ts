import { z } from 'zod';
import { labelName, text } from '../fields.ts';

/** Which parts of Pilotlight a process runs. */
export const ROLES = ['all', 'gateway', 'controller'] as const;

export const roleSetting = z
  .enum(ROLES)
  .default('all')
  .describe('Parts that this process runs: gateway (API, queue, dispatch), controller (scaling), or all of them.');

/** Pools and pods from an API server instead of files and local processes. */
export const kubernetesSection = z
  .strictObject({
    enabled: z.boolean().default(false).describe('Objects, pods and scaling through the API server.'),
    namespaces: z
      .array(labelName)
      .max(256)
      .prefault([])
      .describe('Namespaces whose objects and pods it works with.')
      .meta({ whenAbsent: 'the one it runs in' }),
    kubeconfig: text(4_096)
      .nullable()
      .default(null)
      .describe('kubeconfig file.')
      .meta({ whenAbsent: "the pod's ServiceAccount, else KUBECONFIG or ~/.kube/config" }),
    context: text(253)
      .nullable()
      .default(null)
      .describe('Context of the kubeconfig.')
      .meta({ whenAbsent: 'its current one' }),
    namespace: labelName
      .nullable()
      .default(null)
      .describe('Namespace it runs in: of its Lease.')
      .meta({ whenAbsent: "the pod's, else the context's, else default" }),
    identity: text(253)
      .nullable()
      .default(null)
      .describe('Name of this process in Lease and Events.')
      .meta({ whenAbsent: 'its host name, which is the name of its pod' }),
  })
  .prefault({});
