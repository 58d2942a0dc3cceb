import { z } from 'zod';
import { labelName, objectName, text } from '../../fields.ts';

const labels = z.record(text(317), z.string().max(63));

/** `metadata` of an object. What an API server adds is accepted, so that the output of `kubectl get -o yaml` can be used. */
export const metadata = z.strictObject({
  name: objectName,
  namespace: labelName.optional(),
  labels: labels.default({}),
  annotations: z.record(text(317), z.string()).default({}),
  creationTimestamp: z.iso.datetime({ offset: true }).nullable().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.int().optional(),
  deletionTimestamp: z.string().optional(),
  deletionGracePeriodSeconds: z.int().optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(z.unknown()).optional(),
  managedFields: z.array(z.unknown()).optional(),
  selfLink: z.string().optional(),
});

/** apiVersion, kind, metadata and spec of one kind; `status` is the controller's and is not read. */
export function objectSchema<Version extends string, Kind extends string, Spec extends z.ZodType>(
  apiVersions: readonly [Version, ...Version[]],
  kind: Kind,
  spec: Spec,
) {
  return z.strictObject({
    apiVersion: z.enum(apiVersions),
    kind: z.literal(kind),
    metadata,
    spec,
    status: z.unknown().optional(),
  });
}
