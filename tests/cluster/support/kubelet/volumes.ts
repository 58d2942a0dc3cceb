import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { field, type PodPlace, type References } from './environment.ts';
import type { LocalTexts } from './local-paths.ts';
import type { KeyToPath, Pod, Volume, VolumeSource } from './objects.ts';

export interface VolumeWorld {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly texts: LocalTexts;
  readonly references: References;
  /** By TokenRequest, bound to the pod. */
  token(audience: string | undefined, expirationSeconds: number): Promise<string>;
  monotonicMs(): number;
}

/** A volume that cannot be mounted yet; the kubelet tries again. */
export class MountError extends Error {}

const DEFAULT_TOKEN_S = 3_600;
/** A kubelet renews a token when 80 % of its life have passed. */
const RENEWED_AFTER = 0.8;

/**
 * The volumes of one pod as folders, linked to where the containers mount them. Files of ConfigMaps, Secrets and tokens
 * are replaced all at once through the link `..data`, as a kubelet does it.
 */
export class PodVolumes {
  readonly #folder: string;
  readonly #world: VolumeWorld;
  readonly #written = new Map<string, string>();
  readonly #tokens = new Map<string, { readonly token: string; readonly renewAtMs: number }>();

  constructor(folder: string, world: VolumeWorld) {
    this.#folder = folder;
    this.#world = world;
  }

  /** Throws a MountError when something that is not optional is missing. */
  async mount(): Promise<void> {
    for (const volume of this.#volumes) await this.#write(volume);
    const { initContainers = [], containers } = this.#world.pod.spec;
    for (const { volumeMounts = [] } of [...initContainers, ...containers]) {
      for (const { name, mountPath, subPath = '' } of volumeMounts) {
        const link = this.#world.texts.path(mountPath);
        if (existsSync(link)) continue;
        const target = join(this.#pathOf(name), subPath);
        if (subPath !== '' && !existsSync(target)) await mkdir(target, { recursive: true });
        await mkdir(dirname(link), { recursive: true });
        await symlink(target, link);
      }
    }
  }

  /** Writes what has changed since: edited ConfigMaps and Secrets, tokens that are due. Missing ones stay as they were. */
  async refresh(): Promise<void> {
    for (const volume of this.#volumes) {
      await this.#write(volume).catch((error: unknown) => {
        if (!(error instanceof MountError)) throw error;
      });
    }
  }

  get #volumes(): readonly Volume[] {
    return this.#world.pod.spec.volumes ?? [];
  }

  #pathOf(volume: string): string {
    return join(this.#folder, 'volumes', volume);
  }

  async #write(volume: Volume): Promise<void> {
    const folder = this.#pathOf(volume.name);
    await mkdir(folder, { recursive: true });
    if (volume.emptyDir !== undefined) return;
    const sources = volume.projected?.sources ?? [volume];
    const files: Record<string, string> = {};
    for (const source of sources) Object.assign(files, await this.#filesOf(volume.name, source));
    const text = JSON.stringify(files);
    if (this.#written.get(volume.name) === text) return;
    await replaceFiles(folder, files);
    this.#written.set(volume.name, text);
  }

  async #filesOf(volume: string, source: VolumeSource): Promise<Record<string, string>> {
    const { configMap, secret, downwardAPI, serviceAccountToken } = source;
    const { references, texts, pod, place } = this.#world;
    if (configMap !== undefined) {
      const data = await references.configMap(configMap.name);
      const files = chosen(volume, `configmap "${configMap.name}"`, data, configMap);
      return Object.fromEntries(Object.entries(files).map(([path, content]) => [path, texts.text(content)]));
    }
    if (secret !== undefined) {
      const name = secret.secretName ?? secret.name ?? '';
      return chosen(volume, `secret "${name}"`, await references.secret(name), secret);
    }
    if (downwardAPI !== undefined) {
      const items = (downwardAPI.items ?? []).filter((item) => item.fieldRef !== undefined);
      return Object.fromEntries(
        items.map(({ path, fieldRef }) => [path, field(fieldRef?.fieldPath ?? '', pod, place)]),
      );
    }
    if (serviceAccountToken !== undefined) {
      const { path, audience, expirationSeconds = DEFAULT_TOKEN_S } = serviceAccountToken;
      return { [path]: await this.#token(audience, expirationSeconds) };
    }
    throw new MountError(`volume "${volume}" is of a kind that the kubelet stand-in does not mount`);
  }

  async #token(audience: string | undefined, expirationSeconds: number): Promise<string> {
    const key = `${audience ?? ''} ${expirationSeconds}`;
    const held = this.#tokens.get(key);
    const nowMs = this.#world.monotonicMs();
    if (held !== undefined && nowMs < held.renewAtMs) return held.token;
    const token = await this.#world.token(audience, expirationSeconds);
    this.#tokens.set(key, { token, renewAtMs: nowMs + RENEWED_AFTER * expirationSeconds * 1_000 });
    return token;
  }
}

function chosen(
  volume: string,
  what: string,
  data: Readonly<Record<string, string>> | null,
  { items, optional }: { readonly items?: readonly KeyToPath[]; readonly optional?: boolean },
): Record<string, string> {
  const failed = `MountVolume.SetUp failed for volume "${volume}" :`;
  if (data === null && optional !== true) throw new MountError(`${failed} ${what} not found`);
  if (items === undefined) return { ...data };
  const files: Record<string, string> = {};
  for (const { key, path } of items) {
    const content = data?.[key];
    if (content !== undefined) files[path] = content;
    else if (optional !== true) throw new MountError(`${failed} references non-existent key ${key} of ${what}`);
  }
  return files;
}

/** New folder, then one rename of the link: a reader sees the old files or the new ones. */
async function replaceFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  const version = `..${randomBytes(6).toString('hex')}`;
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, version, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o600 });
  }
  await mkdir(join(folder, version), { recursive: true });
  await symlink(version, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  for (const path of Object.keys(files)) {
    const [top = path] = path.split('/');
    if (!existsSync(join(folder, top))) {
      await rm(join(folder, top), { force: true });
      await symlink(join('..data', top), join(folder, top));
    }
  }
}
