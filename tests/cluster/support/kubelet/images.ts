import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOnPath } from '../../../../src/platform/local-redis/binary.ts';

/** What stands for a container image on this machine. */
export interface LocalImage {
  /** Program and first arguments that run when the container names no command. */
  readonly entrypoint: readonly string[];
  /** What the image would have on its PATH: the first word of a container's command, and what runs instead. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
  /** ENV of the image. */
  readonly env?: Readonly<Record<string, string>>;
}

export type ImageMap = Readonly<Record<string, LocalImage>>;

const MAIN = fileURLToPath(new URL('../../../../src/main.ts', import.meta.url));
const PILOTLIGHT = [process.execPath, MAIN];
const programs = { pilotlight: PILOTLIGHT, node: [process.execPath] };

/** This checkout: Pilotlight itself, and its simulated model server. */
export const CHECKOUT_IMAGES: ImageMap = {
  'pilotlight:test': { entrypoint: PILOTLIGHT, programs },
  'pilotlight-model-sim:test': { entrypoint: [...PILOTLIGHT, 'model-sim'], programs },
};

export type Command =
  | { readonly kind: 'found'; readonly argv: readonly string[] }
  | { readonly kind: 'missing'; readonly program: string };

/** The local command line of a container; `command` replaces the entrypoint, as in a pod. */
export async function localCommand(
  image: LocalImage,
  command: readonly string[],
  args: readonly string[],
): Promise<Command> {
  const [program, ...rest] = command;
  if (program === undefined) return { kind: 'found', argv: [...image.entrypoint, ...args] };
  const local = image.programs?.[program] ?? image.programs?.[basename(program)];
  if (local !== undefined) return { kind: 'found', argv: [...local, ...rest, ...args] };
  const path = isAbsolute(program) ? program : await findOnPath([program], process.env['PATH'] ?? '');
  if (path === undefined || !(await isExecutable(path))) return { kind: 'missing', program };
  return { kind: 'found', argv: [path, ...rest, ...args] };
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
