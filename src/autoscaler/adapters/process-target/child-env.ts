/**
 * What a model server may inherit from our own environment. A list of what is allowed, because Pilotlight's
 * environment holds secrets (API keys, a Redis URL with its password) that no child must see.
 */
const INHERITED = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'CUDA_HOME',
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'XDG_CACHE_HOME',
  'HF_HOME',
] as const;

/** Names the replica to a later Pilotlight that finds leftovers of this one; see pid-registry.ts. */
export const REPLICA_UID_VARIABLE = 'PILOTLIGHT_REPLICA_UID';

/** The environment of one child: the allowed part of ours, the target's own on top. */
export function childEnv(
  ours: Readonly<Record<string, string | undefined>>,
  target: Readonly<Record<string, string>>,
  replicaUid: string,
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => {
    const value = ours[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(inherited), ...target, [REPLICA_UID_VARIABLE]: replicaUid };
}
