import { environmentName } from './environment.ts';
import { describeType, type JsonSchema } from './json-schema.ts';
import { OBJECT_KINDS, OBJECT_SCHEMAS, type ObjectKind } from './objects/parse-objects.ts';
import { LEAVES, SETTINGS } from './schema/configuration.ts';

/** Markdown tables for docs/, generated so that they cannot differ from what the program accepts. */

/** The named tables, as they stand between `<!-- table:NAME -->` and `<!-- end -->`. */
export const REFERENCE_TABLES: Readonly<Record<string, () => string>> = {
  settings: settingsTable,
  tenants: () => fieldTable(SETTINGS.properties?.['tenants']?.items ?? {}, 'tenants[].'),
  oidc: () => fieldTable(SETTINGS.properties?.['auth']?.properties?.['oidc']?.items ?? {}, 'auth.oidc[].'),
  plugins: () => fieldTable(SETTINGS.properties?.['picker']?.properties?.['plugins']?.items ?? {}, 'picker.plugins[].'),
  queues: () => fieldTable(SETTINGS.properties?.['sqs']?.properties?.['queues']?.items ?? {}, ''),
  ...Object.fromEntries(OBJECT_KINDS.map((kind) => [kind, () => objectTable(kind)])),
};

/** `text` with the content of every table in it replaced by what it should be. Throws for a name that is none. */
export function withTables(text: string): string {
  return text.replaceAll(
    /(<!-- table:(\w+) -->\n).*?(<!-- end -->)/gs,
    (_all, begin: string, name: string, end: string) => {
      const table = REFERENCE_TABLES[name];
      if (!table)
        throw new RangeError(`no table is called "${name}"; there are ${Object.keys(REFERENCE_TABLES).join(', ')}`);
      return `${begin}${table()}${end}`;
    },
  );
}

function settingsTable(): string {
  const rows = LEAVES.map(({ path, schema }) => [
    `\`${path.join('.')}\``,
    `\`${environmentName(path)}\``,
    defaultOf(schema),
    `${schema.description ?? ''} ${writtenAs(schema)}`,
  ]);
  return markdownTable(['Setting', 'Environment variable', 'Default', 'Meaning'], rows);
}

function objectTable(kind: ObjectKind): string {
  return fieldTable(OBJECT_SCHEMAS[kind].properties?.['spec'] ?? {}, 'spec.');
}

function fieldTable(schema: JsonSchema, prefix: string): string {
  const rows = fieldsOf(schema, prefix).map(({ path, schema: field, required }) => [
    `\`${path}\``,
    required ? '(required)' : defaultOf(field),
    `${field.description ?? ''} ${writtenAs(field)}`,
  ]);
  return markdownTable(['Field', 'Default', 'Meaning'], rows);
}

interface Field {
  readonly path: string;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

/** Every field down to plain values, lists of mappings included ("targets[].name"). */
function fieldsOf(schema: JsonSchema, prefix: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]): Field[] => {
    const path = `${prefix}${key}`;
    const required = schema.required?.includes(key) ?? false;
    const self = { path, schema: field, required };
    const describes = field.description === undefined ? [] : [self];
    if (field.properties) return [...describes, ...fieldsOf(field, `${path}.`)];
    if (field.items?.properties) return [self, ...fieldsOf(field.items, `${path}[].`)];
    return [self];
  });
}

function defaultOf(schema: JsonSchema): string {
  if (schema.default == null || schema.properties) return schema.whenAbsent ?? '–';
  const json = JSON.stringify(schema.default);
  return Array.isArray(schema.default) && schema.default.length > 0 ? 'see below' : `\`${json}\``;
}

function writtenAs(schema: JsonSchema): string {
  const kind = describeType(schema);
  return `*${kind.charAt(0).toUpperCase()}${kind.slice(1)}.*`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.trim().replaceAll('|', '\\|')).join(' | ')} |`;
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`;
}
