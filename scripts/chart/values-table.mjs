const BEGIN = '<!-- table:values -->\n';
const END = '<!-- end -->';

/** The text with its table of values made anew: the chart's own values with the defaults of values.yaml. */
export function withValuesTable(text, schema, values) {
  const start = text.indexOf(BEGIN);
  const end = text.indexOf(END, start);
  if (start < 0 || end < 0) throw new Error(`docs/install-kubernetes.md has no "${BEGIN.trim()}" … "${END}"`);
  return `${text.slice(0, start + BEGIN.length)}${table(schema, values)}${text.slice(end)}`;
}

function table(schema, values) {
  const rows = leaves(schema, values, '').map(({ path, value, description }) => {
    const shown = value === undefined ? '–' : `\`${JSON.stringify(value)}\``;
    return `| \`${path}\` | ${shown} | ${description.replaceAll('|', '\\|')} |`;
  });
  return ['| Value | Default | Meaning |', '| --- | --- | --- |', ...rows, ''].join('\n');
}

function leaves(schema, value, prefix) {
  return Object.entries(schema.properties).flatMap(([key, one]) => {
    const path = `${prefix}${key}`;
    const here = value?.[key];
    if (path === 'global') return [];
    if (path !== 'config' && one.properties && one.additionalProperties === false) return leaves(one, here, `${path}.`);
    const self = { path, value: here, description: one.description ?? '' };
    return one.items?.properties ? [self, ...leaves(one.items, undefined, `${path}[].`)] : [self];
  });
}
