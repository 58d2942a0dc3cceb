/** A Dockerfile as stages of instructions, for the few forms that ours uses; anything else is an error. */
export function parseDockerfile(text) {
  const args = new Map();
  const stages = [];
  for (const { word, rest, line } of instructions(text)) {
    const value = rest.replaceAll(/\$\{(\w+)\}/g, (whole, name) => args.get(name) ?? whole);
    if (word === 'ARG') {
      const [name, fallback] = value.split('=', 2);
      args.set(name, fallback);
    } else if (word === 'FROM') {
      const [base, as, name = String(stages.length)] = value.split(/\s+/);
      if (as !== undefined && as.toUpperCase() !== 'AS') throw new Error(`line ${line}: FROM cannot be read`);
      stages.push({ name, base, steps: [] });
    } else {
      stages.at(-1).steps.push({ word, value, line });
    }
  }
  return { args, stages };
}

function* instructions(text) {
  let pending = '';
  for (const [index, raw] of text.split('\n').entries()) {
    if (/^\s*(#.*)?$/.test(raw)) continue;
    pending += raw.replace(/\\$/, '');
    if (raw.endsWith('\\')) continue;
    const match = /^([A-Z]+)\s+(.*)$/.exec(pending.trim());
    if (!match) throw new Error(`line ${index + 1}: "${pending}" is no instruction`);
    yield { word: match[1], rest: match[2], line: index + 1 };
    pending = '';
  }
}

/** "COPY [--from=STAGE] source… target" taken apart. */
export function parseCopy(value) {
  const words = value.split(/\s+/);
  const from = words.filter((word) => word.startsWith('--from=')).map((word) => word.slice('--from='.length))[0];
  const paths = words.filter((word) => !word.startsWith('--'));
  return { from, sources: paths.slice(0, -1), target: paths.at(-1) };
}

/** Names at the root of the repository that a Dockerfile.dockerignore of the form "*" and "!name" lets in. */
export function allowedNames(text) {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*' || lines.slice(1).some((line) => !/^![\w.-]+$/.test(line))) {
    throw new Error('Dockerfile.dockerignore is not "*" followed by "!name" lines');
  }
  return lines.slice(1).map((line) => line.slice(1));
}
