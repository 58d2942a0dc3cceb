import type { TenantQuotas } from './tenants.ts';

/** Who calls, as decided by authentication; nothing in it comes from the request's own headers or body. */
export interface Identity {
  /** Fairness id and owner of jobs. */
  readonly tenant: string;
  /** True for a gateway whose objective and fairness headers count. */
  readonly trusted: boolean;
  /** Objective used when the call names none; null = the pool's default. */
  readonly defaultObjective: string | null;
  /** Null = all. */
  readonly allowedObjectives: readonly string[] | null;
  readonly allowedModels: readonly string[] | null;
  /** OpenAI service_tier value → objective name. */
  readonly serviceTiers: Readonly<Record<string, string>>;
  /** Relative share among tenants of one band. */
  readonly weight: number;
  readonly quotas: TenantQuotas;
}
