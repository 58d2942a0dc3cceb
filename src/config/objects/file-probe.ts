import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** What a check of objects asks the machine. */
export interface FileProbe {
  /** Whether `program` can be started from `folder`: a path to an executable, or a name found on the PATH. */
  isCommand(program: string, folder: string): boolean;
  isFolder(path: string): boolean;
}

export function createFileProbe(searchPath: string = process.env['PATH'] ?? ''): FileProbe {
  return {
    isCommand(program, folder) {
      if (program.includes('/')) return isExecutable(isAbsolute(program) ? program : resolve(folder, program));
      return searchPath.split(delimiter).some((place) => place !== '' && isExecutable(join(place, program)));
    },
    isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
